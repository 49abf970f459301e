"""Pixels as they are stored to pixels as networks read them."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


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
