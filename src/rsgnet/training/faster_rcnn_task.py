"""The training of Faster R-CNN as a Lightning module."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from rsgnet.config import FasterRCNNConfig
from rsgnet.data.detection import DetectionSample
from rsgnet.model.faster_rcnn import IGNORED, PERSON
from rsgnet.training.task import NetworkTask

_SMALLEST_SIDE_PX = 1.0  # smaller boxes are left out; torchvision refuses empty ones


class FasterRCNNTask(NetworkTask[FasterRCNNConfig]):
    """Trains Faster R-CNN with torchvision's losses and validates it by the average precision of its boxes.

    Args:
        config: The network and its training.
        pretrained: Whether the backbone starts from ImageNet weights.
    """

    def __init__(self, config: FasterRCNNConfig, pretrained: bool = False) -> None:
        super().__init__(config, pretrained)
        self.average_precision = MeanAveragePrecision(
            max_detection_thresholds=[1, 10, config.max_boxes], backend="pycocotools"
        )

    def training_step(self, batch: list[DetectionSample], _: int) -> Tensor:
        """Returns the total loss of a batch."""
        losses: dict[str, Tensor] = self.model(_to_images(batch), [make_targets(sample) for sample in batch])
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
        """Adds the boxes of a batch to the average precision.

        Images are run one by one, as in prediction, because padding an image to the size of others changes its boxes.
        """
        predictions = [self.model([image])[0] for image in _to_images(batch)]
        self.average_precision.update(predictions, [_make_truth(sample) for sample in batch])

    def on_validation_epoch_end(self) -> None:
        """Logs the average precision over all validation images."""
        figures = self.average_precision.compute()
        self.average_precision.reset()
        for name, key in (("AP", "map"), ("AP50", "map_50"), ("AP75", "map_75")):
            self.log(f"val/box_{name}", figures[key].to(self.device), prog_bar=name == "AP50")


def make_targets(sample: DetectionSample) -> dict[str, Tensor]:
    """Returns the training targets of one image for `PersonRCNN`.

    Returns:
        `boxes`, (N, 4) xyxy in pixels, and `labels`, (N,), PERSON for people, who come first, or IGNORED.
    """
    people, ignored = _select_valid(sample.boxes_xyxy), _select_valid(sample.ignored_xyxy)
    labels = [torch.full((len(boxes),), label) for boxes, label in ((people, PERSON), (ignored, IGNORED))]
    return {"boxes": torch.cat([people, ignored]), "labels": torch.cat(labels).to(people.device)}


def _make_truth(sample: DetectionSample) -> dict[str, Any]:
    """Returns the truth of one image for the average precision, with ignored boxes as crowds."""
    targets = make_targets(sample)
    return {
        "boxes": targets["boxes"],
        "labels": torch.full_like(targets["labels"], PERSON),
        "iscrowd": (targets["labels"] == IGNORED).int(),
    }


def _to_images(batch: list[DetectionSample]) -> list[Tensor]:
    """Returns the images of a batch, each (3, H, W) RGB in 0..1."""
    return [sample.image.permute(2, 0, 1) / 255 for sample in batch]


def _select_valid(boxes: Tensor) -> Tensor:
    """Returns the boxes that are not padding and at least a pixel wide and high."""
    return boxes[(boxes[:, 2:] - boxes[:, :2] >= _SMALLEST_SIDE_PX).all(-1)]  # false for NaN
