"""The configuration of networks, as frozen dataclasses; `rsgnet.config_files` reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from rsgnet.errors import RSGNetError
from rsgnet.skeletons import Skeleton
from rsgnet.training_config import Strict, TrainingConfig

# Mean and standard deviation of ImageNet's RGB channels, values in 0..1, for torchvision's and timm's networks.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Bounds against configs from elsewhere that ask for huge networks; every network of this package is far below them.
_MAX_WIDTH, _MAX_DEPTH, _MAX_SIDE_PX = 4096, 64, 8192
_DETECTOR_STRIDE = 32  # of RTMDet's coarsest grid


Alignment = Literal["pixels", "corners", "crop_corners"]


@dataclass(frozen=True)
class CropConfig(Strict):
    """The crop of a person, which is the network's input, and the position of heatmap pixels in it.

    Attributes:
        size_wh: Width and height of the crop in pixels.
        stride: Crop pixels per heatmap pixel.
        padding: Factor by which the box, extended to the crop's aspect ratio, is enlarged.
        pixel_centre: Position of a pixel's centre in the pixel: 0.0 as in the released code, where mirrored heatmaps
            are shifted by (stride - 1) / stride pixels; or 0.5, which is exact under scaling and mirroring.
        mean: Mean of each RGB channel, values in 0..1.
        std: Standard deviation of each RGB channel, values in 0..1.
        alignment: How the region of the image, the crop and the heatmap are aligned. "pixels": the crop's pixels cover
            the region, and a heatmap pixel is `stride` crop pixels. "corners": the centres of the crop's corner pixels
            lie in the corners of the region, and those of the heatmap in those of the crop (MMPose's UDP).
            "crop_corners": the crop as in "corners", with heatmap pixels of `stride` crop pixels (PP-TinyPose).

    Raises:
        RSGNetError: A value is out of range.
    """

    size_wh: tuple[int, int] = (192, 256)
    stride: int = 4
    padding: float = 1.25
    pixel_centre: float = 0.0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    alignment: Alignment = "pixels"

    def __post_init__(self) -> None:
        if self.stride < 1 or max(self.size_wh) > _MAX_SIDE_PX:
            raise RSGNetError(
                f"crop size {self.size_wh} must be at most {_MAX_SIDE_PX}, and the stride {self.stride} positive"
            )
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
    """The neck, which brings a backbone's feature maps to the stride of the heatmaps.

    Attributes:
        kind: "none" (the backbone has a map of that stride), "deconvolutions" (SimpleBaseline's transposed convolutions
            on the coarsest map) or "pyramid" (all maps merged, from the coarsest to that of the heatmaps' stride).
        width: Channels of the pyramid.
        residuals: ResNet blocks at each stride of the pyramid.
        deepest_stride: Crop pixels per pixel of the coarsest map that is used.

    Raises:
        RSGNetError: A value is out of range.
    """

    kind: Literal["none", "deconvolutions", "pyramid"] = "none"
    width: int = 64
    residuals: int = 0
    deepest_stride: int = 32

    def __post_init__(self) -> None:
        if not (1 <= self.width <= _MAX_WIDTH and 0 <= self.residuals <= _MAX_DEPTH and self.deepest_stride >= 1):
            raise RSGNetError(
                f"a neck needs a width in 1..{_MAX_WIDTH}, residuals in 0..{_MAX_DEPTH} and a positive deepest_stride, "
                f"not {self.width}, {self.residuals} and {self.deepest_stride}"
            )


@dataclass(frozen=True)
class CandidateRelationConfig(Strict):
    """The paper's relation, between candidates from everyone's heatmaps (Eq. 1 and 2).

    Attributes:
        kind: "candidates", which tells this relation from others in files.
        clue_dim: d, the dimension of each of the three clue encodings.
        selection: Which pixels of a candidate heatmap become candidates: its "peaks", or, as in the paper, all "places"
            above the threshold, the highest first.
        peaks_per_keypoint: The most candidates from each candidate heatmap; Np is this times K.
        candidate_threshold: Lower candidates are masked out.
        evidence: Whether heatmaps of the candidates, each as high as A relates it to the others, join the features
            beside E_t; not in the paper.
        gradient_to_features: Whether gradients of the candidate heatmaps' and the relation's loss reach the features,
            as in the paper. If not, the features are trained only by the losses of target heatmaps and limbs.

    Raises:
        RSGNetError: A size is out of range.
    """

    kind: Literal["candidates"] = "candidates"
    clue_dim: int = 64
    selection: Literal["peaks", "places"] = "peaks"
    peaks_per_keypoint: int = 4
    candidate_threshold: float = 0.1
    evidence: bool = False
    gradient_to_features: bool = True

    def __post_init__(self) -> None:
        _check_widths(clue_dim=self.clue_dim, peaks_per_keypoint=self.peaks_per_keypoint)


@dataclass(frozen=True)
class DenseRelationConfig(Strict):
    """The relation of the authors' released code, between all pixels, with the heads of the released weights.

    Attributes:
        kind: "dense", which tells this relation from others in files.
        embedding_dim: Dimension of the embedding of a keypoint's name.
        subsample: Whether 2x2 windows, by their maxima, are related instead of pixels.
        peaks_per_keypoint: Peaks of each candidate heatmap that are returned as candidates.
        candidate_threshold: Lower peaks are masked out.

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
    """3x3 convolutions of the backbone's width instead of a relation: the control of an ablation.

    Attributes:
        kind: "convolutions", which tells this control from relations in files.
        count: Number of convolutions; two cost as much as the fusion of a relation with the features.

    Raises:
        RSGNetError: The count is out of range.
    """

    kind: Literal["convolutions"] = "convolutions"
    count: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _MAX_DEPTH:
            raise RSGNetError(f"the count of convolutions must be in 1..{_MAX_DEPTH}, not {self.count}")


def _check_widths(**widths: int) -> None:
    for name, width in widths.items():
        if not 1 <= width <= _MAX_WIDTH:
            raise RSGNetError(f"{name} must be in 1..{_MAX_WIDTH}, not {width}")


RelationConfig = CandidateRelationConfig | DenseRelationConfig | ConvolutionsConfig


def _relation_by_kind(value: Any) -> Any:
    """Returns a relation's defaults for the name of its kind, and None for "none"; leaves other values as they are."""
    if isinstance(value, str):
        return None if value == "none" else {"kind": value}
    return value


@dataclass(frozen=True)
class ModelConfig(Strict):
    """The parts of a pose network.

    Attributes:
        backbone: Name of a timm model; `lite_hrnet_w40`, or the same with another width; or an HRNet that timm does not
            have, such as `hrnet_w8_modules122_blocks2`: 8 channels at the finest resolution, 1, 2 and 2 modules in
            stages 2 to 4, 2 blocks in each branch.
        skeleton: The skeleton that the network predicts: the name of a built-in one, or a skeleton of your own, which
            is stored as a whole.
        relation: The relation between features and target heatmaps; None for a plain heatmap network.
        skeleton_graph: Whether the Skeleton Graph Machine (Eq. 3 and 4) predicts limbs.
        neck: The neck between backbone and heads.
        fusion: How the relation's embedding E_t, or the control's convolutions, change the features: a "convolution" of
            both replaces them; a "residual" is added to them and is 0 before training, so that a plain network to which
            modules are added starts with unchanged outputs; with "none" target heatmaps and limbs are predicted from
            E_t alone, as the paper prints it.

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
        if self.fusion == "none" and isinstance(self.relation, CandidateRelationConfig) and self.relation.evidence:
            raise RSGNetError("fusion 'none' reads E_t alone: set model.relation.evidence=false")

    @property
    def candidates(self) -> CandidateRelationConfig | DenseRelationConfig | None:
        """The relation of a network that also predicts candidate heatmaps; None for other networks."""
        return None if isinstance(self.relation, ConvolutionsConfig) else self.relation

    @property
    def relation_kind(self) -> str:
        """The name of the relation's kind; "none" without a relation."""
        return "none" if self.relation is None else self.relation.kind


Refinement = Literal["none", "quarter", "taylor", "udp", "expected_oks"]


@dataclass(frozen=True)
class DecodeConfig(Strict):
    """How heatmaps become poses.

    Attributes:
        flip_test: Whether heatmaps are averaged with those of the mirrored crop.
        refinement: How a keypoint is located within its heatmap's highest pixel: "none", "quarter" (a quarter pixel
            towards the higher neighbour, as in the paper), "taylor" (the maximum of the second-order expansion of the
            log-heatmap, as in DARK), "udp" (the same of a heatmap blurred more, as ViTPose decodes) or "expected_oks"
            (the position of the highest expected OKS).
        keypoint_threshold: Keypoints with higher scores count towards the pose's score, 0..1.
        nms_threshold: Of two poses with a higher OKS than this, the one with the lower score is removed.
        flip_shift: Heatmap pixels by which the mirrored heatmaps are shifted to the right; None for the shift that the
            crop's geometry requires.
    """

    flip_test: bool = True
    refinement: Refinement = "quarter"
    keypoint_threshold: float = 0.2
    nms_threshold: float = 0.9
    flip_shift: Literal[0, 1] | None = None


@dataclass(frozen=True)
class ExportOptions(Strict):
    """The options with which a pose network was exported to an ONNX or OpenVINO file.

    Attributes:
        flip_test: Whether the file averages heatmaps with those of the mirrored crops.
        decoding: Whether the file returns keypoints and scores instead of heatmaps.
        int8: Whether convolutions are quantised to 8 bits.
    """

    flip_test: bool = False
    decoding: bool = False
    int8: bool = False


@dataclass(frozen=True)
class PoseConfig(Strict):
    """The config of a pose network.

    Attributes:
        name: Name of the preset or recipe.
        crop: The crops that the network takes.
        model: The parts of the network.
        decode: How heatmaps become poses.
        training: How the network is or was trained.
    """

    name: str
    crop: CropConfig = field(default_factory=CropConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass(frozen=True)
class DetectorConfig(Strict):
    """The config of a person detector, RTMDet.

    Attributes:
        name: Name of the preset or recipe.
        width_multiple: Channels relative to the largest published network's; 0.25 for RTMDet-nano.
        depth_multiple: Blocks relative to the largest published network's; 1/3 for RTMDet-nano.
        size_wh: Width and height of the input in pixels. Images are scaled to fit and padded at the right and bottom.
        max_boxes: Number of boxes that the network returns, before the suppression of those that overlap.
        box_threshold: Default of the score below which boxes are left out, 0..1.
        nms_threshold: Of two boxes with a higher IoU than this, the one with the lower score is removed.
        mean: Mean of each RGB channel, values in 0..1.
        std: Standard deviation of each RGB channel, values in 0..1.
        training: How the network is or was trained. Rotation, shift and half-body augmentation are not used.

    Raises:
        RSGNetError: A value is out of range.
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
        if any(side % _DETECTOR_STRIDE or not _DETECTOR_STRIDE <= side <= _MAX_SIDE_PX for side in self.size_wh):
            raise RSGNetError(
                f"{self.name}: the sides of the input must be multiples of {_DETECTOR_STRIDE} up to {_MAX_SIDE_PX}, "
                f"not {self.size_wh}"
            )
        if not (0 < self.width_multiple <= 2 and 0 < self.depth_multiple <= 2 and 1 <= self.max_boxes <= _MAX_WIDTH):
            raise RSGNetError(
                f"{self.name}: width_multiple and depth_multiple must be in 0..2 and not 0, "
                f"max_boxes in 1..{_MAX_WIDTH}"
            )
        if not 0 < self.nms_threshold <= 1 or not 0 <= self.box_threshold <= 1:
            raise RSGNetError(f"{self.name}: thresholds must lie in 0..1")


@dataclass(frozen=True)
class FasterRCNNConfig(Strict):
    """The config of a person detector, torchvision's Faster R-CNN on a ResNet with a feature pyramid. PyTorch only.

    Attributes:
        name: Name of the preset.
        backbone: Name of a torchvision ResNet.
        shorter_side_px: Lengths to which the shorter side of an image is scaled: one of these at random in training,
            the last one in prediction.
        longer_side_px: Highest length of the longer side; images that would exceed it are scaled to it instead.
        trained_stages: How many of the backbone's five stages are trained, counted from the deepest, if it starts from
            ImageNet weights; its batch normalisations keep their statistics then. Without `training.pretrained`
            everything is trained.
        proposals: Boxes that the first stage passes to the second in prediction; twice as many in training.
        sampled_boxes: How many of these boxes the second stage is trained on, per image.
        max_boxes: Highest number of boxes in an image.
        box_threshold: Default of the score below which boxes are left out, 0..1.
        nms_threshold: Of two boxes with a higher IoU than this, the one with the lower score is removed. A higher
            threshold keeps more people who overlap, and more duplicates.
        mean: Mean of each RGB channel, values in 0..1.
        std: Standard deviation of each RGB channel, values in 0..1.
        training: How the network is or was trained. A batch consists of whole images; of the augmentation, mirroring,
            colour and pasting are used.

    Raises:
        RSGNetError: A value is out of range, or `training.frozen` is not empty.
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
            raise RSGNetError(f"{self.name}: numbers of boxes must be positive, and trained_stages in 0..5")
        if not 0 < self.nms_threshold <= 1 or not 0 <= self.box_threshold <= 1:
            raise RSGNetError(f"{self.name}: thresholds must lie in 0..1")
        if self.training.frozen:
            raise RSGNetError(f"{self.name}: set trained_stages instead of training.frozen to freeze Faster R-CNN")


AnyDetectorConfig = DetectorConfig | FasterRCNNConfig
NetworkConfig = PoseConfig | AnyDetectorConfig
