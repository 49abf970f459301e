"""Necks, which turn the feature maps of a backbone into one map at the stride of the heatmaps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from rsgnet.model.layers import convolution, deconv_block, with_relu, zero_init_last_norm

DECONVOLUTION_WIDTH = 256


class Deconvolutions(nn.Sequential):
    """SimpleBaseline's neck: transposed convolutions, each of which doubles the resolution of the coarsest map.

    Args:
        width: Channels of the coarsest map.
        doublings: Number of transposed convolutions; 3 from stride 32 to 4.
    """

    def __init__(self, width: int, doublings: int) -> None:
        layers: list[nn.Module] = []
        for _ in range(doublings):
            layers += deconv_block(width, DECONVOLUTION_WIDTH)
            width = DECONVOLUTION_WIDTH
        super().__init__(*layers)


class Residual(nn.Module):
    """ResNet's block of two 3x3 convolutions. Before training it is the identity.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = with_relu(convolution(width, width, 3))
        self.second = convolution(width, width, 3)
        zero_init_last_norm(self.second)

    def forward(self, maps: Tensor) -> Tensor:
        """Returns (B, width, H, W) maps for non-negative maps of the same shape."""
        return F.relu(maps + self.second(self.first(maps)))


class FeaturePyramid(nn.Module):
    """Merges maps of several strides from coarse to fine, with depthwise 5x5 convolutions for context at little cost.

    Args:
        widths: Channels of each map, finest first.
        strides: Stride of each map, a multiple of the one before.
        width: Channels of the merged map.
        residuals: Number of `Residual` blocks at each stride, whose dense convolutions locate keypoints more precisely.
    """

    def __init__(self, widths: Sequence[int], strides: Sequence[int], width: int, residuals: int = 0) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(convolution(channels, width, 1) for channels in widths)
        self.mix = nn.ModuleList(
            nn.Sequential(
                convolution(width, width, 5, groups=width),
                nn.ReLU(inplace=True),
                convolution(width, width, 1),
                nn.ReLU(inplace=True),
                *(Residual(width) for _ in range(residuals)),
            )
            for _ in widths
        )
        self.scale_factors = [coarse // fine for fine, coarse in pairwise(strides)]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Merges (B, widths[i], H / strides[i], W / strides[i]) maps to (B, width, H / strides[0], W / strides[0])."""
        merged: Tensor = self.mix[-1](self.lateral[-1](maps[-1]))
        for level in reversed(range(len(self.scale_factors))):
            enlarged = F.interpolate(merged, scale_factor=float(self.scale_factors[level]), mode="bilinear")
            merged = self.mix[level](self.lateral[level](maps[level]) + enlarged)
        return merged
