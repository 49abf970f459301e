"""Crops for training, cut by PyTorch.

`rsgnet.images.warp` does without PyTorch; Pillow's bilinear warp, which it calls, takes twice the time of this one.
This one holds crop and window as floats: for crops, not for whole images.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from rsgnet.geometry import Floats
from rsgnet.images import RGBImage, window


def quick_warp(image: RGBImage, matrix: Floats, size_wh: tuple[int, int]) -> RGBImage:
    """As `rsgnet.images.warp` cuts it, within 1 of 255, but that the image fades to black over its outermost pixel.

    Args:
        image: (H, W, 3) RGB.
        matrix: (2, 3) the map from image pixel indices to crop pixel indices.
        size_wh: Width and height of the crop.

    Returns:
        (height, width, 3) the crop.
    """
    crop = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    seen, inverse = window(image, matrix, size_wh)
    if not seen.size:
        return crop
    # -1 and 1 are the edges of the window.
    to_window = 2 * inverse / np.array(seen.shape[1::-1])[:, None] - [0, 0, 1]
    columns, rows = np.arange(size_wh[0]) + 0.5, np.arange(size_wh[1])[:, None] + 0.5
    places = np.empty((*crop.shape[:2], 2), np.float32)
    for axis, (by_column, by_row, shift) in enumerate(to_window):
        np.add((by_column * columns).astype(np.float32), (by_row * rows + shift).astype(np.float32), places[..., axis])
    colours = torch.from_numpy(seen.astype(np.float32)).permute(2, 0, 1)
    sampled = F.grid_sample(colours[None], torch.from_numpy(places)[None], align_corners=False)[0]
    for channel, plane in enumerate(sampled.add_(0.5).byte().numpy()):
        crop[..., channel] = plane
    return crop
