"""Depthwise convolutions that train faster on CPUs.

oneDNN computes the weight gradient of a 3x3 depthwise convolution fast, but that of a 5x5 one, as RTMDet and the
feature pyramid have them, takes up to twenty times as long. Here the gradient of a larger kernel is assembled from
those of 3x3 windows. oneDNN is also slow in bfloat16 at a stride of 2. Here the output's gradient is spread over the
grid of stride 1 first, with zeros between, and the backward pass is that of stride 1.
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
    """`F.conv2d` with a faster backward pass."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(maps, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        maps, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        maps_gradient = weight_gradient = None
        if stride > 1 and gradient.dtype == torch.bfloat16:
            gradient, stride = _spread(gradient, maps, weight, stride, padding), 1
        if ctx.needs_input_grad[0]:
            maps_gradient = _convolution_backward(gradient, maps, weight, stride, padding, of_weight=False)
        if ctx.needs_input_grad[1]:
            weight_gradient = _weight_gradient(gradient, maps, weight, stride, padding)
        return maps_gradient, weight_gradient, None, None


def _spread(gradient: Tensor, maps: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Returns the gradient on the grid of stride 1: zero but at every `stride`-th place."""
    height, width = (side + 2 * padding - weight.shape[-1] + 1 for side in maps.shape[2:])
    shape = *gradient.shape[:2], height, width
    spread = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last).zero_()
    spread[:, :, ::stride, ::stride] = gradient
    return spread


def _weight_gradient(gradient: Tensor, maps: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Computes the gradient of the weight, 3x3 windows of it one by one; overlapping windows agree."""
    size = weight.shape[-1]
    if size == _WINDOW:
        return _convolution_backward(gradient, maps, weight, stride, padding, of_weight=True)
    starts = [min(_WINDOW * index, size - _WINDOW) for index in range(math.ceil(size / _WINDOW))]
    height, width = (stride * (side - 1) + _WINDOW for side in gradient.shape[2:])
    padded = F.pad(maps, (padding,) * 4)
    weight_gradient = torch.empty_like(weight)
    for row in starts:
        for column in starts:
            window = weight_gradient[:, :, row : row + _WINDOW, column : column + _WINDOW]
            inputs = padded[:, :, row : row + height, column : column + width]
            window.copy_(_convolution_backward(gradient, inputs, window, stride, padding=0, of_weight=True))
    return weight_gradient


def _convolution_backward(
    gradient: Tensor, maps: Tensor, weight: Tensor, stride: int, padding: int, *, of_weight: bool
) -> Tensor:
    """Computes the gradient of the weight or else of the input maps, as PyTorch does."""
    gradients: list[Tensor] = torch.ops.aten.convolution_backward(
        gradient, maps, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], len(weight),
        [not of_weight, of_weight, False],
    )  # fmt: skip
    return gradients[of_weight]


class DepthwiseConvolution(nn.Conv2d):
    """A depthwise convolution without bias, with square kernel, stride and padding, that trains fast on CPUs."""

    @classmethod
    def from_convolution(cls, other: nn.Conv2d) -> Self:
        """Returns a fast convolution that shares the weight of another convolution."""
        (size, _), (stride, _), (padding, _) = other.kernel_size, other.stride, _padding(other)
        fast = cls(other.in_channels, other.out_channels, size, stride, padding, groups=other.in_channels, bias=False)
        fast.weight = other.weight
        return fast

    def forward(self, maps: Tensor) -> Tensor:
        """Convolves (B, C, H, W) maps to (B, C, H / stride, W / stride)."""
        if maps.device.type != "cpu":
            return super().forward(maps)
        output: Tensor = _Depthwise.apply(maps, self.weight, self.stride[0], _padding(self)[0])
        return output


def use_fast_depthwise(network: nn.Module) -> None:
    """Replaces the depthwise convolutions of a network that would train slowly on a CPU; weights and names stay."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv2d and _is_slow(child):
                setattr(module, name, DepthwiseConvolution.from_convolution(child))


def _padding(convolution: nn.Conv2d) -> tuple[int, int]:
    assert not isinstance(convolution.padding, str)
    vertical, horizontal = convolution.padding
    return vertical, horizontal


def _is_slow(convolution: nn.Conv2d) -> bool:
    """Returns whether oneDNN trains a convolution slowly and `DepthwiseConvolution` can replace it."""
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
