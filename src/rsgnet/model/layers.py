"""Layers that several parts of the networks are made of."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn


def convolution(inputs: int, outputs: int, size: int, groups: int = 1, stride: int = 1) -> nn.Sequential:
    """A convolution whose padding keeps the map's size at stride 1, and its batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )


def with_relu(layers: nn.Sequential) -> nn.Sequential:
    """The same with a ReLU behind it."""
    return layers.append(nn.ReLU(inplace=True))


def zero_init_last_norm(layers: nn.Module) -> None:
    """Has the last batch normalisation yield 0 until it has learnt otherwise, while its gradient flows."""
    norm = [module for module in layers.modules() if isinstance(module, nn.BatchNorm2d)][-1]
    nn.init.zeros_(norm.weight)


def deconv_block(inputs: int, outputs: int) -> nn.Sequential:
    """A transposed convolution that doubles a map's size, its batch normalisation and a ReLU."""
    return with_relu(
        nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
    )


def heatmap_head(width: int, keypoints: int) -> nn.Conv2d:
    """The 1x1 convolution that reads heatmaps off features; it starts near zero, as most of a heatmap is."""
    head = nn.Conv2d(width, keypoints, kernel_size=1)
    nn.init.normal_(head.weight, std=0.001)
    assert head.bias is not None
    nn.init.zeros_(head.bias)
    return head


def full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Within it nothing is rounded to half precision, whatever a training run asks for."""
    if device.type == "meta":  # nothing is computed there, and nothing can be switched off
        return nullcontext()
    autocast: AbstractContextManager[None] = torch.autocast(device.type, enabled=False)
    return autocast


def normalise(
    images: UInt8[Tensor, "batch height width 3"],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> Float[Tensor, "batch 3 height width"]:
    """RGB of 0..255 to normalised channels, stored channels last.

    Args:
        images: (B, H, W, 3) RGB.
        mean: Mean of each channel, values in 0..1.
        std: Standard deviation of each channel, values in 0..1.
    """
    shift = torch.tensor(mean, device=images.device) * 255
    scale = 1 / (torch.tensor(std, device=images.device) * 255)
    return ((images.float() - shift) * scale).permute(0, 3, 1, 2)
