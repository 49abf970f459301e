"""A person's box becomes the network's input, and the way back is remembered."""

from __future__ import annotations

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
