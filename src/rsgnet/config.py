"""What can be configured, as frozen dataclasses; `rsgnet.config_files` reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from rsgnet.errors import RSGNetError
from rsgnet.skeletons import Skeleton
from rsgnet.training_config import Strict, TrainingConfig

# Mean and standard deviation of ImageNet's RGB channels, values in 0..1: what torchvision's and timm's networks want.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# More than any network here has; a config from elsewhere may ask for anything.
_WIDEST, _DEEPEST, _LARGEST_SIDE = 4096, 64, 8192


Alignment = Literal["pixels", "corners", "crop_corners"]


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
        alignment: What is laid on the region of the image and on the crop. "pixels": as many pixels as the crop has
            cover the region, and a heatmap pixel is `stride` crop pixels. "corners": the centres of the crop's corner
            pixels lie in the corners of the region, those of the heatmap's in those of the crop (MMPose's UDP).
            "crop_corners": the first of both, with heatmap pixels of `stride` crop pixels (PP-TinyPose).
    """

    size_wh: tuple[int, int] = (192, 256)
    stride: int = 4
    padding: float = 1.25
    pixel_centre: float = 0.0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    alignment: Alignment = "pixels"

    def __post_init__(self) -> None:
        if self.stride < 1 or max(self.size_wh) > _LARGEST_SIDE:
            raise RSGNetError(f"crops are {_LARGEST_SIDE} pixels wide and high at most, their stride positive")
        if min(self.size_wh) < 1 or self.size_wh[0] % self.stride or self.size_wh[1] % self.stride:
            raise RSGNetError(f"crop size {self.size_wh} must be a positive multiple of the stride {self.stride}")
        if self.pixel_centre not in (0.0, 0.5):
            raise RSGNetError(f"pixel_centre must be 0.0 or 0.5, not {self.pixel_centre}")
        if self.alignment != "pixels" and self.pixel_centre:
            raise RSGNetError(f"alignment {self.alignment} has pixel_centre 0.0, not {self.pixel_centre}")

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
class CandidateRelationConfig(Strict):
    """The paper's relation: everyone's keypoints, found in their heatmaps, related to each other (Eq. 1 and 2).

    Attributes:
        kind: Names this kind of relation.
        clue_dim: d, the width of each of the three clue encodings.
        selection: Which places of a candidate heatmap become candidates: its "peaks", or, as the paper prints it, all
            "places" above the threshold, the highest first.
        peaks_per_keypoint: How many places of each candidate heatmap become candidates at the most; Np is this times K.
        candidate_threshold: Places lower than this are masked out.
        gradient_to_features: Whether the losses of everyone's heatmaps and of the relation change the features, as in
            the paper; where not, both read the features that the target heatmaps alone ask for.

    Raises:
        RSGNetError: A size is out of range.
    """

    kind: Literal["candidates"] = "candidates"
    clue_dim: int = 64
    selection: Literal["peaks", "places"] = "peaks"
    peaks_per_keypoint: int = 4
    candidate_threshold: float = 0.1
    gradient_to_features: bool = True

    def __post_init__(self) -> None:
        _check_widths(clue_dim=self.clue_dim, peaks_per_keypoint=self.peaks_per_keypoint)


@dataclass(frozen=True)
class DenseRelationConfig(Strict):
    """The relation of the authors' released code: between all pixels, with the heads that their weights have.

    Attributes:
        kind: Names this kind of relation.
        embedding_dim: Width of the embedding of a keypoint's name.
        subsample: Whether 2x2 windows, by their highest values, are related instead of pixels.
        peaks_per_keypoint: How many peaks of each candidate heatmap are given out as candidates.
        candidate_threshold: Peaks lower than this are masked out.

    Raises:
        RSGNetError: A size is out of range.
    """

    kind: Literal["dense"] = "dense"
    embedding_dim: int = 600
    subsample: bool = False
    peaks_per_keypoint: int = 4
    candidate_threshold: float = 0.1

    def __post_init__(self) -> None:
        _check_widths(embedding_dim=self.embedding_dim, peaks_per_keypoint=self.peaks_per_keypoint)


