"""What can be configured of person detectors, and of networks of any kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from rsgnet.config import IMAGENET_MEAN, IMAGENET_STD, NeckConfig, PoseConfig, Strict, TrainingConfig
from rsgnet.errors import RSGNetError


@dataclass(frozen=True)
class DetectorConfig(Strict):
    """A person detector that predicts box centres on a heatmap.

    Attributes:
        name: The preset it came from.
        backbone: Name of a timm model.
        neck: What brings its maps to the stride.
        size_wh: Width and height of the input; images are scaled to fit and padded at the right and bottom.
        stride: Input pixels per heatmap pixel.
        max_boxes: How many boxes it returns at the most.
        box_threshold: Boxes that score less are left out where nobody asks for another threshold.
        mean: Mean of each RGB channel, values in 0..1.
        std: Standard deviation of each RGB channel.
        training: How it is or was trained; of the augmentation rotation, shift and half-body are not used.
    """

    name: str
    backbone: str = "hrnet_w18_small"
    neck: NeckConfig = field(default_factory=NeckConfig)
    size_wh: tuple[int, int] = (320, 320)
    stride: int = 4
    max_boxes: int = 100
    box_threshold: float = 0.3
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    training: TrainingConfig = field(default_factory=TrainingConfig)


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
