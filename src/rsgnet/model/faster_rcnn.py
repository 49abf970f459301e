"""The paper's person detector: Faster R-CNN on a ResNet with a feature pyramid, as torchvision builds it.

Two things are ours: there is one class, person, and boxes about groups teach neither stage that nobody is there.
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

PERSON, IGNORED = 1, -1  # the labels of training targets; torchvision's samplers pass over negative labels
_BACKGROUND = 0
_WITHIN = 0.5  # a box with more of its area than this in an ignored one is not taught to be background


class PersonRCNN(FasterRCNN):  # type: ignore[misc]  # torchvision carries no types
    """Finds people's boxes. Normalises and scales images itself, and brings boxes back to their pixels.

    Called with a list of (3, H, W) RGB images in 0..1: in prediction gives for each a dict of `boxes` (N, 4) left,
    top, right, bottom in its pixels, `scores` (N,), highest first, and `labels` (N,), all PERSON; in training takes
    `targets` too, one dict an image of `boxes` and int64 `labels`, PERSON ones first, then IGNORED ones, and gives a
    dict of losses.

    Args:
        config: Backbone, sizes and thresholds.
        pretrained: Whether the backbone starts from torchvision's ImageNet weights, fetched on first use.

    Raises:
        RSGNetError: torchvision has no such ResNet.
        WeightsError: The ImageNet weights cannot be fetched.
    """

    def __init__(self, config: FasterRCNNConfig, pretrained: bool = False) -> None:
        super().__init__(
            _backbone(config, pretrained),
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
        # FasterRCNN makes both stages itself; how they work stays, only what they learn from changes.
        self.rpn.__class__, self.roi_heads.__class__ = _FirstStage, _SecondStage


class _FirstStage(RegionProposalNetwork):  # type: ignore[misc]
    """torchvision's, with anchors in ignored boxes left out of the loss."""

    def assign_targets_to_anchors(self, anchors: list[Tensor], targets: list[dict[str, Tensor]]) -> Any:
        """Labels (1 person, 0 background, -1 neither) and the box of each anchor, image by image."""
        people = [{"boxes": each["boxes"][each["labels"] == PERSON]} for each in targets]
        labels, boxes = super().assign_targets_to_anchors(anchors, people)
        return [_spared(*each) for each in zip(labels, anchors, targets, strict=True)], boxes


class _SecondStage(RoIHeads):  # type: ignore[misc]
    """torchvision's, with proposals in ignored boxes left out of the loss."""

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], boxes: list[Tensor], labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The index of each proposal's box and its label, image by image."""
        targets = [{"boxes": b, "labels": each} for b, each in zip(boxes, labels, strict=True)]
        people = [each["labels"] == PERSON for each in targets]
        # People stand first among the boxes, so that an index among people is one among all.
        matched, found = super().assign_targets_to_proposals(
            proposals,
            [each[owned] for each, owned in zip(boxes, people, strict=True)],
            [each[owned] for each, owned in zip(labels, people, strict=True)],
        )
        return matched, [_spared(*each) for each in zip(found, proposals, targets, strict=True)]


def _spared(labels: Tensor, boxes: Tensor, target: dict[str, Tensor]) -> Tensor:
    """The labels, with background in ignored boxes made neither."""
    regions = target["boxes"][target["labels"] == IGNORED]
    return labels.masked_fill((labels == _BACKGROUND) & within(boxes, regions), IGNORED)


def within(boxes: Float[Tensor, "n 4"], regions: Float[Tensor, "m 4"]) -> Bool[Tensor, " n"]:
    """Which (N, 4) boxes lie in one of (M, 4) regions with more than half of their area."""
    low, high = torch.maximum(boxes[:, None, :2], regions[:, :2]), torch.minimum(boxes[:, None, 2:], regions[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return (shared > _WITHIN * (boxes[:, 2:] - boxes[:, :2]).prod(-1)[:, None]).any(-1)


def _backbone(config: FasterRCNNConfig, pretrained: bool) -> nn.Module:
    if config.backbone not in resnet.__all__ or not config.backbone.islower():
        raise RSGNetError(f"torchvision has no ResNet {config.backbone!r}; there are resnet18, resnet50, resnet101")
    from_imagenet = config.training.pretrained
    try:
        backbone: nn.Module = resnet_fpn_backbone(
            backbone_name=config.backbone,
            weights="IMAGENET1K_V1" if pretrained else None,
            norm_layer=FrozenBatchNorm2d if from_imagenet else nn.BatchNorm2d,
            trainable_layers=config.trained_stages if from_imagenet else 5,
        )
    except OSError as error:  # no network, a cut download
        raise WeightsError(
            f"torchvision's ImageNet weights of {config.backbone} could not be fetched ({error}); connect to a network "
            "once, or train from scratch with --set training.pretrained=false"
        ) from error
    return backbone
