"""Fitting pictures of any shape into the fixed input of a detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsgnet.geometry import Floats
from rsgnet.pictures import Picture


def fit(picture: Picture, size_wh: tuple[int, int], fill: int = 0) -> tuple[NDArray[np.uint8], Floats]:
    """A picture scaled to fit, at the top left of a canvas.

    Args:
        picture: (H, W, 3) RGB.
        size_wh: Width and height of the canvas.
        fill: Value of the canvas at the right and bottom.

    Returns:
        (height, width, 3) canvas, and (2,) canvas pixels per picture pixel along x and y; at least a pixel is kept of
        each side, so the two differ for extreme shapes.
    """
    height, width = picture.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    fitted_wh = max(1, round(width * scale)), max(1, round(height * scale))
    small = Image.fromarray(picture).resize(fitted_wh, Image.Resampling.BILINEAR, reducing_gap=2.0)
    canvas = np.full((size_wh[1], size_wh[0], 3), fill, np.uint8)
    canvas[: fitted_wh[1], : fitted_wh[0]] = np.asarray(small)
    return canvas, np.array([fitted_wh[0] / width, fitted_wh[1] / height])
