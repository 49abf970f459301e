"""What can be configured, as frozen dataclasses; `rsgnet.settings` reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict

from rsgnet.errors import RSGNetError
from rsgnet.skeletons import Skeleton

# Mean and standard deviation of ImageNet's RGB channels, values in 0..1: what torchvision's and timm's networks want.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# More than any network here has; a config from elsewhere may ask for anything.
_WIDEST, _DEEPEST, _LARGEST_SIDE = 4096, 64, 8192


class Strict:
    """Settings that nobody knows are errors, not silence."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class CropConfig(Strict):
    """How a box becomes the network's input, and how its heatmaps lie over that input.

    Attributes:
        size_wh: Width and height of the crop in pixels.
        stride: Crop pixels per heatmap pixel.
        padding: By how much the box, widened to the crop's shape, grows.
        pixel_centre: Where in a pixel its centre lies: 0.0 as in the released code, whose mirrored heatmaps are off by
            (stride - 1) / stride; 0.5 exact under scaling and mirroring.
        mean: Mean of each RGB channel, values in 0..1.
        std: Standard deviation of each RGB channel.
    """

    size_wh: tuple[int, int] = (192, 256)
    stride: int = 4
    padding: float = 1.25
    pixel_centre: float = 0.0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.stride < 1 or max(self.size_wh) > _LARGEST_SIDE:
            raise RSGNetError(f"crops are {_LARGEST_SIDE} pixels wide and high at most, their stride positive")
        if min(self.size_wh) < 1 or self.size_wh[0] % self.stride or self.size_wh[1] % self.stride:
            raise RSGNetError(f"crop size {self.size_wh} must be a positive multiple of the stride {self.stride}")
        if self.pixel_centre not in (0.0, 0.5):
            raise RSGNetError(f"pixel_centre must be 0.0 or 0.5, not {self.pixel_centre}")

    @property
    def heatmap_shape_hw(self) -> tuple[int, int]:
        """Height and width of the heatmaps."""
        return self.size_wh[1] // self.stride, self.size_wh[0] // self.stride


@dataclass(frozen=True)
class NeckConfig(Strict):
    """How a backbone's coarser maps come to the heatmaps' stride.

    Attributes:
        kind: "none" (the backbone yields that stride itself), "deconvolutions" (SimpleBaseline's transposed
            convolutions on the deepest map) or "pyramid" (all maps merged, from the deepest to the wanted).
        width: Channels of the pyramid.
        residuals: ResNet blocks at each stride of the pyramid.
        deepest_stride: Image pixels per pixel of the coarsest map that is read.
    """

    kind: Literal["none", "deconvolutions", "pyramid"] = "none"
    width: int = 64
    residuals: int = 0
    deepest_stride: int = 32

    def __post_init__(self) -> None:
        if not (1 <= self.width <= _WIDEST and 0 <= self.residuals <= _DEEPEST and self.deepest_stride >= 1):
            raise RSGNetError(
                f"a neck is 1 to {_WIDEST} wide with 0 to {_DEEPEST} residuals, not {self.width} and {self.residuals}"
            )


