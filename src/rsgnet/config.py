"""What can be configured, as frozen dataclasses, and their way in and out of JSON and `key=value`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from rsgnet.errors import RSGNetError

# The files of a model directory, and where an ONNX file keeps its config by itself.
CONFIG_FILE, WEIGHTS_FILE, ONNX_FILE = "config.json", "model.safetensors", "model.onnx"
ONNX_CONFIG_PROPERTY = "rsgnet"

Config = TypeVar("Config")


class _Strict:
    """Settings that nobody knows are errors, not silence."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class CropConfig(_Strict):
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
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if min(self.size_wh) < 1 or self.size_wh[0] % self.stride or self.size_wh[1] % self.stride:
            raise RSGNetError(f"crop size {self.size_wh} must be a positive multiple of the stride {self.stride}")
        if self.pixel_centre not in (0.0, 0.5):
            raise RSGNetError(f"pixel_centre must be 0.0 or 0.5, not {self.pixel_centre}")

    @property
    def heatmap_shape_hw(self) -> tuple[int, int]:
        """Height and width of the heatmaps."""
        return self.size_wh[1] // self.stride, self.size_wh[0] // self.stride


@dataclass(frozen=True)
class NeckConfig(_Strict):
    """How a backbone's coarser maps come to the heatmaps' stride.

    Attributes:
        kind: "none" (the backbone yields that stride itself), "deconvolutions" (SimpleBaseline's transposed
            convolutions on the deepest map) or "pyramid" (all maps merged, from the deepest to the wanted).
        width: Channels of the pyramid.
        deepest_stride: Picture pixels per pixel of the coarsest map that is read.
    """

    kind: Literal["none", "deconvolutions", "pyramid"] = "none"
    width: int = 64
    deepest_stride: int = 32


@dataclass(frozen=True)
class ModelConfig(_Strict):
    """The network.

    Attributes:
        backbone: Name of a timm model.
        skeleton: Name of the skeleton it predicts.
        relation: "none" (a plain heatmap network) or "candidates" (Eq. 1-2 over the peaks of the candidate heatmaps).
        skeleton_graph: Whether the Skeleton Graph Machine (Eq. 3-4) predicts limbs.
        clue_width: d, the width of each of the three clue encodings.
        peaks_per_keypoint: How many peaks of each candidate heatmap become candidates; Np is this times K.
        candidate_threshold: Peaks lower than this are masked out.
        neck: What brings the backbone's maps to the crop's stride.
    """

    backbone: str = "hrnet_w32"
    skeleton: str = "coco17"
    relation: Literal["none", "candidates"] = "candidates"
    skeleton_graph: bool = True
    clue_width: int = 64
    peaks_per_keypoint: int = 4
    candidate_threshold: float = 0.1
    neck: NeckConfig = field(default_factory=NeckConfig)


@dataclass(frozen=True)
class DecodeConfig(_Strict):
    """How heatmaps become poses.

    Attributes:
        flip_test: Whether heatmaps are averaged with those of the mirrored crop.
        refinement: "none", "quarter" (a quarter pixel towards the higher neighbour, as the paper) or "taylor" (the top
            of the second-order expansion of the log-heatmap, as DARK).
        keypoint_threshold: Keypoints that score higher count towards the pose's score.
        nms_threshold: Of two poses more alike (OKS) than this, the lower-scored goes.
    """

    flip_test: bool = True
    refinement: Literal["none", "quarter", "taylor"] = "quarter"
    keypoint_threshold: float = 0.2
    nms_threshold: float = 0.9


@dataclass(frozen=True)
class LossConfig(_Strict):
    """The weights of Eq. (8) and what the labels look like.

    Attributes:
        target: alpha, of the target heatmaps.
        candidates: beta, of everyone's heatmaps.
        relation: theta, of the relation map.
        limbs: gamma, of the limb heatmaps.
        peak_emphasis: By how much more an error counts at a keypoint than where there is none; 0 is the plain mean
            squared error of Eq. (5).
        sigma: Standard deviation of a keypoint's Gaussian, in heatmap pixels.
        limb_width: Full width of a limb's line, in heatmap pixels.
        match_sigmas: A candidate is the target's if it lies within this many sigmas of the target's keypoint.
    """

    target: float = 1.0
    candidates: float = 1.0
    relation: float = 1.0
    limbs: float = 0.01
    peak_emphasis: float = 0.0
    sigma: float = 2.0
    limb_width: float = 2.0
    match_sigmas: float = 1.5


