"""A small person detector: one heatmap of box centres, and the box at each centre.

Every centre is a peak of its own, so that people who overlap stay apart without box suppression. The pixels about a
peak have boxes of the same person, each wrong by itself: a person's box is their mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.config import DetectorConfig
from rsgnet.model.backbone import Backbone

_REACH = 2  # pixels from a peak on each side whose boxes are of its person, as far as they overlap the peak's own
_SAME_PERSON = 0.5  # by more IoU than this


@dataclass(frozen=True)
class Detections:
    """The detector's maps.

    Attributes:
        centre_logits: (B, 1, h, w) the logit that a person's box is centred there.
        sides: (B, 4, h, w) distances from the pixel's centre to the box's left, top, right and bottom, in input pixels.
    """

    centre_logits: Float[Tensor, "batch 1 height width"]
    sides: Float[Tensor, "batch 4 height width"]


class PersonDetector(nn.Module):
    """Finds people's boxes.

    Args:
        config: Backbone, input size and stride.
        pretrained: Whether the backbone starts from ImageNet weights.
    """

    def __init__(self, config: DetectorConfig, pretrained: bool = False) -> None:
        super().__init__()
        self.stride = config.stride
        self.max_boxes = config.max_boxes
        self.backbone = Backbone(config.backbone, config.stride, config.neck, pretrained)
        self.neck = nn.Sequential(
            nn.Conv2d(self.backbone.width, 64, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
        )
        self.centre_head = nn.Conv2d(64, 1, kernel_size=1)
        self.side_head = nn.Conv2d(64, 4, kernel_size=1)
        assert self.centre_head.bias is not None
        nn.init.constant_(self.centre_head.bias, -4.6)  # one pixel in a hundred is a centre, so losses start small

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Detections:
        """(B, 3, H, W) normalised RGB to the detector's maps."""
        features = self.neck(self.backbone(images))
        # Sides are predicted as logarithms of strides: always positive, and errors count relative to the size.
        sides = self.stride * self.side_head(features).clamp(-4, 6).exp()
        return Detections(self.centre_head(features), sides)

    def find_boxes(self, detections: Detections) -> tuple[Float[Tensor, "batch boxes 4"], Float[Tensor, "batch boxes"]]:
        """The boxes at the highest peaks.

        Returns:
            (B, M, 4) left, top, right, bottom in input pixels, and (B, M) scores in 0..1, highest first, 0 where there
            are no more peaks. M is `max_boxes`, or all pixels of maps that have fewer.
        """
        scores = detections.centre_logits.float().sigmoid()
        peaks = scores * (scores >= F.max_pool2d(scores, kernel_size=3, stride=1, padding=1))
        height, width = scores.shape[2:]
        best, index = peaks.flatten(1).topk(min(self.max_boxes, height * width), dim=-1)
        return self._boxes_about(index, scores[:, 0], detections.sides.float()), best

    def _boxes_about(self, peaks: Tensor, scores: Tensor, sides: Tensor) -> Tensor:
        """The mean box of the pixels about each peak, weighed by score and by overlap with the peak's own.

        Args:
            peaks: (B, M) row-major pixels.
            scores: (B, h, w).
            sides: (B, 4, h, w).
        """
        height, width = scores.shape[1:]
        across = 2 * _REACH + 1
        steps = torch.arange(across**2, device=peaks.device)
        # What would lie beyond the map is its edge once more.
        rows = ((peaks // width)[..., None] + steps // across - _REACH).clamp(0, height - 1)
        columns = ((peaks % width)[..., None] + steps % across - _REACH).clamp(0, width - 1)
        pixels = (rows * width + columns).flatten(1)
        weights = scores.flatten(1).gather(1, pixels).reshape(rows.shape)
        sides = sides.flatten(2).transpose(1, 2).gather(1, pixels[..., None].expand(-1, -1, 4)).reshape(*rows.shape, 4)
        centres = (torch.stack([columns, rows], dim=-1) + 0.5) * self.stride
        boxes = torch.cat([centres - sides[..., :2], centres + sides[..., 2:]], dim=-1)
        own = boxes[:, :, across**2 // 2, None]
        overlap = _iou(boxes, own)
        weights = weights.clamp(min=1e-9) * overlap.square() * (overlap > _SAME_PERSON)
        return (weights[..., None] * boxes).sum(2) / weights.sum(2, keepdim=True)


def _iou(boxes: Tensor, others: Tensor) -> Tensor:
    """(...) IoU of (..., 4) xyxy boxes, one by one; the oldest torchvision supported has it of all pairs only."""
    sides = torch.minimum(boxes[..., 2:], others[..., 2:]) - torch.maximum(boxes[..., :2], others[..., :2])
    shared = sides.clamp(min=0).prod(-1)
    return shared / (_area(boxes) + _area(others) - shared)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)