@dataclass(frozen=True)
class ModelConfig(Strict):
    """The network.

    Attributes:
        backbone: Name of a timm model, or an HRNet that timm has no name for, such as `hrnet_w8_modules122_blocks2`: 8
            channels at the finest resolution, 1, 2 and 2 modules in stages 2 to 4, 2 blocks a branch.
        skeleton: The skeleton it predicts: the name of a built-in one, or one of your own, which is kept whole.
        relation: "none" (a plain heatmap network), "candidates" (Eq. 1-2 over the peaks of the candidate heatmaps) or
            "dense" (between all pixels, with the heads that the paper's authors released).
        skeleton_graph: Whether the Skeleton Graph Machine (Eq. 3-4) predicts limbs.
        clue_width: d, the width of each of the three clue encodings.
        peaks_per_keypoint: How many peaks of each candidate heatmap become candidates; Np is this times K.
        candidate_threshold: Peaks lower than this are masked out.
        neck: What brings the backbone's maps to the crop's stride.
        word_width: Dense relation: numbers in the embedding of a keypoint's name.
        subsample: Dense relation: whether pixels are related to the highest values in 2x2 windows, not to all pixels.
        plain_convolutions: Without a relation: 3x3 convolutions, of the backbone's width, before the target head. Two
            cost what a relation's fusing costs: the control of an ablation.
        fusion: What becomes of the features where E_t, or such convolutions, join them: a "convolution" of both stands
            in their place (the paper), or, "residual", is added to them and starts at 0, so that a plain network that
            grows loses nothing.
        relation_gradient: Whether the losses of everyone's heatmaps and of the relation change the features, as in the
            paper; where not, these read the features that the target heatmaps alone ask for.

    Raises:
        RSGNetError: There are to be such convolutions beside a relation, or fewer than none.
    """

    backbone: str = "hrnet_w32"
    skeleton: str | Skeleton = "coco17"
    relation: Literal["none", "candidates", "dense"] = "candidates"
    skeleton_graph: bool = True
    clue_width: int = 64
    peaks_per_keypoint: int = 4
    candidate_threshold: float = 0.1
    neck: NeckConfig = field(default_factory=NeckConfig)
    word_width: int = 600
    subsample: bool = False
    plain_convolutions: int = 0
    fusion: Literal["convolution", "residual"] = "convolution"
    relation_gradient: bool = True

    def __post_init__(self) -> None:
        if not all(1 <= width <= _WIDEST for width in (self.clue_width, self.word_width, self.peaks_per_keypoint)):
            raise RSGNetError(f"clue_width, word_width and peaks_per_keypoint are 1 to {_WIDEST}")
        if (
            self.plain_convolutions < 0
            or self.plain_convolutions > _DEEPEST
            or (self.plain_convolutions and self.relation != "none")
        ):
            raise RSGNetError(
                f"plain_convolutions, {self.plain_convolutions} here, are 0 or more, and need relation 'none'"
            )


Refinement = Literal["none", "quarter", "taylor", "expected_oks"]


@dataclass(frozen=True)
class DecodeConfig(Strict):
    """How heatmaps become poses.

    Attributes:
        flip_test: Whether heatmaps are averaged with those of the mirrored crop.
        refinement: "none", "quarter" (a quarter pixel towards the higher neighbour, as the paper), "taylor" (the top
            of the second-order expansion of the log-heatmap, as DARK) or "expected_oks" (the place of the highest
            expected similarity).
        keypoint_threshold: Keypoints that score higher count towards the pose's score.
        nms_threshold: Of two poses more alike (OKS) than this, the lower-scored goes.
    """

    flip_test: bool = True
    refinement: Refinement = "quarter"
    keypoint_threshold: float = 0.2
    nms_threshold: float = 0.9


@dataclass(frozen=True)
class GraphForm(Strict):
    """What the file of a pose network does inside, beside running the network on crops.

    Attributes:
        flip_test: Whether it averages with the mirrored crops.
        decoding: Whether it gives keypoints and scores, not heatmaps.
        int8: Whether its convolutions are quantised to 8 bits.
    """

    flip_test: bool = False
    decoding: bool = False
    int8: bool = False


