"""The paper's person detector: torchvision's Faster R-CNN on a ResNet with a feature pyramid.

It differs from torchvision's in two points: person is the only class, and neither stage is trained to predict
background in the boxes of groups.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import FrozenBatchNorm2d

from rsgnet.config import FasterRCNNConfig
from rsgnet.errors import RSGNetError, WeightsError

PERSON, IGNORED = 1, -1  # the labels of training targets; torchvision's samplers skip negative labels
_BACKGROUND = 0
_MIN_IGNORED_SHARE = 0.5  # a box with a larger share of its area in an ignored box is not trained as background


class PersonRCNN(FasterRCNN):  # type: ignore[misc]  # torchvision carries no types
    """Predicts people's boxes. It normalises and scales images itself; boxes are in pixels of the given images.

    `forward` takes a list of (3, H, W) RGB images in 0..1. In evaluation mode it returns a dict for each image: `boxes`
    (N, 4) xyxy, `scores` (N,), highest first, and `labels` (N,), all PERSON. In training mode it also takes `targets`,
    a dict for each image with `boxes` (N, 4) xyxy and int64 `labels` (N,), first PERSON, then IGNORED, and returns a
    dict of losses.

    Args:
        config: Backbone, sizes and thresholds.
        pretrained: Whether the backbone starts from torchvision's ImageNet weights, which are downloaded on first use.

    Raises:
        RSGNetError: torchvision has no such ResNet.
        WeightsError: The ImageNet weights cannot be downloaded.
    """

    def __init__(self, config: FasterRCNNConfig, pretrained: bool = False) -> None:
        super().__init__(
            _make_backbone(config, pretrained),
            num_classes=2,
            min_size=config.shorter_side_px,
            max_size=config.longer_side_px,
            image_mean=config.mean,
            image_std=config.std,
            rpn_post_nms_top_n_train=2 * config.proposals,
            rpn_post_nms_top_n_test=config.proposals,
            box_batch_size_per_image=config.sampled_boxes,
            box_nms_thresh=config.nms_threshold,
            box_detections_per_img=config.max_boxes,
        )
        # FasterRCNN creates both stages itself. Only their assignment of training targets is replaced.
        self.rpn.__class__, self.roi_heads.__class__ = _FirstStage, _SecondStage


class _FirstStage(RegionProposalNetwork):  # type: ignore[misc]
    """torchvision's region proposal network, with anchors in ignored boxes left out of the loss."""

    def assign_targets_to_anchors(self, anchors: list[Tensor], targets: list[dict[str, Tensor]]) -> Any:
        """Returns for each image the labels (1 person, 0 background, -1 neither) and the boxes of its anchors."""
        people = [{"boxes": target["boxes"][target["labels"] == PERSON]} for target in targets]
        labels, boxes = super().assign_targets_to_anchors(anchors, people)
        return [_ignore_background(*image) for image in zip(labels, anchors, targets, strict=True)], boxes


class _SecondStage(RoIHeads):  # type: ignore[misc]
    """torchvision's second stage, with proposals in ignored boxes left out of the loss."""

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], boxes: list[Tensor], labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Returns for each image the indices of its proposals' boxes, and the proposals' labels."""
        is_person = [image_labels == PERSON for image_labels in labels]
        # People come first among the boxes, so that an index among people is one among all boxes.
        indices, assigned = super().assign_targets_to_proposals(
            proposals,
            [image_boxes[mask] for image_boxes, mask in zip(boxes, is_person, strict=True)],
            [image_labels[mask] for image_labels, mask in zip(labels, is_person, strict=True)],
        )
        targets = [{"boxes": box, "labels": label} for box, label in zip(boxes, labels, strict=True)]
        return indices, [_ignore_background(*image) for image in zip(assigned, proposals, targets, strict=True)]


def _ignore_background(labels: Tensor, boxes: Tensor, target: dict[str, Tensor]) -> Tensor:
    """Returns the labels of an image's boxes, IGNORED instead of background in ignored boxes."""
    regions = target["boxes"][target["labels"] == IGNORED]
    return labels.masked_fill((labels == _BACKGROUND) & is_mostly_within(boxes, regions), IGNORED)


def is_mostly_within(boxes: Float[Tensor, "n 4"], regions: Float[Tensor, "m 4"]) -> Bool[Tensor, " n"]:
    """Returns (N,) whether more than half of the area of each xyxy box lies in one of the xyxy regions."""
    low, high = torch.maximum(boxes[:, None, :2], regions[:, :2]), torch.minimum(boxes[:, None, 2:], regions[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return (shared > _MIN_IGNORED_SHARE * (boxes[:, 2:] - boxes[:, :2]).prod(-1)[:, None]).any(-1)


def _make_backbone(config: FasterRCNNConfig, pretrained: bool) -> nn.Module:
    """Returns torchvision's ResNet with a feature pyramid."""
    if config.backbone not in resnet.__all__ or not config.backbone.islower():
        raise RSGNetError(f"torchvision has no ResNet {config.backbone!r}; it has resnet18, resnet50, resnet101")
    is_imagenet = config.training.pretrained
    try:
        backbone: nn.Module = resnet_fpn_backbone(
            backbone_name=config.backbone,
            weights="IMAGENET1K_V1" if pretrained else None,
            norm_layer=FrozenBatchNorm2d if is_imagenet else nn.BatchNorm2d,
            trainable_layers=config.trained_stages if is_imagenet else 5,
        )
    except OSError as error:  # no network, or an interrupted download
        raise WeightsError(
            f"torchvision's ImageNet weights of {config.backbone} could not be downloaded ({error}); connect to a "
            "network once, or train from scratch with --set training.pretrained=false"
        ) from error
    return backbone
