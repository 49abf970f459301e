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
_HEAD_DEPTH = 2  # separable convolutions before each output
_SCORE_BIAS = -4.6  # the logit of 0.01, because few cells show a person


@dataclass(frozen=True)
class Detections:
    """Predictions at the N cells of the three grids, finest grid first, each grid row by row.

    Attributes:
        logits: (B, N) scores before the sigmoid.
        boxes_xyxy: (B, N, 4) left, top, right, bottom of the person in input pixels.
    """

    logits: Float[Tensor, "batch cells"]
    boxes_xyxy: Float[Tensor, "batch cells 4"]


class PersonDetector(nn.Module):
    """RTMDet with the single class person.

    Args:
        config: Width and depth of the network, and the number of boxes.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.max_boxes = config.max_boxes
        self.rtmdet = RTMDet(config.width_multiple, config.depth_multiple)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Detections:
        """Returns the predictions for (B, 3, H, W) normalised RGB images; H and W are multiples of 32."""
        logits, boxes = [], []
        for (scores, sides), stride in zip(self.rtmdet(images), STRIDES, strict=True):
            cells = compute_cell_xy(scores.shape[2:], stride, images.device)
            distances = stride * sides.flatten(2).transpose(1, 2).float()
            logits.append(scores.flatten(1))
            boxes.append(torch.cat([cells - distances[..., :2], cells + distances[..., 2:]], dim=-1))
        return Detections(torch.cat(logits, dim=1), torch.cat(boxes, dim=1))

    def find_boxes(self, detections: Detections) -> tuple[Float[Tensor, "batch boxes 4"], Float[Tensor, "batch boxes"]]:
        """Selects the predictions with the highest scores, without suppression of those that overlap.

        Returns:
            (B, M, 4) left, top, right, bottom in input pixels, and (B, M) scores in 0..1, highest first. M is
            `max_boxes`, or the number of cells where that is less.
        """
        count = min(self.max_boxes, detections.logits.shape[1])
        scores, cells = detections.logits.float().sigmoid().topk(count, dim=1)
        return detections.boxes_xyxy.gather(1, cells[..., None].expand(-1, -1, 4)), scores


class RTMDet(nn.Module):
    """RTMDet's backbone, neck and heads.

    `rsgnet.pretrained` relies on `forward` running the convolutions in the order of the published network.

    Args:
        width_multiple: Channels relative to the largest published network's; 0.25 for RTMDet-nano.
        depth_multiple: Blocks relative to the largest published network's; 1/3 for RTMDet-nano.
    """

    def __init__(self, width_multiple: float, depth_multiple: float) -> None:
        super().__init__()
        widths = [round(width * width_multiple) for width in _STAGE_WIDTHS]
        blocks = [max(round(count * depth_multiple), 1) for count in _STAGE_BLOCKS]
        self.backbone = CSPNeXt(widths, blocks)
        self.neck = PathAggregation(widths[2:], blocks[0])
        self.heads = nn.ModuleList(Head(widths[2]) for _ in STRIDES)

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Returns the outputs of `Head` at each stride, finest first, for (B, 3, H, W) images."""
        return [head(features) for head, features in zip(self.heads, self.neck(self.backbone(images)), strict=True)]


def compute_cell_xy(shape_hw: Sequence[int], stride: int, device: torch.device) -> Float[Tensor, "cells 2"]:
    """Returns (h * w, 2) positions of a grid's cells in input pixels, row by row."""
    rows = torch.arange(shape_hw[0], device=device) * stride
    columns = torch.arange(shape_hw[1], device=device) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2).float()


class CSPNeXt(nn.Module):
    """The backbone, CSPNeXt.

    Args:
        widths: Channels of the stem and of the four stages.
        blocks: Number of blocks in each stage.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        stem, *_ = widths
        self.stem = nn.Sequential(
            with_silu(convolution(3, stem // 2, 3, stride=2)),
            with_silu(convolution(stem // 2, stem // 2, 3)),
            with_silu(convolution(stem // 2, stem, 3)),
        )
        self.stages = nn.ModuleList()
        for stage, (inputs, width, count) in enumerate(zip(widths[:-1], widths[1:], blocks, strict=True), start=1):
            is_last = stage == len(blocks)
            layers: list[nn.Module] = [separable(inputs, width, stride=2)]
            if is_last:
                layers.append(SpatialPyramidPooling(width))
            layers.append(CSPLayer(width, width, count, is_residual=not is_last, has_attention=True))
            self.stages.append(nn.Sequential(*layers))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the maps of the last three stages, at strides 8, 16 and 32, of (B, 3, H, W) images."""
        maps, features = [], self.stem(images)
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return maps[1:]


