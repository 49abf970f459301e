"""Faster R-CNN's training as a Lightning module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from rsgnet.config import FasterRCNNConfig
from rsgnet.data.detection import DetectionSample
from rsgnet.model.faster_rcnn import IGNORED, PERSON
from rsgnet.training.task import NetworkTask

_SMALLEST_SIDE_PX = 1.0  # boxes under this wide or high teach nothing, and torchvision refuses empty ones


class FasterRCNNTask(NetworkTask[FasterRCNNConfig]):
    """Trains a Faster R-CNN by torchvision's losses and validates it by the average precision of its boxes.

    Args:
        config: The network and its recipe.
        pretrained: Whether its backbone starts from ImageNet weights.
    """

    def __init__(self, config: FasterRCNNConfig, pretrained: bool = False) -> None:
        super().__init__(config, pretrained)
        self.average_precision = MeanAveragePrecision(
            max_detection_thresholds=[1, 10, config.max_boxes], backend="faster_coco_eval"
        )

    def training_step(self, batch: list[DetectionSample], _: int) -> Tensor:
        """The total loss of a batch."""
        losses: dict[str, Tensor] = self.model(_images(batch), [targets(each) for each in batch])
        total = torch.stack(list(losses.values())).sum()
        for name, value in {**losses, "total": total}.items():
            self.log(
                f"train/{name.removeprefix('loss_')}",
                value,
                prog_bar=name == "total",
                on_step=False,
                on_epoch=True,
                batch_size=len(batch),
                sync_dist=True,
            )
        return total

    def validation_step(self, batch: list[DetectionSample], _: int) -> None:
        """Notes the boxes found in a batch, one image at a time as in prediction: padding to others changes them."""
        found = [self.model([image])[0] for image in _images(batch)]
        self.average_precision.update(found, [_truth(each) for each in batch])

    def on_validation_epoch_end(self) -> None:
        """Logs the average precision over all validation images."""
        figures = self.average_precision.compute()
        self.average_precision.reset()
        for name, key in (("AP", "map"), ("AP50", "map_50"), ("AP75", "map_75")):
            self.log(f"val/box_{name}", figures[key].to(self.device), prog_bar=name == "AP50")


def targets(sample: DetectionSample) -> dict[str, Tensor]:
    """What PersonRCNN is to learn from one image: `boxes` and `labels`, people first, then what is ignored."""
    people, ignored = _real(sample.boxes_xyxy), _real(sample.ignored_xyxy)
    labels = [torch.full((len(each),), label) for each, label in ((people, PERSON), (ignored, IGNORED))]
    return {"boxes": torch.cat([people, ignored]), "labels": torch.cat(labels).to(people.device)}


def _truth(sample: DetectionSample) -> dict[str, Any]:
    """The same for the average precision, which takes what is ignored for crowds."""
    wanted = targets(sample)
    return {
        "boxes": wanted["boxes"],
        "labels": torch.full_like(wanted["labels"], PERSON),
        "iscrowd": (wanted["labels"] == IGNORED).int(),
    }


def _images(batch: list[DetectionSample]) -> list[Tensor]:
    """(3, H, W) RGB in 0..1 each."""
    return [each.image.permute(2, 0, 1) / 255 for each in batch]


def _real(boxes: Tensor) -> Tensor:
    """The boxes that pad no list and are no smaller than a pixel."""
    return boxes[(boxes[:, 2:] - boxes[:, :2] >= _SMALLEST_SIDE_PX).all(-1)]  # false for NaN
