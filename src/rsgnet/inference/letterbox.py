"""Fitting images of any shape into the fixed input of a detector."""

from __future__ import annotations

import math

import numpy as np

from rsgnet.geometry import crop_affine
from rsgnet.images import RGBImage, warp


def fit(image: RGBImage, size_wh: tuple[int, int], fill: int = 0) -> tuple[RGBImage, float]:
    """An image scaled to fit, at the top left of a canvas.

    Args:
        image: (H, W, 3) RGB.
        size_wh: Width and height of the canvas.
        fill: Value of the canvas at the right and bottom.

    Returns:
        (height, width, 3) canvas, and canvas pixels per image pixel: the same along both sides, and boxes, whose
        origin is the corner of a pixel, are scaled by it without a shift.
    """
    height, width = image.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    region_wh = np.array(size_wh) / scale
    canvas = warp(image, crop_affine(region_wh / 2, region_wh, size_wh, pixel_centre=0.5), size_wh)
    if fill:
        canvas = canvas.copy()
        canvas[max(math.ceil(height * scale - 0.5), 0) :] = fill  # rows whose centres lie below the image
        canvas[:, max(math.ceil(width * scale - 0.5), 0) :] = fill
    return canvas, scale
