"""Blending cut-outs into images: adapting their lighting, soft edges, and compositing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from rsgnet.annotations.masks import Mask
from rsgnet.images import RGBImage

Opacity = NDArray[np.float32]

_MATCH_EXPONENT = 0.5  # half-way from one lighting to the other; a full match would turn dark clothes grey
_MIN_COLOURFULNESS = 4.0  # images below count as grey
_MIN_GAIN, _MAX_GAIN = 0.6, 1.6


@dataclass(frozen=True, eq=False)
class Lighting:
    """The lighting of an image.

    Attributes:
        mean_rgb: (3,) mean of each channel, 0..255.
        grey_std: Standard deviation of the grey values.
        colourfulness: Mean absolute difference of the channels from the grey value.
    """

    mean_rgb: NDArray[np.float32]
    grey_std: float
    colourfulness: float


def measure_lighting(image: RGBImage) -> Lighting:
    """Measures the lighting of an (H, W, 3) image from about a thousand of its pixels."""
    step = max(int(np.sqrt(image.shape[0] * image.shape[1] / 1024)), 1)
    pixels = image[::step, ::step].reshape(-1, 3).astype(np.float32)
    grey = pixels.mean(1)
    return Lighting(pixels.mean(0), float(grey.std()), float(np.abs(pixels - grey[:, None]).mean()))


def has_compatible_lighting(source: Lighting, target: Lighting) -> bool:
    """Whether a person from an image can be pasted into another: not from a grey one into a colourful one."""
    return source.colourfulness >= _MIN_COLOURFULNESS or target.colourfulness < _MIN_COLOURFULNESS


def relight(colours: NDArray[np.float32], source: Lighting, target: Lighting) -> NDArray[np.float32]:
    """Moves (..., 3) colours half-way from one lighting to another, in colour temperature and contrast."""
    gain = ((target.mean_rgb + 8) / (source.mean_rgb + 8)) ** _MATCH_EXPONENT
    gain = gain.clip(_MIN_GAIN, _MAX_GAIN)
    mean = source.mean_rgb * gain
    contrast = ((target.grey_std + 8) / (source.grey_std * gain.mean() + 8)) ** _MATCH_EXPONENT
    relit: NDArray[np.float32] = (colours * gain - mean) * np.clip(contrast, 0.75, 1.3) + mean
    if target.colourfulness < _MIN_COLOURFULNESS:
        grey = relit.mean(-1, keepdims=True)
        relit = grey + (relit - grey) * (target.colourfulness / _MIN_COLOURFULNESS)
    return relit.clip(0, 255)


def compute_soft_alpha(mask: Mask) -> NDArray[np.uint8]:
    """Computes (H, W) the opacity of a cut-out, 0..255, from its mask.

    It falls to 0 inside the mask, so that no fringe of the old background is left.
    """
    radius = float(np.clip(mask.any(1).sum() / 150, 0.6, 1.6))
    blurred = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(radius)))
    return ((blurred.astype(np.float32) - 96) * (255 / 144)).clip(0, 255).astype(np.uint8)


def composite(image: NDArray[np.float32], colours: NDArray[np.float32], opacity: Opacity) -> NDArray[np.float32]:
    """Composites (H, W, 3) colours with (H, W) opacity over an (H, W, 3) image."""
    composited: NDArray[np.float32] = image + (colours - image) * opacity[..., None]
    return composited


def alpha_to_opacity(alpha: NDArray[np.uint8]) -> Opacity:
    """Converts (H, W) alpha in 0..255 to opacity in 0..1."""
    opacity: Opacity = alpha.astype(np.float32) / np.float32(255)
    return opacity
