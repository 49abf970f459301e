"""Lite-HRNet for exported files: the same outputs without splitting, joining and shuffling channels.

A shuffle block moves each channel through memory three times, which takes as long as its convolutions
(docs/performance.md). Here every channel keeps its place. A block writes its new channels where the channels were that
it has read; the order that results is undone in the weights of the layers that read the map. Weights of 0 skip
channels that a layer does not read, and all other factors are powers of 2, so that only the order of sums differs.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rsgnet.model.lite_hrnet import DownsamplingShuffleBlock, IterativeHead, LiteHRModule, LiteHRNet, ShuffleBlock


class InPlaceLiteHRNet(nn.Module):
    """A trained Lite-HRNet in evaluation mode, without channel shuffles; the interface is that of `LiteHRNet`.

    Args:
        network: The network, which stays as it is.
    """

    def __init__(self, network: LiteHRNet) -> None:
        super().__init__()
        first_layers, downsampling = network.stem
        assert isinstance(downsampling, DownsamplingShuffleBlock)
        self.stem = nn.ModuleList(_split_stem(_fold_norms(first_layers), downsampling))
        self.first_branch = _fold_norms(network.first_branch)
        orders = [torch.arange(_last_convolution(self.first_branch).out_channels)]
        coarsest = torch.arange(_last_convolution(self.stem[0]).out_channels)
        self.new_branches, self.stages = nn.ModuleList(), nn.ModuleList()
        for layers, modules in zip(network.new_branches, network.stages, strict=True):
            new_branch = _fold_norms(layers)
            _reorder_input(new_branch, coarsest)
            self.new_branches.append(new_branch)
            orders.append(torch.arange(_last_convolution(new_branch).out_channels))
            stage = nn.Sequential()
            for module in modules.children():
                assert isinstance(module, LiteHRModule)
                in_place = _InPlaceModule(module, orders)
                orders = in_place.orders
                stage.append(in_place)
            self.stages.append(stage)
            coarsest = orders[-1]
        self.head = _reorder_head(network.head, orders)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns one map, (B, width, H / 4, W / 4), of (B, 3, H, W) normalised RGB; H and W are multiples of 32."""
        first_path, second_path = self.stem
        coarsest = first_path(images) + second_path(images)
        maps = [self.first_branch(coarsest)]
        for new_branch, stage in zip(self.new_branches, self.stages, strict=True):
            maps = stage([*maps, new_branch(coarsest)])
            coarsest = maps[-1]
        return [self.head(maps)]


class _InPlaceBlock(nn.Module):
    """A shuffle block in which every channel keeps its place.

    Args:
        block: The block.
        order: (C,) which channel of the block's input is at each place.
        gain: What the output is multiplied by, a power of 2.
    """

    kept: Tensor

    def __init__(self, block: ShuffleBlock, order: Tensor, gain: float = 1.0) -> None:
        super().__init__()
        half = len(order) // 2
        is_kept = order < half
        read = torch.where(is_kept, 0, order - half)
        self.layers = _fold_norms(block.transform)
        first, last = self.layers[0], _last_convolution(self.layers)
        assert isinstance(first, nn.Conv2d)
        first.weight = nn.Parameter(first.weight[:, read] * ~is_kept[None, :, None, None])
        assert last.bias is not None
        _set_rows(last, last.weight[read] * ~is_kept[:, None, None, None] * gain, last.bias[read] * ~is_kept * gain)
        self.register_buffer("kept", is_kept[None, :, None, None] * gain)
        self.order = torch.where(is_kept, 2 * order, 2 * read + 1)  # of the output

    def forward(self, maps: Tensor) -> Tensor:
        """Returns maps of the same shape."""
        transformed: Tensor = self.layers(maps)
        return maps * self.kept + transformed


