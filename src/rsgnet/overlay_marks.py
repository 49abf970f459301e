"""The marks of overlays: bright strokes with a dark outline, rings, dashes, rectangles, and legends of them.

Coordinates and sizes are in pixels of the layer that the marks are drawn on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rsgnet.draw import Colour, person_colour

OUTLINE: Colour = (16, 18, 24)
RIVAL_RING_WIDTHS = 2.4  # radius of the ring around a contested keypoint, in widths of lines
_LEGEND_TEXT = (245, 245, 245)


def outline_width(width: float) -> float:
    """Returns the width of the dark outline of a line of that width."""
    return min(0.75 * width, 2.2 + 0.15 * width)


def draw_dashes(
    pen: ImageDraw.ImageDraw, start: NDArray[np.floating], end: NDArray[np.floating], colour: Colour, width: float
) -> None:
    """Draws a dashed line between two points that fits lines of that width, and is thinner."""
    length = float(np.hypot(*(end - start)))
    count = max(1, min(200, round(length / (4.5 * width))))
    for line_colour, line_width in (((*OUTLINE, 170), 0.6 * width + 2), ((*colour, 255), 0.6 * width)):
        for dash in range(count):
            ends = [start + (end - start) * share / count for share in (dash + 0.1, dash + 0.6)]
            pen.line(np.ravel(ends).tolist(), line_colour, max(1, round(line_width)))


def draw_ring(
    pen: ImageDraw.ImageDraw, point: NDArray[np.floating], radius: float, colour: Colour, width: float
) -> None:
    """Draws a ring whose outer edge has that radius."""
    around = outline_width(width)
    pen.circle(tuple(point), radius + around, None, (*OUTLINE, 190), max(1, round(width + 2 * around)))
    pen.circle(tuple(point), radius, None, (*colour, 255), max(1, round(width)))


def draw_rectangle(pen: ImageDraw.ImageDraw, box: list[float], colour: Colour, width: int) -> None:
    """Draws the rectangle of a box: left, top, right, bottom."""
    left, top, right, bottom = box
    pen.rectangle((left - 1, top - 1, max(right, left) + 1, max(bottom, top) + 1), None, (*OUTLINE, 190), width + 2)
    pen.rectangle((left, top, max(right, left), max(bottom, top)), None, (*colour, 255), width)


def draw_legend(
    layer: Image.Image, entries: Sequence[tuple[str, tuple[Colour, ...]]], points: NDArray[np.floating], factor: int
) -> None:
    """Draws the legend in the corner that hides the fewest keypoints; leaves it out where the image is too small."""
    pen, size = ImageDraw.Draw(layer), factor * max(11.0, max(layer.size) / factor / 60)
    sample, gap = 3 * size, size / 2
    width = 3 * gap + sample + max(pen.textlength(text, font_size=size) for text, _ in entries)
    height = gap + len(entries) * 1.5 * size
    if width > 0.8 * layer.width or height > 0.4 * layer.height:
        return
    corners = [(x, y) for y in (layer.height - height - gap, gap) for x in (gap, layer.width - width - gap)]

    def count_hidden(corner: tuple[float, float]) -> int:
        return int(((points >= corner) & (points <= np.add(corner, (width, height)))).all(-1).sum())

    left, top = min(corners, key=count_hidden)
    pen.rounded_rectangle((left, top, left + width, top + height), gap, (*OUTLINE, 200))
    for row, (text, colours) in enumerate(entries):
        middle = top + gap / 2 + (row + 0.5) * 1.5 * size
        start = np.array([left + gap, middle])
        if colours:
            step = sample / len(colours)
            for index, colour in enumerate(colours):
                x = left + gap + index * step
                pen.rectangle((x, middle - size / 4, x + step, middle + size / 4), (*colour, 255))
        else:
            line_width = size / 5
            ring = start + np.array([RIVAL_RING_WIDTHS * line_width, 0])
            draw_dashes(pen, ring, start + np.array([sample, 0]), person_colour(1), line_width)
            draw_ring(pen, ring, RIVAL_RING_WIDTHS * line_width, person_colour(1), 0.7 * line_width)
            pen.circle(tuple(ring), line_width, person_colour(0))
        pen.text((left + 2 * gap + sample, middle), text, _LEGEND_TEXT, anchor="lm", font_size=size)
