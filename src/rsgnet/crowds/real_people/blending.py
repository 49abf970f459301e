"""Laying cut-outs over images so that they look as if they stood there: light and edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from rsgnet.annotations.masks import Mask
from rsgnet.images import RGBImage

Opacity = NDArray[np.float32]


_MATCHED = 0.5  # the share of the way from one light to another; all of it would dye dark clothes grey


_GREY = 4.0  # places less colourful than this make what is laid over them as grey


_LEAST_GAIN, _LARGEST_GAIN = 0.6, 1.6


@dataclass(frozen=True, eq=False)
class Light:
    """How a place is lit.

    Attributes:
        level: (3,) mean of each channel, 0..255.
        spread: Standard deviation of the grey.
        colourful: Mean distance of the channels from the grey.
    """

    level: NDArray[np.float32]
    spread: float
    colourful: float


def measure_light(image: RGBImage) -> Light:
    """The light of an (H, W, 3) image, of a sample of its pixels."""
    step = max(int(np.sqrt(image.shape[0] * image.shape[1] / 1024)), 1)
    pixels = image[::step, ::step].reshape(-1, 3).astype(np.float32)
    grey = pixels.mean(1)
    return Light(pixels.mean(0), float(grey.std()), float(np.abs(pixels - grey[:, None]).mean()))


def goes_with(source: Light, place: Light) -> bool:
    """Whether someone from a light can be laid into another: the grey of old photos stays grey among colours."""
    return source.colourful >= _GREY or place.colourful < _GREY


def relit(colours: NDArray[np.float32], source: Light, place: Light) -> NDArray[np.float32]:
    """(..., 3) colours seen in one light as they would look, half-way, in another: colour temperature and contrast."""
    gain = ((place.level + 8) / (source.level + 8)) ** _MATCHED
    gain = gain.clip(_LEAST_GAIN, _LARGEST_GAIN)
    middle = source.level * gain
    contrast = ((place.spread + 8) / (source.spread * gain.mean() + 8)) ** _MATCHED
    lit: NDArray[np.float32] = (colours * gain - middle) * np.clip(contrast, 0.75, 1.3) + middle
    if place.colourful < _GREY:
        grey = lit.mean(-1, keepdims=True)
        lit = grey + (lit - grey) * (place.colourful / _GREY)
    return lit.clip(0, 255)


def soft_alpha(mask: Mask) -> NDArray[np.uint8]:
    """(H, W) the opacity of a cut-out: a ramp inside of the mask, so that no fringe of its old place comes along."""
    radius = float(np.clip(mask.any(1).sum() / 150, 0.6, 1.6))
    blurred = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(radius)))
    return ((blurred.astype(np.float32) - 96) * (255 / 144)).clip(0, 255).astype(np.uint8)


def composite(image: NDArray[np.float32], colours: NDArray[np.float32], opacity: Opacity) -> NDArray[np.float32]:
    """(H, W, 3) an image with (H, W, 3) colours over it, as opaque as (H, W) says."""
    laid: NDArray[np.float32] = image + (colours - image) * opacity[..., None]
    return laid


def as_opacity(alpha: NDArray[np.uint8]) -> Opacity:
    """(H, W) 0..1 of 0..255."""
    opacity: Opacity = alpha.astype(np.float32) / np.float32(255)
    return opacity