class _InPlaceModule(nn.Module):
    """A module of in-place blocks. Those of the finest branch double their output, which the fusion counts twice.

    Args:
        module: The module.
        orders: For each branch, (C,) which channel is at each place of its input.
    """

    def __init__(self, module: LiteHRModule, orders: Sequence[Tensor]) -> None:
        super().__init__()
        self.branches, self.orders = nn.ModuleList(), []
        for blocks, order in zip(module.branches, orders, strict=True):
            first_block, second_block = blocks.children()
            assert isinstance(first_block, ShuffleBlock)
            assert isinstance(second_block, ShuffleBlock)
            first = _InPlaceBlock(first_block, order)
            second = _InPlaceBlock(second_block, first.order, gain=1.0 if self.branches else 2.0)
            self.branches.append(nn.Sequential(first, second))
            self.orders.append(second.order)
        self.paths = nn.ModuleList(
            nn.ModuleList(self._reorder_path(path, source, target) for source, path in enumerate(paths.children()))
            for target, paths in enumerate(module.fusion.paths)
        )

    def _reorder_path(self, layers: nn.Module, source: int, target: int) -> nn.Module:
        if source == target:
            return nn.Identity()
        path = _fold_norms(layers)
        _reorder_input(path, self.orders[source])
        _reorder_output(path, self.orders[target], gain=2.0 if source == 0 else 1.0)
        return path

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Returns a non-negative map of each branch, of the same shapes as the given maps."""
        sources = [branch(each) for branch, each in zip(self.branches, maps, strict=True)]
        fused = []
        for target, modules in enumerate(self.paths):
            paths, total = list(modules.children()), sources[target]
            for path, finer in zip(paths[:target], sources, strict=False):
                total = total + path(finer)
            if target + 1 < len(sources):
                total = total + _enlarge(paths[target + 1 :], sources[target + 1 :])
            if target == 0:
                sources[0] = total
            fused.append(F.relu(total))
        return fused


def make_exportable(model: nn.Module) -> nn.Module:
    """Returns a model in evaluation mode whose Lite-HRNet, if it has one, is in the in-place form."""
    if not any(isinstance(module, LiteHRNet) for module in model.modules()):
        return model.eval()
    model = copy.deepcopy(model).eval()
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, LiteHRNet):
                setattr(parent, name, InPlaceLiteHRNet(child))
    return model


def _enlarge(paths: Sequence[nn.Module], coarser: Sequence[Tensor]) -> Tensor:
    """Returns the sum of the paths from coarser branches, finest first, which is enlarged step by step on the way."""
    total: Tensor = paths[-1](coarser[-1])
    for path, maps in zip(paths[-2::-1], coarser[-2::-1], strict=True):
        total = _double_size(total) + path(maps)
    return _double_size(total)


def _double_size(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2.0, mode="nearest")


def _fold_norms(layers: nn.Module) -> nn.Sequential:
    """Returns a copy of a chain of layers with batch normalisations folded into convolutions, without upsampling."""
    chain: list[nn.Module] = []
    for layer in layers.modules():
        if isinstance(layer, nn.BatchNorm2d):
            chain[-1] = fuse_conv_bn_eval(chain[-1], layer.eval())  # type: ignore[type-var]
        elif isinstance(layer, nn.Conv2d):
            chain.append(copy.deepcopy(layer).eval())
        elif isinstance(layer, nn.ReLU):
            chain.append(nn.ReLU())
    return nn.Sequential(*chain)


def _last_convolution(layers: nn.Module) -> nn.Conv2d:
    return [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d)][-1]


def _set_rows(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    """Gives a convolution other output channels."""
    layer.weight, layer.bias, layer.out_channels = nn.Parameter(weight), nn.Parameter(bias), len(weight)


def _reorder_input(layers: nn.Sequential, order: Tensor) -> None:
    """Makes a chain read a map whose channels are in another order."""
    for layer in layers:
        if not isinstance(layer, nn.Conv2d):
            continue
        if layer.groups == 1:
            layer.weight = nn.Parameter(layer.weight[:, order])
            return
        assert layer.bias is not None
        _set_rows(layer, layer.weight[order], layer.bias[order])


def _reorder_output(layers: nn.Sequential, order: Tensor, gain: float = 1.0) -> None:
    """Makes a chain give its channels in another order, multiplied by a power of 2."""
    last = _last_convolution(layers)
    assert last.bias is not None
    _set_rows(last, last.weight[order] * gain, last.bias[order] * gain)


def _split_stem(first_layers: nn.Sequential, block: DownsamplingShuffleBlock) -> list[nn.Sequential]:
    """Returns the two paths of the stem, each with its half of the first convolution; their sum is the stem's map."""
    paths = []
    for index, layers in enumerate((block.short, block.long)):
        first, path = copy.deepcopy(first_layers), _fold_norms(layers)
        own_half, last = _last_convolution(first), _last_convolution(path)
        assert own_half.bias is not None
        assert last.bias is not None
        _set_rows(own_half, own_half.weight.chunk(2)[index], own_half.bias.chunk(2)[index])
        rows = torch.arange(2 * last.out_channels)
        is_own = rows % 2 == index
        _set_rows(last, last.weight[rows // 2] * is_own[:, None, None, None], last.bias[rows // 2] * is_own)
        paths.append(nn.Sequential(*first, *path))
    return paths


def _reorder_head(head: IterativeHead, orders: Sequence[Tensor]) -> IterativeHead:
    head = copy.deepcopy(head)
    projections = [_fold_norms(layers) for layers in head.projections]
    for level, projection in enumerate(projections):
        _reorder_input(projection, orders[level])
        if level > 0:
            _reorder_output(projection, orders[level - 1])
    head.projections = nn.ModuleList(projections)
    return head
