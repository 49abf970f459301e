"""Layers that several parts of the networks are made of."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn


def convolution(inputs: int, outputs: int, size: int, groups: int = 1, stride: int = 1) -> nn.Sequential:
    """A convolution whose padding keeps the map's size at stride 1, and its batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )


def rectified(layers: nn.Sequential) -> nn.Sequential:
    """The same with a ReLU behind it."""
    return layers.append(nn.ReLU(inplace=True))


def start_at_zero(layers: nn.Module) -> None:
    """Has the last batch normalisation yield 0 until it has learnt otherwise, while its gradient flows."""
    norm = [module for module in layers.modules() if isinstance(module, nn.BatchNorm2d)][-1]
    nn.init.zeros_(norm.weight)


def doubling(inputs: int, outputs: int) -> nn.Sequential:
    """A transposed convolution that doubles a map's size, its batch normalisation and a ReLU."""
    return rectified(
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
