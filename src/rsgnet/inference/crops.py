"""A person's box becomes the network's input, and the way back is remembered."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.config import CropConfig
from rsgnet.geometry import Floats, crop_affine, crop_region, xyxy_to_xywh
from rsgnet.images import RGBImage, warp


@dataclass(frozen=True, eq=False)
class Crop:
    """One person's crop.

    Attributes:
        pixels: (height, width, 3) RGB.
        affine: (2, 3) the map from image pixels to crop pixels.
        area: Area of the cropped region in squared image pixels, padding included: the scale at which the released
            code compares poses.
    """

    pixels: NDArray[np.uint8]
    affine: Floats
    area: float


def cut(image: RGBImage, box_xyxy: ArrayLike, config: CropConfig) -> Crop:
    """Cuts one person out of an image: the box widened to the crop's shape, padded, black outside the image.

    Args:
        image: (H, W, 3) RGB.
        box_xyxy: (4,) in image pixels, finite and not empty.
        config: The crop's size and padding.
    """
    centre, region_wh = crop_region(xyxy_to_xywh(box_xyxy), config.size_wh, config.padding)
    affine = crop_affine(centre, region_wh, config.size_wh, pixel_centre=config.pixel_centre)
    return Crop(warp(image, affine, config.size_wh), affine, float(region_wh.prod()))


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