@dataclass(frozen=True)
class ConvolutionsConfig(Strict):
    """No relation, but 3x3 convolutions of the backbone's width in its place: the control of an ablation.

    Attributes:
        kind: Names this control.
        count: How many; two cost what fusing a relation with the features costs.

    Raises:
        RSGNetError: The count is out of range.
    """

    kind: Literal["convolutions"] = "convolutions"
    count: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _DEEPEST:
            raise RSGNetError(f"count of convolutions is 1 to {_DEEPEST}, not {self.count}")


def _check_widths(**widths: int) -> None:
    for name, width in widths.items():
        if not 1 <= width <= _WIDEST:
            raise RSGNetError(f"{name} is 1 to {_WIDEST}, not {width}")


RelationConfig = CandidateRelationConfig | DenseRelationConfig | ConvolutionsConfig


def _relation_by_kind(value: Any) -> Any:
    """Takes the bare name of a kind for that kind with its defaults, and "none" for None."""
    if isinstance(value, str):
        return None if value == "none" else {"kind": value}
    return value


@dataclass(frozen=True)
class ModelConfig(Strict):
    """The network.

    Attributes:
        backbone: Name of a timm model; or `lite_hrnet_w40`, or of another width; or an HRNet that timm has no name for,
            such as `hrnet_w8_modules122_blocks2`: 8 channels at the finest resolution, 1, 2 and 2 modules in stages 2
            to 4, 2 blocks a branch.
        skeleton: The skeleton it predicts: the name of a built-in one, or one of your own, which is kept whole.
        relation: What stands between the features and the target heatmaps; None for a plain heatmap network.
        skeleton_graph: Whether the Skeleton Graph Machine (Eq. 3-4) predicts limbs.
        neck: What brings the backbone's maps to the crop's stride.
        fusion: How E_t, or the control's convolutions, join the features: a "convolution" of both replaces them; a
            "residual" is added to them and starts at 0, so that a plain network that grows loses nothing; "none" has
            target heatmaps and limbs predicted from E_t alone, as the paper prints it.

    Raises:
        RSGNetError: E_t alone is asked for where there is no E_t.
    """

    backbone: str = "hrnet_w32"
    skeleton: str | Skeleton = "coco17"
    relation: Annotated[
        Annotated[RelationConfig, Field(discriminator="kind")] | None, BeforeValidator(_relation_by_kind)
    ] = field(default_factory=CandidateRelationConfig)
    skeleton_graph: bool = True
    neck: NeckConfig = field(default_factory=NeckConfig)
    fusion: Literal["convolution", "residual", "none"] = "convolution"

    def __post_init__(self) -> None:
        if self.fusion == "none" and not isinstance(self.relation, CandidateRelationConfig):
            raise RSGNetError(f"fusion 'none' reads E_t, which relation {self.relation_kind!r} does not compute")

    @property
    def candidates(self) -> CandidateRelationConfig | DenseRelationConfig | None:
        """The relation of a network that also predicts everyone's keypoints; None of another."""
        return None if isinstance(self.relation, ConvolutionsConfig) else self.relation

    @property
    def relation_kind(self) -> str:
        """The kind of the relation by name, "none" without one."""
        return "none" if self.relation is None else self.relation.kind


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
        flip_shift: By how many heatmap pixels the mirrored heatmaps are moved to the right; None for what the crop's
            geometry asks for.
    """

    flip_test: bool = True
    refinement: Refinement = "quarter"
    keypoint_threshold: float = 0.2
    nms_threshold: float = 0.9
    flip_shift: Literal[0, 1] | None = None


@dataclass(frozen=True)
class ExportOptions(Strict):
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


@dataclass(frozen=True)
class DetectorConfig(Strict):
    """RTMDet for people.

    Attributes:
        name: The preset it came from.
        width_multiple: Channels as a share of the published ones; 0.25 is RTMDet-nano.
        depth_multiple: Blocks as a share of the published ones; a third is RTMDet-nano.
        size_wh: Width and height of the input; images are scaled to fit and padded at the right and bottom.
        max_boxes: How many boxes the network yields before those that overlap are suppressed.
        box_threshold: Boxes that score less are left out where nobody asks for another threshold.
        nms_threshold: Of two boxes that overlap (IoU) more than this the lower-scored goes.
        mean: Mean of each RGB channel, values in 0..1.
        std: Standard deviation of each RGB channel.
        training: How it is or was trained; of the augmentation rotation, shift and half-body are not used.

    Raises:
        RSGNetError: A number lies outside its range.
    """

    name: str
    width_multiple: float = 0.25
    depth_multiple: float = 1 / 3
    size_wh: tuple[int, int] = (480, 480)
    max_boxes: int = 300
    box_threshold: float = 0.3
    nms_threshold: float = 0.6
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        coarsest = 32
        if (
            min(self.size_wh) < coarsest
            or any(side % coarsest for side in self.size_wh)
            or max(self.size_wh) > _LARGEST_SIDE
        ):
            raise RSGNetError(f"{self.name}: the sides of the input are multiples of {coarsest}, not {self.size_wh}")
        if not (0 < self.width_multiple <= 2 and 0 < self.depth_multiple <= 2 and 1 <= self.max_boxes <= _WIDEST):
            raise RSGNetError(
                f"{self.name}: width_multiple and depth_multiple are at most 2, max_boxes at most {_WIDEST}"
            )
        if not 0 < self.nms_threshold <= 1 or not 0 <= self.box_threshold <= 1:
            raise RSGNetError(f"{self.name}: thresholds must lie in 0..1")


@dataclass(frozen=True)
class FasterRCNNConfig(Strict):
    """A Faster R-CNN person detector on a ResNet with a feature pyramid, as torchvision builds it. PyTorch only.

    Attributes:
        name: The preset it came from.
        backbone: Name of a torchvision ResNet.
        shorter_side_px: What images' shorter sides are scaled to: in training one of these, drawn for each image,
            in prediction the last.
        longer_side_px: Images whose longer side would be longer are scaled to this instead.
        trained_stages: How many of an ImageNet backbone's five stages are trained, counted from the deepest; its batch
            norms keep their statistics. Without `training.pretrained` all are trained, and so are the norms.
        proposals: How many boxes the first stage hands to the second in prediction; twice as many in training.
        sampled_boxes: Of these, how many of each image the second stage learns from.
        max_boxes: How many boxes it returns at the most.
        box_threshold: Boxes that score less are left out where nobody asks for another threshold.
        nms_threshold: Of two boxes that overlap (IoU) more than this the lower-scored goes; a higher one keeps more
            people who overlap, and more people found twice.
        mean: Mean of each RGB channel, values in 0..1.
        std: Standard deviation of each RGB channel.
        training: How it is or was trained, a batch being whole images; of the augmentation mirroring, colour and
            pasting are used.

    Raises:
        RSGNetError: A number lies outside its range, or the training names modules to freeze.
    """

    name: str
    backbone: str = "resnet101"
    shorter_side_px: tuple[int, ...] = (800,)
    longer_side_px: int = 1333
    trained_stages: int = 3
    proposals: int = 1000
    sampled_boxes: int = 512
    max_boxes: int = 100
    box_threshold: float = 0.5
    nms_threshold: float = 0.5
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if not self.shorter_side_px or min(*self.shorter_side_px, self.longer_side_px) < 32:
            raise RSGNetError(f"{self.name}: sides of images must be 32 pixels or more")
        if min(self.proposals, self.sampled_boxes, self.max_boxes) < 1 or not 0 <= self.trained_stages <= 5:
            raise RSGNetError(f"{self.name}: numbers of boxes must be positive, trained_stages 0 to 5")
        if not 0 < self.nms_threshold <= 1 or not 0 <= self.box_threshold <= 1:
            raise RSGNetError(f"{self.name}: thresholds must lie in 0..1")
        if self.training.frozen:
            raise RSGNetError(f"{self.name}: Faster R-CNN is frozen by trained_stages, not by training.frozen")


AnyDetectorConfig = DetectorConfig | FasterRCNNConfig
NetworkConfig = PoseConfig | AnyDetectorConfig
