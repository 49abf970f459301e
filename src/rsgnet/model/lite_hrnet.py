"""Lite-HRNet, the light member of the HRNet family: shuffle blocks in four branches, and an iterative head.

The naive form of Yu et al., "Lite-HRNet: A Lightweight High-Resolution Network" (CVPR 2021, arXiv:2104.06403), as
PP-TinyPose widens it to 40 channels. Two properties of the published networks' fusions are kept, because their weights
were trained with them: the contribution of the finest branch counts twice, and the coarser branches read the finest
one after it has been fused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.models import FeatureInfo
from torch import Tensor, nn

from rsgnet.model.layers import convolution, with_relu

STRIDE, COARSEST_STRIDE = 4, 32
_NAME = re.compile(r"lite_hrnet_w([1-9]\d{0,2})(?:_modules([1-9])([1-9])([1-9]))?")
_PUBLISHED_MODULES = (2, 4, 2)
_STEM_WIDTH = 32


def is_lite_hrnet(name: str) -> bool:
    """Whether a backbone's name is `lite_hrnet_w40`, or like `lite_hrnet_w40_modules242` of another width or depth."""
    return _NAME.fullmatch(name) is not None


def lite_hrnet(name: str) -> LiteHRNet:
    """Builds the untrained encoder of a name that `is_lite_hrnet` accepts."""
    found = _NAME.fullmatch(name)
    assert found is not None
    width, *modules = found.groups()
    return LiteHRNet(int(width), tuple(map(int, modules)) if all(modules) else _PUBLISHED_MODULES)


