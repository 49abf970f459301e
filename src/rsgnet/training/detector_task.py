"""The training of RTMDet as a Lightning module: dynamic assignment of cells to people, quality focal and IoU losses.

The network predicts a score and a box at each cell of its grids. Which cells are trained to predict a person depends on
their predictions (RTMDet, arXiv:2212.07784, section 3.4): those of lowest cost, which is computed from score, overlap
and distance from the person's centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import box_iou, generalized_box_iou_loss

from rsgnet.config import DetectorConfig
from rsgnet.data.detection import DetectionSample
from rsgnet.model import Detections
from rsgnet.model.layers import normalise
from rsgnet.model.person_detector import STRIDES, compute_cell_xy
from rsgnet.training.task import NetworkTask

_BOX_WEIGHT = 2.0  # of the box loss; the weight of the score loss is 1
_IOU_COST = 3.0
_CENTRE_RADIUS = 3.0  # strides from a box's centre at which the cost of the distance is 1; it grows tenfold per stride
_MAX_CELLS = 13  # for one person
_OUTSIDE_COST = 1e8  # of a cell outside a person's box


class DetectorTask(NetworkTask[DetectorConfig]):
    """Trains the person detector and validates it by its losses."""

    def forward(self, images: Tensor) -> Any:
        """Returns the `Detections` of (B, H, W, 3) uint8 RGB images."""
        return self.model(normalise(images, self.config.mean, self.config.std))

    def training_step(self, batch: DetectionSample, _: int) -> Tensor:
        """Returns the total loss of a batch."""
        return self._log("train", batch)

    def validation_step(self, batch: DetectionSample, _: int) -> None:
        """Logs the losses of a batch."""
        self._log("val", batch)

    def _log(self, stage: str, batch: DetectionSample) -> Tensor:
        score, box = detector_losses(self(batch.image), batch)
        for name, value in (("score", score), ("box", box)):
            self.log(f"{stage}/{name}", value, on_step=False, on_epoch=True, prog_bar=True, sync_dist=True)
        return score + _BOX_WEIGHT * box


@dataclass(frozen=True)
class Cells:
    """The N cells of all grids, in the order of `Detections`.

    Attributes:
        xy: (N, 2) position of each cell in input pixels.
        strides: (N,) distance of each cell from its neighbours in input pixels.
    """

    xy: Float[Tensor, "cells 2"]
    strides: Float[Tensor, " cells"]

    @classmethod
    def of_image(cls, height: int, width: int, device: torch.device) -> Cells:
        """Returns the cells for an input of a size in pixels."""
        grids = [compute_cell_xy((height // stride, width // stride), stride, device) for stride in STRIDES]
        strides = [
            torch.full((len(xy),), float(stride), device=device) for xy, stride in zip(grids, STRIDES, strict=True)
        ]
        return cls(torch.cat(grids), torch.cat(strides))


def detector_losses(detections: Detections, batch: DetectionSample) -> tuple[Tensor, Tensor]:
    """Computes the quality focal loss of the scores and the generalised IoU loss of the boxes.

    Cells in ignored boxes that are assigned to nobody count in neither loss.

    Returns:
        The score loss and the box loss, both () and divided by the sum of the assigned cells' overlaps.
    """
    cells = Cells.of_image(batch.image.shape[1], batch.image.shape[2], batch.image.device)
    score_loss, box_loss, total = (detections.logits.new_zeros(()) for _ in range(3))
    for logits, boxes, padded_people, padded_ignored in zip(
        detections.logits.float(), detections.boxes_xyxy, batch.boxes_xyxy, batch.ignored_xyxy, strict=True
    ):
        people = padded_people[padded_people.isfinite().all(-1)]
        ignored = padded_ignored[padded_ignored.isfinite().all(-1)]
        person = assign_cells(logits.detach(), boxes.detach(), people, cells)
        is_assigned = person >= 0
        quality = torch.zeros_like(logits)
        if is_assigned.any():
            assigned_boxes, assigned_people = boxes[is_assigned], people[person[is_assigned]]
            overlap = _paired_iou(assigned_boxes.detach(), assigned_people)
            quality[is_assigned] = overlap
            box_loss = box_loss + (overlap * generalized_box_iou_loss(assigned_boxes, assigned_people)).sum()
        counted = is_assigned | ~_is_within(cells.xy, ignored).any(1)
        score_loss = score_loss + (quality_focal_loss(logits, quality) * counted).sum()
        total = total + quality.sum()
    total = total.clamp(min=1)
    return score_loss / total, box_loss / total


def quality_focal_loss(logits: Float[Tensor, "*shape"], quality: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Computes the cross entropy with overlaps as labels, weighted by the squared errors (arXiv:2006.04388).

    Args:
        logits: Predicted scores before the sigmoid.
        quality: Overlaps (IoU) in 0..1, of the same shape.
    """
    distance = (quality - logits.sigmoid()).square()
    return distance * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")


