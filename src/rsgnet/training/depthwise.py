"""Depthwise convolutions that train faster on CPUs.

oneDNN has a quick kernel for the weight gradient of a 3x3 depthwise convolution, but none for larger ones: that of a
5x5 convolution takes up to twenty times as long. A larger kernel's gradient is put together of 3x3 windows' here. Nor
has it quick ones in bfloat16 for a stride of 2: here that is a convolution of stride 1 of which every other place is
read.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self

_WINDOW = 3


class _Depthwise(torch.autograd.Function):
    """What `F.conv2d` computes, with another way to the gradient of the weight."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(maps, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        maps, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        of_maps = of_weight = None
        if stride > 1 and gradient.dtype == torch.bfloat16:
            gradient, stride = _spread(gradient, maps, weight, stride, padding), 1
        if ctx.needs_input_grad[0]:
            of_maps = _backward(gradient, maps, weight, stride, padding, of_weight=False)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(gradient, maps, weight, stride, padding)
        return of_maps, of_weight, None, None


def _spread(gradient: Tensor, maps: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """The gradient of what a stride of 1 would have given, of which every `stride`-th place was read."""
    high, wide = (side + 2 * padding - weight.shape[-1] + 1 for side in maps.shape[2:])
    shape = *gradient.shape[:2], high, wide
    spread = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last).zero_()
    spread[:, :, ::stride, ::stride] = gradient
    return spread


def _weight_gradient(gradient: Tensor, maps: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    size = weight.shape[-1]
    if size == _WINDOW:
        return _backward(gradient, maps, weight, stride, padding, of_weight=True)
    starts = [min(_WINDOW * index, size - _WINDOW) for index in range(math.ceil(size / _WINDOW))]
    high, wide = (stride * (side - 1) + _WINDOW for side in gradient.shape[2:])
    padded = F.pad(maps, (padding,) * 4)
    found = torch.empty_like(weight)
    for row in starts:
        for column in starts:
            window = found[:, :, row : row + _WINDOW, column : column + _WINDOW]
            seen = padded[:, :, row : row + high, column : column + wide]
            window.copy_(_backward(gradient, seen, window, stride, padding=0, of_weight=True))
    return found


def _backward(gradient: Tensor, maps: Tensor, weight: Tensor, stride: int, padding: int, *, of_weight: bool) -> Tensor:
    found: list[Tensor] = torch.ops.aten.convolution_backward(
        gradient, maps, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], len(weight),
        [not of_weight, of_weight, False],
    )  # fmt: skip
    return found[of_weight]


class DepthwiseConvolution(nn.Conv2d):
    """A depthwise convolution with a square kernel, one stride and one padding, and without bias."""

    @classmethod
    def like(cls, other: nn.Conv2d) -> Self:
        """The same convolution; the weight is shared."""
        (size, _), (stride, _), (padding, _) = other.kernel_size, other.stride, _padding(other)
        made = cls(other.in_channels, other.out_channels, size, stride, padding, groups=other.in_channels, bias=False)
        made.weight = other.weight
        return made

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H / stride, W / stride)."""
        if maps.device.type != "cpu":
            return super().forward(maps)
        found: Tensor = _Depthwise.apply(maps, self.weight, self.stride[0], _padding(self)[0])
        return found


def use_fast_depthwise(network: nn.Module) -> None:
    """Replaces every depthwise convolution of a network that `DepthwiseConvolution` can stand for and is slow else."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv2d and _is_slow(child):
                setattr(module, name, DepthwiseConvolution.like(child))


def _padding(convolution: nn.Conv2d) -> tuple[int, int]:
    assert not isinstance(convolution.padding, str)
    across, down = convolution.padding
    return across, down


def _is_slow(convolution: nn.Conv2d) -> bool:
    size, stride, padding = convolution.kernel_size, convolution.stride, convolution.padding
    return (
        convolution.groups == convolution.in_channels == convolution.out_channels > 1
        and convolution.bias is None
        and convolution.dilation == (1, 1)
        and convolution.padding_mode == "zeros"
        and not isinstance(padding, str)
        and size[0] == size[1] >= _WINDOW
        and (size[0] > _WINDOW or stride[0] > 1)
        and stride[0] == stride[1]
        and padding[0] == padding[1]
    )