@dataclass(frozen=True)
class LossConfig(Strict):
    """The weights of Eq. (8) and what the labels look like.

    Attributes:
        target: alpha, of the target heatmaps.
        candidates: beta, of everyone's heatmaps.
        relation: theta, of the relation map.
        relation_error: "squared" as Eq. (6) has it, or "cross_entropy". Few pairs belong together, and the square of a
            sigmoid's error hardly has a slope where it calls them all strangers: small networks stay there.
        limbs: gamma, of the limb heatmaps.
        peak_emphasis: By how much more an error counts at a keypoint than where there is none; 0 is the plain mean
            squared error of Eq. (5).
        location: Of the divergence between where heatmaps say a keypoint is and where it is; 0 leaves it out.
        distillation: Of the errors to the heatmaps of a teacher (`train --teacher`): the square, and `location` times
            theirs.
        sharpness: For `location`, heatmaps are read as probabilities by softmax(sharpness * heatmap).
        sigma: Standard deviation of a keypoint's Gaussian, in heatmap pixels.
        limb_width: Full width of a limb's line, in heatmap pixels.
        match_sigmas: A candidate is the target's if it lies within this many sigmas of the target's keypoint.
        heatmap_scale: Factor of both heatmap losses; the released code has 0.5.
        rivals: Height of other people's peaks in the candidate heatmaps' labels; the released code has 0.5 on
            CrowdPose and, by mistake, 0 on COCO.
        labels: "paper", or "released" for what the released code makes of limbs and of keypoints that nobody has
            labelled: see `data/labels.py`.
    """

    target: float = 1.0
    candidates: float = 1.0
    relation: float = 1.0
    relation_error: Literal["squared", "cross_entropy"] = "squared"
    limbs: float = 0.01
    peak_emphasis: float = 0.0
    location: float = 0.0
    distillation: float = 0.0
    sharpness: float = 10.0
    sigma: float = 2.0
    limb_width: float = 2.0
    match_sigmas: float = 1.5
    heatmap_scale: float = 1.0
    rivals: float = 1.0
    labels: Literal["paper", "released"] = "paper"


@dataclass(frozen=True)
class AugmentConfig(Strict):
    """Random changes to training crops (Section "Training" and HRNet's recipe).

    Attributes:
        rotation_deg: Spread of the rotation; applied to 6 of 10 crops, clipped at twice this.
        scale: Spread of the scale about 1, clipped at this.
        shift: Spread of the crop's position as a share of the region, uniform.
        flip: Probability of mirroring.
        half_body: Probability that a person with more than 8 labelled keypoints is cropped to one half of the body.
        colour: Spread of brightness, contrast and saturation about 1, uniform.
        paste: Probability that other people, cut out of the training data by their masks, are pasted before and behind
            a crop's person, or into a detector's image.
        mosaic: Probability that a detector's image is made of four.
    """

    rotation_deg: float = 45.0
    scale: float = 0.35
    shift: float = 0.0
    flip: float = 0.5
    half_body: float = 0.3
    colour: float = 0.0
    paste: float = 0.0
    mosaic: float = 0.0


@dataclass(frozen=True)
class TrainingConfig(Strict):
    """One training run.

    Attributes:
        epochs: How many epochs.
        epoch_samples: Crops in one epoch; 0 means every labelled person once.
        batch_size: Crops in one step and process.
        optimizer: "adam" (the paper), "adamw", "sgd" (momentum 0.9) or "muon" (matrices by Muon, the rest by AdamW).
        learning_rate: Its highest value.
        weight_decay: For weights of two or more dimensions.
        schedule: "step" (times 0.1 at each of `milestones`) or "cosine" (to zero).
        milestones: Epochs at which "step" decays.
        warmup_steps: Steps over which the learning rate rises linearly from zero.
        ema_decay: Decay of the averaged weights that are validated and saved; 0 averages nothing.
        precision: Lightning's precision, "32-true" or "bf16-mixed".
        max_people: People labelled in one crop, the box's own included; nearest first.
        min_keypoints: People with fewer labelled keypoints are not trained on.
        pretrained: Whether the backbone starts from timm's ImageNet weights (needs a network once).
        frozen: Modules of the backbone's encoder that keep their weights and statistics, such as `layer1`.
        seed: Seeds initialisation, order and augmentation.
    """

    epochs: int = 210
    epoch_samples: int = 0
    batch_size: int = 32
    optimizer: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[int, ...] = (170, 200)
    warmup_steps: int = 0
    ema_decay: float = 0.0
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    max_people: int = 8
    min_keypoints: int = 1
    pretrained: bool = True
    frozen: tuple[str, ...] = ()
    seed: int = 0
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True)
class PoseConfig(Strict):
    """Everything that a pose network is built, trained and run with.

    Attributes:
        name: The preset it came from.
        crop: How boxes become inputs.
        model: The network.
        decode: How heatmaps become poses.
        training: How it is or was trained.
    """

    name: str
    crop: CropConfig = field(default_factory=CropConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
