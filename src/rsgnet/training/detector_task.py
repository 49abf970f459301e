"""The training of RTMDet as a Lightning module: dynamic assignment of cells to people, quality focal and IoU losses.

Each cell of the network's grids is a possible answer. Which cells answer for a person follows from their predictions,
as in RTMDet (arXiv:2212.07784, section 3.4): those that cost least by score, overlap and distance from the centre.
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
from rsgnet.model.person_detector import STRIDES, cell_places
from rsgnet.training.task import NetworkTask

_BOX_WEIGHT = 2.0  # of the box loss beside the score loss
_IOU_COST = 3.0
_CENTRE_RADIUS = 3.0  # strides from a box's centre beyond which the cost of a cell soars
_MOST_CELLS = 13  # for one person
_OUTSIDE = 1e8  # the cost of a cell outside a person's box


class DetectorTask(NetworkTask[DetectorConfig]):
    """Trains the person detector and validates it by its losses."""

    def forward(self, images: Tensor) -> Any:
        """(B, H, W, 3) uint8 RGB images to the detector's predictions."""
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
    """The cells of all grids, N in all, in the order of `Detections`.

    Attributes:
        xy: (N, 2) the place in input pixels that each stands for.
        strides: (N,) input pixels between it and its neighbour.
    """

    xy: Float[Tensor, "cells 2"]
    strides: Float[Tensor, " cells"]

    @classmethod
    def of_image(cls, height: int, width: int, device: torch.device) -> Cells:
        """The cells for an input of that size."""
        places = [cell_places((height // stride, width // stride), stride, device) for stride in STRIDES]
        strides = [
            torch.full((len(xy),), float(stride), device=device) for xy, stride in zip(places, STRIDES, strict=True)
        ]
        return cls(torch.cat(places), torch.cat(strides))


def detector_losses(found: Detections, batch: DetectionSample) -> tuple[Tensor, Tensor]:
    """Computes the quality focal loss of the scores and the generalised IoU loss of the boxes.

    Cells within ignored boxes that answer for nobody count in neither.
    """
    cells = Cells.of_image(batch.image.shape[1], batch.image.shape[2], batch.image.device)
    score_loss, box_loss, total = found.logits.new_zeros(()), found.boxes_xyxy.new_zeros(()), found.logits.new_zeros(())
    for logits, boxes, wanted, ignored in zip(
        found.logits.float(), found.boxes_xyxy, batch.boxes_xyxy, batch.ignored_xyxy, strict=True
    ):
        people, groups = wanted[wanted.isfinite().all(-1)], ignored[ignored.isfinite().all(-1)]
        owner = assign_cells(logits.detach(), boxes.detach(), people, cells)
        answering = owner >= 0
        quality = torch.zeros_like(logits)
        if answering.any():
            own_boxes, own_people = boxes[answering], people[owner[answering]]
            overlap = _paired_iou(own_boxes.detach(), own_people)
            quality[answering] = overlap
            box_loss = box_loss + (overlap * generalized_box_iou_loss(own_boxes, own_people)).sum()
        counted = answering | ~_within(cells.xy, groups).any(1)
        score_loss = score_loss + (quality_focal_loss(logits, quality) * counted).sum()
        total = total + quality.sum()
    total = total.clamp(min=1)
    return score_loss / total, box_loss / total


def quality_focal_loss(logits: Float[Tensor, "*shape"], quality: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Computes the cross entropy with overlaps as labels, weighed by squared distances from them (arXiv:2006.04388)."""
    distance = (quality - logits.sigmoid()).square()
    return distance * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")


def assign_cells(
    logits: Float[Tensor, " cells"], boxes: Float[Tensor, "cells 4"], people: Float[Tensor, "people 4"], cells: Cells
) -> Int[Tensor, " cells"]:
    """Chooses which cells answer for which person.

    Args:
        logits: Predicted scores before the sigmoid.
        boxes: Predicted boxes, xyxy in input pixels.
        people: The boxes of everyone, xyxy in input pixels.
        cells: Where the cells lie.

    Returns:
        (N,) the index of the person, -1 for nobody. A person has as many cells as the overlaps of the best 13 sum to,
        at least one; a cell wanted by several answers for the one it costs least.
    """
    owner = torch.full_like(logits, -1, dtype=torch.int64)
    inside = _within(cells.xy, people)
    chosen = inside.any(1).nonzero()[:, 0]
    if not len(chosen):
        return owner
    overlap = box_iou(boxes[chosen], people)
    cost = _assignment_cost(logits[chosen], overlap, people, Cells(cells.xy[chosen], cells.strides[chosen]))
    cost = cost + _OUTSIDE * ~inside[chosen]
    most = min(_MOST_CELLS, len(chosen))
    counts = overlap.topk(most, dim=0).values.sum(0).int().clamp(min=1)
    rank = cost.argsort(dim=0).argsort(dim=0)
    wanted = (rank < counts) & inside[chosen]
    cheapest = torch.where(wanted, cost, torch.inf).min(dim=1)
    taken = cheapest.values.isfinite()
    owner[chosen[taken]] = cheapest.indices[taken]
    return owner


def _assignment_cost(logits: Tensor, overlap: Tensor, people: Tensor, cells: Cells) -> Float[Tensor, "cells people"]:
    scores = logits[:, None].expand_as(overlap)
    score_cost = quality_focal_loss(scores, overlap)
    centres = (people[:, :2] + people[:, 2:]) / 2
    distance = (cells.xy[:, None] - centres).norm(dim=-1) / cells.strides[:, None]
    cost: Tensor = score_cost - _IOU_COST * (overlap + 1e-7).log() + 10 ** (distance - _CENTRE_RADIUS)
    return cost


def _within(xy: Float[Tensor, "cells 2"], boxes: Float[Tensor, "boxes 4"]) -> Bool[Tensor, "cells boxes"]:
    return ((xy[:, None] > boxes[:, :2]) & (xy[:, None] < boxes[:, 2:])).all(-1)


def _paired_iou(boxes: Float[Tensor, "pairs 4"], others: Float[Tensor, "pairs 4"]) -> Float[Tensor, " pairs"]:
    overlap = (torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])).clamp(min=0)
    shared = overlap.prod(-1)
    union = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1) + (others[:, 2:] - others[:, :2]).prod(-1) - shared
    iou: Tensor = shared / union.clamp(min=1e-7)
    return iou
