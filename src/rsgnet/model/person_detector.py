"""RTMDet as a person detector: CSPNeXt backbone, path-aggregation neck, separable heads at strides 8, 16 and 32.

Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors" (arXiv:2212.07784), in the depthwise
form of its nano size and for one class, people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.config import DetectorConfig
from rsgnet.model.layers import convolution

STRIDES = (8, 16, 32)
_STAGE_WIDTHS = (64, 128, 256, 512, 1024)  # of the stem and the stages, at a width multiple of 1
_STAGE_BLOCKS = (3, 6, 6, 3)
_STACKED = 2  # separable convolutions in each head
_RARE = -4.6  # the logit of one in a hundred: most of an image is nobody


@dataclass(frozen=True)
class Detections:
    """What the network predicts at each cell of its three grids, N in all, row by row and finest grid first.

    Attributes:
        logits: (B, N) the logit that a person is found there; its sigmoid is the score.
        boxes_xyxy: (B, N, 4) left, top, right, bottom of the person in input pixels.
    """

    logits: Float[Tensor, "batch cells"]
    boxes_xyxy: Float[Tensor, "batch cells 4"]


class PersonDetector(nn.Module):
    """Finds people's boxes with RTMDet.

    Args:
        config: Width and depth of the network.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.max_boxes = config.max_boxes
        self.rtmdet = RTMDet(config.width_multiple, config.depth_multiple)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Detections:
        """(B, 3, H, W) normalised RGB, H and W multiples of 32, to a prediction at each cell."""
        logits, boxes = [], []
        for (scores, sides), stride in zip(self.rtmdet(images), STRIDES, strict=True):
            cells = compute_cell_xy(scores.shape[2:], stride, images.device)
            reach = stride * sides.flatten(2).transpose(1, 2).float()
            logits.append(scores.flatten(1))
            boxes.append(torch.cat([cells - reach[..., :2], cells + reach[..., 2:]], dim=-1))
        return Detections(torch.cat(logits, dim=1), torch.cat(boxes, dim=1))

    def find_boxes(self, detections: Detections) -> tuple[Float[Tensor, "batch boxes 4"], Float[Tensor, "batch boxes"]]:
        """The predictions with the highest scores; one person has several that overlap.

        Returns:
            (B, M, 4) left, top, right, bottom in input pixels, and (B, M) scores in 0..1, highest first. M is
            `max_boxes`, or the number of cells where that is less.
        """
        count = min(self.max_boxes, detections.logits.shape[1])
        scores, cells = detections.logits.float().sigmoid().topk(count, dim=1)
        return detections.boxes_xyxy.gather(1, cells[..., None].expand(-1, -1, 4)), scores


