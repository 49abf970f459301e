"""Drawing people over a picture. Speaks arrays, so that everything above may draw."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
_SUPERSAMPLE = 2  # Pillow's lines have hard edges: draw larger, scale down
_LARGEST_SUPERSAMPLED = 12_000_000  # pixels; beyond that the edges do not show, and the memory would


def person_colour(person: int) -> Colour:
    """A bright colour for the person of that index; neighbours in order differ most."""
    hue = (person * 0.618034) % 1.0  # the golden ratio never comes near an earlier hue soon
    red, green, blue = colorsys.hls_to_rgb(hue, 0.55, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_poses(
    picture: NDArray[np.uint8],
    keypoints_xy: NDArray[np.floating],
    scores: NDArray[np.floating],
    edges: tuple[tuple[int, int], ...],
    threshold: float = 0.2,
) -> Image.Image:
    """A picture with each person's skeleton over it in a colour of its own.

    Args:
        picture: (H, W, 3) RGB.
        keypoints_xy: (N, K, 2) in picture pixels.
        scores: (N, K); the surer a keypoint, the more opaque.
        edges: Pairs of keypoints to join.
        threshold: Keypoints that score less are left out.

    Returns:
        The RGB picture.
    """
    base = Image.fromarray(picture)
    finer = _SUPERSAMPLE if base.width * base.height <= _LARGEST_SUPERSAMPLED else 1
    layer = Image.new("RGBA", (base.width * finer, base.height * finer))
    pen = ImageDraw.Draw(layer)
    for person, (places, sure) in enumerate(zip(keypoints_xy, scores, strict=True)):
        colour = person_colour(person)
        shown = (sure >= threshold) & np.isfinite(places).all(-1)
        if not shown.any():
            continue
        extent = np.ptp(places[shown], axis=0).max()
        width = max(1.0, min(float(extent) / 60, max(base.size) / 150)) * finer
        points = (places + 0.5) * finer - 0.5  # Pillow, too, names a pixel by its index
        for first, second in edges:
            if shown[first] and shown[second]:
                opacity = _opacity(min(sure[first], sure[second]))
                pen.line([*points[first], *points[second]], (*colour, opacity), round(width))
        for index in np.flatnonzero(shown):
            x, y = points[index]
            radius = width * 0.9
            pen.ellipse(
                (x - radius, y - radius, x + radius, y + radius), (*colour, 255), (0, 0, 0, _opacity(sure[index]))
            )
    overlay = layer.resize(base.size, Image.Resampling.BOX)
    return Image.alpha_composite(base.convert("RGBA"), overlay).convert("RGB")


def _opacity(score: float) -> int:
    return round(255 * float(np.clip(0.45 + score, 0, 1)))