def assign_cells(
    logits: Float[Tensor, " cells"], boxes: Float[Tensor, "cells 4"], people: Float[Tensor, "people 4"], cells: Cells
) -> Int[Tensor, " cells"]:
    """Assigns cells to people.

    A person gets as many cells as the sum of the 13 largest overlaps, rounded down, but at least one: those of lowest
    cost in the person's box. A cell that several people would get goes to the one for whom its cost is lowest.

    Args:
        logits: (N,) predicted scores before the sigmoid.
        boxes: (N, 4) predicted boxes, xyxy in input pixels.
        people: (P, 4) boxes of the people, xyxy in input pixels.
        cells: The N cells.

    Returns:
        (N,) the index of each cell's person, -1 for none.
    """
    assigned = torch.full_like(logits, -1, dtype=torch.int64)
    is_inside = _is_within(cells.xy, people)
    inside = is_inside.any(1).nonzero()[:, 0]
    if not len(inside):
        return assigned
    overlap = box_iou(boxes[inside], people)
    cost = _assignment_cost(logits[inside], overlap, people, Cells(cells.xy[inside], cells.strides[inside]))
    cost = cost + _OUTSIDE_COST * ~is_inside[inside]
    counts = overlap.topk(min(_MAX_CELLS, len(inside)), dim=0).values.sum(0).int().clamp(min=1)
    rank = cost.argsort(dim=0).argsort(dim=0)
    is_candidate = (rank < counts) & is_inside[inside]
    lowest = torch.where(is_candidate, cost, torch.inf).min(dim=1)
    is_assigned = lowest.values.isfinite()
    assigned[inside[is_assigned]] = lowest.indices[is_assigned]
    return assigned


def _assignment_cost(logits: Tensor, overlap: Tensor, people: Tensor, cells: Cells) -> Float[Tensor, "cells people"]:
    """Computes the cost of assigning each cell to each person."""
    scores = logits[:, None].expand_as(overlap)
    score_cost = quality_focal_loss(scores, overlap)
    centres = (people[:, :2] + people[:, 2:]) / 2
    distance = (cells.xy[:, None] - centres).norm(dim=-1) / cells.strides[:, None]
    cost: Tensor = score_cost - _IOU_COST * (overlap + 1e-7).log() + 10 ** (distance - _CENTRE_RADIUS)
    return cost


def _is_within(xy: Float[Tensor, "cells 2"], boxes: Float[Tensor, "boxes 4"]) -> Bool[Tensor, "cells boxes"]:
    """Returns whether each point lies in each box."""
    return ((xy[:, None] > boxes[:, :2]) & (xy[:, None] < boxes[:, 2:])).all(-1)


def _paired_iou(boxes: Float[Tensor, "pairs 4"], others: Float[Tensor, "pairs 4"]) -> Float[Tensor, " pairs"]:
    """Computes the IoU of each box with the other box of its row."""
    sides = (torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])).clamp(min=0)
    shared = sides.prod(-1)
    union = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1) + (others[:, 2:] - others[:, :2]).prod(-1) - shared
    iou: Tensor = shared / union.clamp(min=1e-7)
    return iou
