"""Layers that several networks use."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn


def convolution(inputs: int, outputs: int, size: int, groups: int = 1, stride: int = 1) -> nn.Sequential:
    """Returns a convolution, padded to keep the size of maps at stride 1, and its batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )


def with_relu(layers: nn.Sequential) -> nn.Sequential:
    """Appends a ReLU to layers and returns them."""
    return layers.append(nn.ReLU(inplace=True))


def zero_init_last_norm(layers: nn.Module) -> None:
    """Sets the scale of the last batch normalisation to 0, so that the untrained layers return 0."""
    norm = [module for module in layers.modules() if isinstance(module, nn.BatchNorm2d)][-1]
    nn.init.zeros_(norm.weight)


def deconv_block(inputs: int, outputs: int) -> nn.Sequential:
    """Returns a transposed convolution that doubles the size of maps, its batch normalisation and a ReLU."""
    return with_relu(
        nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
    )


def heatmap_head(width: int, keypoints: int) -> nn.Conv2d:
    """Returns a 1x1 convolution from features to heatmaps, which are near zero before training."""
    head = nn.Conv2d(width, keypoints, kernel_size=1)
    nn.init.normal_(head.weight, std=0.001)
    assert head.bias is not None
    nn.init.zeros_(head.bias)
    return head


def full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Returns a context in which autocast is off, so that nothing is rounded to half precision."""
    if device.type == "meta":  # autocast cannot be switched off there
        return nullcontext()
    autocast: AbstractContextManager[None] = torch.autocast(device.type, enabled=False)
    return autocast


def normalise(
    images: UInt8[Tensor, "batch height width 3"],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> Float[Tensor, "batch 3 height width"]:
    """Normalises the channels of images.

    Args:
        images: (B, H, W, 3) RGB, 0..255.
        mean: Mean of each channel, values in 0..1.
        std: Standard deviation of each channel, values in 0..1.

    Returns:
        (B, 3, H, W) in memory format channels last.
    """
    shift = torch.tensor(mean, device=images.device)[:, None, None] * 255
    scale = 1 / (torch.tensor(std, device=images.device)[:, None, None] * 255)
    # Channels come first before they become floats: ONNX Runtime broadcasts over a last axis of 3 slowly.
    return (images.permute(0, 3, 1, 2).float() - shift) * scale