class RTMDet(nn.Module):
    """The network, whose convolutions run in the order of the published one's.

    Args:
        width_multiple: Of the published channels; 0.25 is RTMDet-nano.
        depth_multiple: Of the published blocks; a third is RTMDet-nano.
    """

    def __init__(self, width_multiple: float, depth_multiple: float) -> None:
        super().__init__()
        widths = [round(width * width_multiple) for width in _STAGE_WIDTHS]
        blocks = [max(round(count * depth_multiple), 1) for count in _STAGE_BLOCKS]
        self.backbone = CSPNeXt(widths, blocks)
        self.neck = PathAggregation(widths[2:], blocks[0])
        self.heads = nn.ModuleList(Head(widths[2]) for _ in STRIDES)

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(B, 3, H, W) to what `Head` predicts at each stride, finest first."""
        return [head(features) for head, features in zip(self.heads, self.neck(self.backbone(images)), strict=True)]


def compute_cell_xy(shape_hw: Sequence[int], stride: int, device: torch.device) -> Float[Tensor, "cells 2"]:
    """(h * w, 2) the x and y in input pixels that each cell of a grid stands for, row by row."""
    rows = torch.arange(shape_hw[0], device=device) * stride
    columns = torch.arange(shape_hw[1], device=device) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2).float()


class CSPNeXt(nn.Module):
    """The backbone.

    Args:
        widths: Channels of the stem and of the four stages.
        blocks: Blocks of each stage.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        stem, *_ = widths
        self.stem = nn.Sequential(
            activated(convolution(3, stem // 2, 3, stride=2)),
            activated(convolution(stem // 2, stem // 2, 3)),
            activated(convolution(stem // 2, stem, 3)),
        )
        self.stages = nn.ModuleList()
        for stage, (before, width, count) in enumerate(zip(widths[:-1], widths[1:], blocks, strict=True), start=1):
            last = stage == len(blocks)
            layers: list[nn.Module] = [separable(before, width, stride=2)]
            if last:
                layers.append(SpatialPyramidPooling(width))
            layers.append(CSPLayer(width, width, count, residual=not last, attention=True))
            self.stages.append(nn.Sequential(*layers))

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to the maps of the last three stages, at strides 8, 16 and 32."""
        maps, features = [], self.stem(images)
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return maps[1:]


class PathAggregation(nn.Module):
    """Mixes the maps of three strides from coarse to fine and back, and brings all to the width of the finest.

    Args:
        widths: Channels of the maps, finest first.
        blocks: Blocks of each mixing layer.
    """

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        finest, middle, coarsest = widths
        self.reduce = nn.ModuleList(
            [activated(convolution(coarsest, middle, 1)), activated(convolution(middle, finest, 1))]
        )
        self.top_down = nn.ModuleList([CSPLayer(2 * middle, middle, blocks), CSPLayer(2 * finest, finest, blocks)])
        self.down = nn.ModuleList([separable(finest, finest, stride=2), separable(middle, middle, stride=2)])
        self.bottom_up = nn.ModuleList([CSPLayer(2 * finest, middle, blocks), CSPLayer(2 * middle, coarsest, blocks)])
        self.output = nn.ModuleList(separable(width, finest) for width in widths)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, widths[i], H / strides[i], W / strides[i]) maps to as many of `widths[0]` channels."""
        fine, middle, coarse = maps
        reduced_coarse = self.reduce[0](coarse)
        middle = self.top_down[0](torch.cat([_doubled(reduced_coarse), middle], dim=1))
        reduced_middle = self.reduce[1](middle)
        fine = self.top_down[1](torch.cat([_doubled(reduced_middle), fine], dim=1))
        middle = self.bottom_up[0](torch.cat([self.down[0](fine), reduced_middle], dim=1))
        coarse = self.bottom_up[1](torch.cat([self.down[1](middle), reduced_coarse], dim=1))
        return [layer(each) for layer, each in zip(self.output, (fine, middle, coarse), strict=True)]


class Head(nn.Module):
    """Predicts at one stride whether a person is at each cell, and how far the sides of the box are from it.

    Args:
        width: Channels of the features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score_features = nn.Sequential(*(separable(width, width) for _ in range(_STACKED)))
        self.score = nn.Conv2d(width, 1, kernel_size=1)
        self.side_features = nn.Sequential(*(separable(width, width) for _ in range(_STACKED)))
        self.sides = nn.Conv2d(width, 4, kernel_size=1)
        assert self.score.bias is not None
        nn.init.constant_(self.score.bias, _RARE)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, width, h, w) to (B, 1, h, w) logits and (B, 4, h, w) distances in strides: left, top, right, bottom."""
        scores = self.score(self.score_features(features))
        return scores, self.sides(self.side_features(features))


class CSPLayer(nn.Module):
    """Sends half of the channels through blocks and joins the halves.

    Args:
        inputs: Channels of the map.
        outputs: Channels that are wanted.
        blocks: How many blocks.
        residual: Whether blocks add to their input.
        attention: Whether the joined channels are weighed.
    """

    def __init__(
        self, inputs: int, outputs: int, blocks: int, *, residual: bool = False, attention: bool = False
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.short = activated(convolution(inputs, half, 1))
        self.main = activated(convolution(inputs, half, 1))
        self.blocks = nn.Sequential(*(CSPNeXtBlock(half, residual) for _ in range(blocks)))
        self.attention = ChannelAttention(outputs) if attention else nn.Identity()
        self.output = activated(convolution(outputs, outputs, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        short = self.short(maps)
        joined: Tensor = self.output(self.attention(torch.cat([self.blocks(self.main(maps)), short], dim=1)))
        return joined


class CSPNeXtBlock(nn.Module):
    """A separable 3x3 and a separable 5x5 convolution.

    Args:
        width: Channels.
        residual: Whether the result is added to what is given.
    """

    def __init__(self, width: int, residual: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(separable(width, width), separable(width, width, size=5))
        self.residual = residual

    def forward(self, maps: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        changed: Tensor = self.layers(maps)
        return changed + maps if self.residual else changed


class ChannelAttention(nn.Module):
    """Weighs each channel by what all means together say of it.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(width, width, kernel_size=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        return maps * F.hardsigmoid(self.weigh(maps.mean((2, 3), keepdim=True)))


class SpatialPyramidPooling(nn.Module):
    """Joins maxima over growing surroundings, for context.

    Args:
        width: Channels, kept.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = activated(convolution(width, width // 2, 1))
        self.pools = nn.ModuleList(nn.MaxPool2d(size, stride=1, padding=size // 2) for size in (5, 9, 13))
        self.output = activated(convolution(2 * width, width, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        reduced = self.reduce(maps)
        joined: Tensor = self.output(torch.cat([reduced, *(pool(reduced) for pool in self.pools)], dim=1))
        return joined


def activated(layers: nn.Sequential) -> nn.Sequential:
    """The same with a SiLU behind it."""
    return layers.append(nn.SiLU(inplace=True))


def separable(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """A depthwise convolution and a pointwise one, each with its batch normalisation and a SiLU."""
    depthwise = activated(convolution(inputs, inputs, size, groups=inputs, stride=stride))
    return nn.Sequential(depthwise, activated(convolution(inputs, outputs, 1)))


def _doubled(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2.0, mode="nearest")
