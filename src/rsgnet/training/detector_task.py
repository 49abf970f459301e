"""The detector's training as a Lightning module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from rsgnet.config import DetectorConfig
from rsgnet.data.detection import DetectionSample
from rsgnet.model import Detections
from rsgnet.model.layers import normalise
from rsgnet.training.task import NetworkTask

_SPREAD = 0.12  # standard deviation of a centre's Gaussian, as a share of its box's sides
_BOX_WEIGHT = 5.0  # of the box loss beside the centre loss, as in TTFNet
_CENTRE_SHARE = 0.25  # sides are learnt where the Gaussian is higher than this


class DetectorTask(NetworkTask[DetectorConfig]):
    """Trains a detector of centres: a penalty-reduced focal loss on centres, generalised IoU on boxes."""

    def forward(self, images: Tensor) -> Any:
        """(B, H, W, 3) uint8 RGB images to the detector's maps."""
        return self.model(normalise(images, self.config.mean, self.config.std))

    def training_step(self, batch: DetectionSample, _: int) -> Tensor:
        """The total loss of a batch."""
        return self._log("train", batch)

    def validation_step(self, batch: DetectionSample, _: int) -> None:
        """Logs the losses of a batch."""
        self._log("val", batch)

    def _log(self, stage: str, batch: DetectionSample) -> Tensor:
        labels = make_labels(batch, self.config.stride)
        found: Detections = self(batch.image)
        centre, box = centre_loss(found, labels), box_loss(found, labels, self.config.stride)
        for name, value in (("centre", centre), ("box", box)):
            self.log(f"{stage}/{name}", value, on_step=False, on_epoch=True, prog_bar=True, sync_dist=True)
        return centre + _BOX_WEIGHT * box


@dataclass(frozen=True)
class DetectionLabels:
    """What the detector should have said.

    Attributes:
        centres: (B, h, w) Gaussians about box centres, 1 at the pixel that holds the centre.
        at_centre: (B, h, w) which pixels hold a centre.
        counted: (B, h, w) false within ignored boxes, but for centres.
        boxes_xyxy: (B, h, w, 4) the box whose Gaussian is highest there, in input pixels.
        box_weights: (B, h, w) how much that box counts there: its Gaussian where it is high, 0 elsewhere, over its sum.
    """

    centres: Float[Tensor, "batch h w"]
    at_centre: Bool[Tensor, "batch h w"]
    counted: Bool[Tensor, "batch h w"]
    boxes_xyxy: Float[Tensor, "batch h w 4"]
    box_weights: Float[Tensor, "batch h w"]


def make_labels(batch: DetectionSample, stride: int) -> DetectionLabels:
    """Labels on the batch's device, from its boxes."""
    height, width = batch.image.shape[1] // stride, batch.image.shape[2] // stride
    rows = (torch.arange(height, device=batch.image.device) + 0.5)[:, None] * stride
    columns = (torch.arange(width, device=batch.image.device) + 0.5) * stride
    left, top, right, bottom = batch.boxes_xyxy[..., None, None].unbind(2)
    centre_x, centre_y = (left + right) / 2, (top + bottom) / 2
    # Counted from the pixel that holds the centre, so that every person has a pixel of height 1.
    held_x, held_y = (centre_x // stride + 0.5) * stride, (centre_y // stride + 0.5) * stride
    spread_x, spread_y = (
        (_SPREAD * (right - left)).clamp(min=stride / 2),
        (_SPREAD * (bottom - top)).clamp(min=stride / 2),
    )
    squared = ((columns - held_x) / spread_x).square() + ((rows - held_y) / spread_y).square()
    gaussians = torch.exp(-squared / 2).nan_to_num(0.0)
    centres, owner = gaussians.max(1)
    boxes = batch.boxes_xyxy.nan_to_num(0.0).gather(1, owner.flatten(1)[..., None].expand(-1, -1, 4))
    # A large person holds some forty pixels and a small one one or two: unshared, few of the small would be framed.
    high = torch.where(centres > _CENTRE_SHARE, centres, 0.0).flatten(1)
    sums = torch.zeros_like(gaussians[:, :, 0, 0]).scatter_add(1, owner.flatten(1), high)
    weights = high / sums.gather(1, owner.flatten(1)).clamp(min=_CENTRE_SHARE)
    at_centre = (gaussians > 1 - 1e-4).any(1)
    left, top, right, bottom = batch.ignored_xyxy[..., None, None].unbind(2)
    ignored = ((columns > left) & (columns < right) & (rows > top) & (rows < bottom)).any(1)
    return DetectionLabels(
        centres, at_centre, ~ignored | (centres > _CENTRE_SHARE),
        boxes.reshape(-1, height, width, 4), weights.reshape(-1, height, width),
    )  # fmt: skip


def centre_loss(found: Detections, labels: DetectionLabels) -> Tensor:
    """The penalty-reduced focal loss of CornerNet and CenterNet, per person."""
    logits = found.centre_logits[:, 0].float()
    likely = logits.sigmoid()
    missed = (1 - likely).square() * F.logsigmoid(logits) * labels.at_centre
    false_alarm = (1 - labels.centres) ** 4 * likely.square() * F.logsigmoid(-logits) * ~labels.at_centre
    return -((missed + false_alarm) * labels.counted).sum() / labels.at_centre.sum().clamp(min=1)


def box_loss(found: Detections, labels: DetectionLabels, stride: int) -> Tensor:
    """Generalised IoU loss at and about the centres, each pixel weighed by its Gaussian, each person alike."""
    chosen = labels.box_weights > 0
    batch, row, column = chosen.nonzero(as_tuple=True)
    if len(batch) == 0:
        return found.sides.sum() * 0.0
    sides = found.sides[batch, :, row, column].float()
    middle = (torch.stack([column, row], dim=-1) + 0.5) * stride
    boxes = torch.cat([middle - sides[:, :2], middle + sides[:, 2:]], dim=-1)
    weights = labels.box_weights[chosen]
    losses = generalized_box_iou_loss(boxes, labels.boxes_xyxy[chosen])
    mean: Tensor = (weights * losses).sum() / weights.sum()
    return mean