@dataclass(frozen=True)
class AugmentConfig(_Strict):
    """Random changes to training crops (Section "Training" and HRNet's recipe).

    Attributes:
        rotation_deg: Spread of the rotation; applied to 6 of 10 crops, clipped at twice this.
        scale: Spread of the scale about 1, clipped at this.
        shift: Spread of the crop's position as a share of the region, uniform.
        flip: Probability of mirroring.
        half_body: Probability that a person with more than 8 labelled keypoints is cropped to one half of the body.
        colour: Spread of brightness, contrast and saturation about 1, uniform.
    """

    rotation_deg: float = 45.0
    scale: float = 0.35
    shift: float = 0.0
    flip: float = 0.5
    half_body: float = 0.3
    colour: float = 0.0


@dataclass(frozen=True)
class TrainingConfig(_Strict):
    """One training run.

    Attributes:
        epochs: How many epochs.
        epoch_samples: Crops in one epoch; 0 means every labelled person once.
        batch_size: Crops in one step and process.
        optimizer: "adam" (the paper) or "adamw".
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
        seed: Seeds initialisation, order and augmentation.
    """

    epochs: int = 210
    epoch_samples: int = 0
    batch_size: int = 32
    optimizer: Literal["adam", "adamw"] = "adam"
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
    seed: int = 0
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True)
class PoseConfig(_Strict):
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
class DetectorConfig(_Strict):
    """A person detector that predicts box centres on a heatmap.

    Attributes:
        name: The preset it came from.
        backbone: Name of a timm model.
        neck: What brings its maps to the stride.
        size_wh: Width and height of the input; pictures are scaled to fit and padded at the right and bottom.
        stride: Input pixels per heatmap pixel.
        max_boxes: How many boxes it returns at the most.
        box_threshold: Boxes that score less are left out where nobody asks for another threshold.
        mean: Mean of each RGB channel, values in 0..1.
        std: Standard deviation of each RGB channel.
        training: How it is or was trained; of the augmentation the rotation and half-body are not used.
    """

    name: str
    backbone: str = "hrnet_w18_small"
    neck: NeckConfig = field(default_factory=NeckConfig)
    size_wh: tuple[int, int] = (320, 320)
    stride: int = 4
    max_boxes: int = 100
    box_threshold: float = 0.3
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(config: object) -> str:
    """A config as indented JSON."""
    return _adapter(type(config)).dump_json(config, indent=2).decode()


def from_json(kind: type[Config], text: str | bytes, origin: str) -> Config:
    """Reads a config from JSON.

    Raises:
        RSGNetError: The text is not that config; `origin` is named as its source.
    """
    try:
        config: Config = _adapter(kind).validate_json(text)
    except ValidationError as error:
        raise RSGNetError(f"{origin}: not a {kind.__name__}: {_reasons(error)}") from error
    return config


def network_config(text: str | bytes, origin: str) -> PoseConfig | DetectorConfig:
    """Reads the config of a pose network or of a detector, whichever it is.

    Raises:
        RSGNetError: The text is neither; `origin` is named as its source.
    """
    if b'"crop"' in (text.encode() if isinstance(text, str) else text):
        return from_json(PoseConfig, text, origin)
    return from_json(DetectorConfig, text, origin)


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """A config changed by settings such as `training.batch_size=64`.

    Raises:
        RSGNetError: A setting is not `key=value`, its key does not exist, or its value does not fit.
    """
    values: dict[str, Any] = asdict(config)  # type: ignore[call-overload]
    for setting in settings:
        key, equals, text = setting.partition("=")
        *path, leaf = key.strip().split(".")
        branch: Any = values
        for step in path:
            branch = branch.get(step) if isinstance(branch, dict) else None
        if not equals or not isinstance(branch, dict) or leaf not in branch:
            known = ", ".join(branch) if isinstance(branch, dict) else ", ".join(values)
            raise RSGNetError(f"--set {setting}: expected key=value with a key out of {known}")
        branch[leaf] = text.split(",") if isinstance(branch[leaf], (tuple, list)) else text
    try:
        changed: Config = _adapter(type(config)).validate_python(values)
    except ValidationError as error:
        raise RSGNetError(f"--set: {_reasons(error)}") from error
    return changed


def _reasons(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