class PathAggregation(nn.Module):
    """Fuses the maps of three strides from coarse to fine and back; all outputs have the width of the finest map.

    Args:
        widths: Channels of the maps, finest first.
        blocks: Number of blocks in each CSP layer.
    """

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        finest, middle, coarsest = widths
        self.reduce = nn.ModuleList(
            [with_silu(convolution(coarsest, middle, 1)), with_silu(convolution(middle, finest, 1))]
        )
        self.top_down = nn.ModuleList([CSPLayer(2 * middle, middle, blocks), CSPLayer(2 * finest, finest, blocks)])
        self.down = nn.ModuleList([separable(finest, finest, stride=2), separable(middle, middle, stride=2)])
        self.bottom_up = nn.ModuleList([CSPLayer(2 * finest, middle, blocks), CSPLayer(2 * middle, coarsest, blocks)])
        self.output = nn.ModuleList(separable(width, finest) for width in widths)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Returns maps of widths[0] channels for three maps of (B, widths[i], H / strides[i], W / strides[i])."""
        fine, middle, coarse = maps
        reduced_coarse = self.reduce[0](coarse)
        middle = self.top_down[0](torch.cat([_upsample(reduced_coarse), middle], dim=1))
        reduced_middle = self.reduce[1](middle)
        fine = self.top_down[1](torch.cat([_upsample(reduced_middle), fine], dim=1))
        middle = self.bottom_up[0](torch.cat([self.down[0](fine), reduced_middle], dim=1))
        coarse = self.bottom_up[1](torch.cat([self.down[1](middle), reduced_coarse], dim=1))
        return [layer(maps) for layer, maps in zip(self.output, (fine, middle, coarse), strict=True)]


class Head(nn.Module):
    """Predicts the score of each cell of a grid, and the distances from the cell to the sides of the box.

    Args:
        width: Channels of the features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score_features = nn.Sequential(*(separable(width, width) for _ in range(_HEAD_DEPTH)))
        self.score = nn.Conv2d(width, 1, kernel_size=1)
        self.side_features = nn.Sequential(*(separable(width, width) for _ in range(_HEAD_DEPTH)))
        self.sides = nn.Conv2d(width, 4, kernel_size=1)
        assert self.score.bias is not None
        nn.init.constant_(self.score.bias, _SCORE_BIAS)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (B, 1, h, w) logits and (B, 4, h, w) distances to left, top, right and bottom side, in strides."""
        scores = self.score(self.score_features(features))
        return scores, self.sides(self.side_features(features))


class CSPLayer(nn.Module):
    """A cross-stage partial layer: half of the channels run through blocks, then both halves are joined.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        blocks: Number of blocks.
        is_residual: Whether blocks add their output to their input.
        has_attention: Whether the joined channels are weighted by `ChannelAttention`.
    """

    def __init__(
        self, inputs: int, outputs: int, blocks: int, *, is_residual: bool = False, has_attention: bool = False
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.short = with_silu(convolution(inputs, half, 1))
        self.main = with_silu(convolution(inputs, half, 1))
        self.blocks = nn.Sequential(*(CSPNeXtBlock(half, is_residual) for _ in range(blocks)))
        self.attention = ChannelAttention(outputs) if has_attention else nn.Identity()
        self.output = with_silu(convolution(outputs, outputs, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Returns (B, outputs, H, W) maps for (B, inputs, H, W) maps."""
        short = self.short(maps)
        joined: Tensor = self.output(self.attention(torch.cat([self.blocks(self.main(maps)), short], dim=1)))
        return joined


class CSPNeXtBlock(nn.Module):
    """A separable 3x3 and a separable 5x5 convolution.

    Args:
        width: Channels.
        is_residual: Whether the output is added to the input.
    """

    def __init__(self, width: int, is_residual: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(separable(width, width), separable(width, width, size=5))
        self.is_residual = is_residual

    def forward(self, maps: Tensor) -> Tensor:
        """Returns (B, width, H, W) maps for maps of the same shape."""
        output: Tensor = self.layers(maps)
        return output + maps if self.is_residual else output


class ChannelAttention(nn.Module):
    """Weights each channel by a factor in 0..1, which is computed from the means of all channels.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(width, width, kernel_size=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Returns (B, width, H, W) maps for maps of the same shape."""
        return maps * F.hardsigmoid(self.weigh(maps.mean((2, 3), keepdim=True)))


class SpatialPyramidPooling(nn.Module):
    """Joins maxima over neighbourhoods of several sizes.

    Args:
        width: Channels of input and output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = with_silu(convolution(width, width // 2, 1))
        self.pools = nn.ModuleList(nn.MaxPool2d(size, stride=1, padding=size // 2) for size in (5, 9, 13))
        self.output = with_silu(convolution(2 * width, width, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Returns (B, width, H, W) maps for maps of the same shape."""
        reduced = self.reduce(maps)
        joined: Tensor = self.output(torch.cat([reduced, *(pool(reduced) for pool in self.pools)], dim=1))
        return joined


def with_silu(layers: nn.Sequential) -> nn.Sequential:
    """Appends a SiLU to layers and returns them."""
    return layers.append(nn.SiLU(inplace=True))


def separable(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Returns a depthwise and a pointwise convolution, each with its batch normalisation and a SiLU."""
    depthwise = with_silu(convolution(inputs, inputs, size, groups=inputs, stride=stride))
    return nn.Sequential(depthwise, with_silu(convolution(inputs, outputs, 1)))


def _upsample(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2.0, mode="nearest")
