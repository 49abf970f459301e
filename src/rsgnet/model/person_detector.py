"""A small person detector: one heatmap of box centres, and the box at each centre.

Every centre is a peak of its own, so that people who overlap stay apart without box suppression.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.detector_config import DetectorConfig
from rsgnet.model.backbone import Backbone


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

    def forward(self, pictures: Float[Tensor, "batch 3 height width"]) -> Detections:
        """(B, 3, H, W) normalised RGB to the detector's maps."""
        features = self.neck(self.backbone(pictures))
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
        centre = (torch.stack([index % width, index // width], dim=-1) + 0.5) * self.stride
        sides = detections.sides.float().flatten(2).transpose(1, 2)
        sides = sides.gather(1, index[..., None].expand(-1, -1, 4))
        return torch.cat([centre - sides[..., :2], centre + sides[..., 2:]], dim=-1), best