class LiteHRNet(nn.Module):
    """A Lite-HRNet encoder with the interface of timm's feature extractors.

    Args:
        width: Channels of the finest branch, an even number; each coarser one has twice as many.
        modules: How many modules stages 2, 3 and 4 have.
    """

    def __init__(self, width: int = 40, modules: Sequence[int] = _PUBLISHED_MODULES) -> None:
        super().__init__()
        widths = [width * 2**branch for branch in range(len(modules) + 1)]
        self.feature_info = FeatureInfo([{"num_chs": width, "reduction": STRIDE, "module": "head"}], (0,))
        self.stem = nn.Sequential(
            with_relu(convolution(3, _STEM_WIDTH, 3, stride=2)), DownsamplingShuffleBlock(_STEM_WIDTH)
        )
        self.first_branch = _separable(_STEM_WIDTH, width)
        coarser = zip([_STEM_WIDTH, *widths[1:-1]], widths[1:], strict=True)
        self.new_branches = nn.ModuleList(_separable(above, below, stride=2) for above, below in coarser)
        self.stages = nn.ModuleList(
            nn.Sequential(*(LiteHRModule(widths[:branches]) for _ in range(count)))
            for branches, count in enumerate(modules, start=2)
        )
        self.head = IterativeHead(widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised RGB, H and W multiples of 32, to one map: (B, width, H / 4, W / 4)."""
        stem = self.stem(images)
        maps = [self.first_branch(stem)]
        coarsest = stem
        for new_branch, stage in zip(self.new_branches, self.stages, strict=True):
            maps = stage([*maps, new_branch(coarsest)])
            coarsest = maps[-1]
        return [self.head(maps)]


class ShuffleBlock(nn.Module):
    """Transforms half of the channels, keeps the others and shuffles both.

    Args:
        width: Channels, an even number.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.transform = nn.Sequential(with_relu(convolution(half, half, 1)), _separable(half, half))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        kept, transformed = split_channels(maps)
        return interleave_channels(kept, self.transform(transformed))


class DownsamplingShuffleBlock(nn.Module):
    """Halves the resolution of both halves of the channels, each in its own way, and shuffles them.

    Args:
        width: Channels, an even number.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.short = _separable(half, half, stride=2)
        self.long = nn.Sequential(with_relu(convolution(half, width, 1)), _separable(width, half, stride=2))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, width, H, W) to (B, width, H / 2, W / 2)."""
        first, second = split_channels(maps)
        return interleave_channels(self.short(first), self.long(second))


class LiteHRModule(nn.Module):
    """Two shuffle blocks in each branch, then an exchange between all branches.

    Args:
        widths: Channels of each branch, finest first.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(ShuffleBlock(width), ShuffleBlock(width)) for width in widths)
        self.fusion = BranchFusion(widths)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of each branch to maps of the same shapes."""
        fused: list[Tensor] = self.fusion([branch(each) for branch, each in zip(self.branches, maps, strict=True)])
        return fused


class BranchFusion(nn.Module):
    """Adds to every branch what the others see, brought to its resolution.

    Args:
        widths: Channels of each branch, finest first.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        branches = range(len(widths))
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(widths, source, target) for source in branches) for target in branches
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of each branch to maps of the same shapes, not negative."""
        sources, fused = list(maps), []
        for target, paths in enumerate(self.paths):
            assert isinstance(paths, nn.ModuleList)
            first, *others = [path(source) for path, source in zip(paths, sources, strict=True)]
            total = sum(others, 2 * first)  # twice, and fused already where a coarser branch reads it: as published
            if target == 0:
                sources[0] = total
            fused.append(F.relu(total))
        return fused


class IterativeHead(nn.Module):
    """Merges the branches from coarse to fine.

    Args:
        widths: Channels of each branch, finest first.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        finer = [widths[0], *widths[:-1]]
        self.projections = nn.ModuleList(_separable(width, to) for width, to in zip(widths, finer, strict=True))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of each branch to one map of the finest: (B, widths[0], H, W), not negative."""
        merged: Tensor = self.projections[-1](maps[-1])
        for level in reversed(range(len(maps) - 1)):
            finer = maps[level]
            enlarged = F.interpolate(merged, size=finer.shape[2:], mode="bilinear", align_corners=True)
            merged = self.projections[level](finer + enlarged)
        return merged


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A depthwise 3x3 convolution and a pointwise one, each with its batch normalisation, and a ReLU."""
    depthwise = convolution(inputs, inputs, 3, groups=inputs, stride=stride)
    return nn.Sequential(depthwise, with_relu(convolution(inputs, outputs, 1)))


def _path(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """What brings one branch to the width and resolution of another."""
    if source == target:
        return nn.Identity()
    if source > target:
        enlarged = nn.Upsample(scale_factor=float(2 ** (source - target)), mode="nearest")
        return nn.Sequential(convolution(widths[source], widths[target], 1), enlarged)
    halvings: list[nn.Module] = [
        _separable(widths[source], widths[source], stride=2) for _ in range(source + 1, target)
    ]
    width = widths[source]
    last = nn.Sequential(convolution(width, width, 3, groups=width, stride=2), convolution(width, widths[target], 1))
    return nn.Sequential(*halvings, last)


def split_channels(maps: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) to its first and its last C / 2 channels."""
    if _in_training(maps):
        halves: tuple[Tensor, Tensor] = _SplitChannels.apply(maps)
        return halves
    first, last = maps.chunk(2, dim=1)
    return first, last


def interleave_channels(first: Tensor, second: Tensor) -> Tensor:
    """Two (B, C, H, W) maps to (B, 2 C, H, W): channels of both in turn, which is the channel shuffle of two groups."""
    if _in_training(second):
        interleaved: Tensor = _InterleaveChannels.apply(first, second)
        return interleaved
    batch, half, height, width = first.shape
    joined = torch.cat([first, second], dim=1).reshape(batch, 2, half, height, width)
    return joined.transpose(1, 2).reshape(batch, 2 * half, height, width)


def _in_training(maps: Tensor) -> bool:
    return isinstance(maps, Tensor) and maps.requires_grad and not torch.compiler.is_compiling()


def _channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)


class _SplitChannels(torch.autograd.Function):
    """`chunk` with dense channels-last results and gradients: a training step is half as fast again (docs/log.md)."""

    @staticmethod
    def forward(_: Any, maps: Tensor) -> tuple[Tensor, Tensor]:
        half = maps.shape[1] // 2
        return _channels_last(maps[:, :half]), _channels_last(maps[:, half:])

    @staticmethod
    def backward(_: Any, first: Tensor, last: Tensor) -> Tensor:
        return torch.cat([first, last], dim=1)


class _InterleaveChannels(torch.autograd.Function):
    """The channel shuffle written straight into a channels-last map, with dense gradients."""

    @staticmethod
    def forward(_: Any, first: Tensor, second: Tensor) -> Tensor:
        batch, half, height, width = first.shape
        interleaved = second.new_empty(batch, height, width, half, 2)
        interleaved[..., 0] = first.permute(0, 2, 3, 1)
        interleaved[..., 1] = second.permute(0, 2, 3, 1)
        return interleaved.flatten(3).permute(0, 3, 1, 2)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return _channels_last(gradient[:, ::2]), _channels_last(gradient[:, 1::2])
