"""Lite-HRNet, the lightweight HRNet: shuffle blocks in up to four branches, and an iterative head.

The naive form of Yu et al., "Lite-HRNet: A Lightweight High-Resolution Network" (CVPR 2021, arXiv:2104.06403), as
PP-TinyPose widens it to 40 channels. Two properties of the published networks' fusions are kept, because their weights
were trained with them: the path from the finest branch counts twice, and the coarser branches read the finest branch
after its fusion.
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

STRIDE = 4
_NAME = re.compile(r"lite_hrnet_w([1-9]\d{0,2})(?:_modules([1-9])([1-9])([1-9]))?")
_PUBLISHED_MODULES = (2, 4, 2)
_STEM_WIDTH = 32


def is_lite_hrnet(name: str) -> bool:
    """Returns whether a backbone's name is of the form `lite_hrnet_w40` or `lite_hrnet_w40_modules242`."""
    return _NAME.fullmatch(name) is not None


def lite_hrnet(name: str) -> LiteHRNet:
    """Returns the untrained encoder of a name that `is_lite_hrnet` accepts."""
    match = _NAME.fullmatch(name)
    assert match is not None
    width, *modules = match.groups()
    return LiteHRNet(int(width), tuple(map(int, modules)) if all(modules) else _PUBLISHED_MODULES)


class LiteHRNet(nn.Module):
    """A Lite-HRNet encoder with the interface of timm's feature extractors.

    Args:
        width: Channels of the finest branch, an even number; each coarser branch has twice as many.
        modules: Numbers of modules in stages 2, 3 and 4.
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
        """Returns one map, (B, width, H / 4, W / 4), of (B, 3, H, W) normalised RGB; H and W are multiples of 32."""
        stem = self.stem(images)
        maps = [self.first_branch(stem)]
        coarsest = stem
        for new_branch, stage in zip(self.new_branches, self.stages, strict=True):
            maps = stage([*maps, new_branch(coarsest)])
            coarsest = maps[-1]
        return [self.head(maps)]


class ShuffleBlock(nn.Module):
    """Transforms half of the channels, keeps the others and interleaves both.

    Args:
        width: Channels, an even number.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.transform = nn.Sequential(with_relu(convolution(half, half, 1)), _separable(half, half))

    def forward(self, maps: Tensor) -> Tensor:
        """Returns (B, width, H, W) maps for maps of the same shape."""
        kept, transformed = split_channels(maps)
        return interleave_channels(kept, self.transform(transformed))


class DownsamplingShuffleBlock(nn.Module):
    """Halves the resolution of both halves of the channels on different paths and interleaves them.

    Args:
        width: Channels, an even number.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.short = _separable(half, half, stride=2)
        self.long = nn.Sequential(with_relu(convolution(half, width, 1)), _separable(width, half, stride=2))

    def forward(self, maps: Tensor) -> Tensor:
        """Returns (B, width, H / 2, W / 2) maps for (B, width, H, W) maps."""
        first, second = split_channels(maps)
        return interleave_channels(self.short(first), self.long(second))


class LiteHRModule(nn.Module):
    """Two shuffle blocks in each branch, then a fusion of all branches.

    Args:
        widths: Channels of each branch, finest first.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(ShuffleBlock(width), ShuffleBlock(width)) for width in widths)
        self.fusion = BranchFusion(widths)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Returns a map of each branch, of the same shapes as the given maps."""
        fused: list[Tensor] = self.fusion([branch(each) for branch, each in zip(self.branches, maps, strict=True)])
        return fused


class BranchFusion(nn.Module):
    """Adds to every branch the maps of all others, brought to its width and resolution.

    Args:
        widths: Channels of each branch, finest first.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        branches = range(len(widths))
        self.paths = nn.ModuleList(
            nn.ModuleList(_make_path(widths, source, target) for source in branches) for target in branches
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Returns a non-negative map of each branch, of the same shapes as the given maps."""
        sources, fused = list(maps), []
        for target, paths in enumerate(self.paths):
            assert isinstance(paths, nn.ModuleList)
            first, *others = [path(source) for path, source in zip(paths, sources, strict=True)]
            total = sum(others, 2 * first)  # twice, as in the published networks
            if target == 0:
                sources[0] = total  # coarser branches read the fused map, as in the published networks
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
        """Returns one non-negative map, (B, widths[0], H, W), of the size of the finest branch's map."""
        merged: Tensor = self.projections[-1](maps[-1])
        for level in reversed(range(len(maps) - 1)):
            finer = maps[level]
            enlarged = F.interpolate(merged, size=finer.shape[2:], mode="bilinear", align_corners=True)
            merged = self.projections[level](finer + enlarged)
        return merged


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Returns a depthwise 3x3 and a pointwise convolution, each with its batch normalisation, and a ReLU."""
    depthwise = convolution(inputs, inputs, 3, groups=inputs, stride=stride)
    return nn.Sequential(depthwise, with_relu(convolution(inputs, outputs, 1)))


def _make_path(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """Returns layers from the width and resolution of one branch to those of another."""
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
    """Returns the first and the last C / 2 channels of (B, C, H, W) maps."""
    if _is_training(maps):
        halves: tuple[Tensor, Tensor] = _SplitChannels.apply(maps)
        return halves
    first, last = maps.chunk(2, dim=1)
    return first, last


def interleave_channels(first: Tensor, second: Tensor) -> Tensor:
    """Returns (B, 2 C, H, W) maps with channels of two (B, C, H, W) maps in turn: the channel shuffle of two groups."""
    if _is_training(second):
        interleaved: Tensor = _InterleaveChannels.apply(first, second)
        return interleaved
    batch, half, height, width = first.shape
    joined = torch.cat([first, second], dim=1).reshape(batch, 2, half, height, width)
    return joined.transpose(1, 2).reshape(batch, 2 * half, height, width)


def _is_training(maps: Tensor) -> bool:
    """Returns whether gradients are computed, so that the faster functions below are used."""
    return isinstance(maps, Tensor) and maps.requires_grad and not torch.compiler.is_compiling()


def _channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)


class _SplitChannels(torch.autograd.Function):
    """`chunk` with contiguous channels-last results and gradients, for 1.5 times faster training (docs/log.md)."""

    @staticmethod
    def forward(_: Any, maps: Tensor) -> tuple[Tensor, Tensor]:
        half = maps.shape[1] // 2
        return _channels_last(maps[:, :half]), _channels_last(maps[:, half:])

    @staticmethod
    def backward(_: Any, first: Tensor, last: Tensor) -> Tensor:
        return torch.cat([first, last], dim=1)


class _InterleaveChannels(torch.autograd.Function):
    """The channel shuffle, written directly into a channels-last map, with contiguous gradients."""

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
