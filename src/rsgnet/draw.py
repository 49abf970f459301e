"""Drawing people over an image. Speaks arrays, so that everything above may draw."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
_UNSURE_BELOW = 0.5  # keypoints less likely than this are more likely another's, or misplaced
_GREY = (170, 170, 170)  # whoever is not followed
_FAINT = 0.4  # opacity of edges to them
_SUPERSAMPLE = 2  # Pillow's lines have hard edges: draw larger, scale down
_LARGEST_SUPERSAMPLED = 12_000_000  # pixels; beyond that the edges do not show, and the memory would


def person_colour(person: int) -> Colour:
    """A bright colour for the person of that index; neighbours in order differ most."""
    hue = (person * 0.618034) % 1.0  # the golden ratio never comes near an earlier hue soon
    red, green, blue = colorsys.hls_to_rgb(hue, 0.55, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_poses(
    image: NDArray[np.uint8],
    keypoints_xy: NDArray[np.floating],
    scores: NDArray[np.floating],
    edges: tuple[tuple[int, int], ...],
    threshold: float = 0.2,
    mine: NDArray[np.floating] | None = None,
    rival: NDArray[np.integer] | None = None,
    track_ids: NDArray[np.integer] | None = None,
) -> Image.Image:
    """An image with each person's skeleton over it in a colour of its own.

    Args:
        image: (H, W, 3) RGB.
        keypoints_xy: (N, K, 2) in image pixels.
        scores: (N, K); the surer a keypoint, the more opaque.
        edges: Pairs of keypoints to join.
        threshold: Keypoints that score less are left out.
        mine: (N, K) how likely each is the person's own; below 0.5 it is drawn hollow and its edges faint.
        rival: (N, K) who else may own each, -1 for nobody; a thin line in their colour leads to their middle.
        track_ids: (N,) numbers that give people their colours, written above those who have one; -1 for none, grey.

    Returns:
        The RGB image.
    """
    base = Image.fromarray(image)
    finer = _SUPERSAMPLE if base.width * base.height <= _LARGEST_SUPERSAMPLED else 1
    layer = Image.new("RGBA", (base.width * finer, base.height * finer))
    pen = ImageDraw.Draw(layer)
    points = (keypoints_xy + 0.5) * finer - 0.5  # Pillow, too, names a pixel by its index
    shown = (scores >= threshold) & np.isfinite(keypoints_xy).all(-1)
    own = np.ones(scores.shape, bool) if mine is None else mine >= _UNSURE_BELOW
    numbers = range(len(scores)) if track_ids is None else track_ids.tolist()
    colours = [_GREY if number < 0 else person_colour(number) for number in numbers]
    for person in np.flatnonzero(shown.any(1)).tolist():
        extent = np.ptp(keypoints_xy[person][shown[person]], axis=0).max()
        width = max(1.0, min(float(extent) / 60, max(base.size) / 150)) * finer
        if rival is not None:
            _draw_rivals(pen, points, shown, rival, person, colours, max(1, round(width / 3)))
        _draw_person(pen, colours[person], points[person], scores[person], edges, shown[person], own[person], width)
        if track_ids is not None and track_ids[person] >= 0:
            _draw_number(pen, int(track_ids[person]), colours[person], points[person][shown[person]], 6 * width)
    overlay = layer.resize(base.size, Image.Resampling.BOX)
    return Image.alpha_composite(base.convert("RGBA"), overlay).convert("RGB")


def _draw_person(
    pen: ImageDraw.ImageDraw,
    colour: Colour,
    points: NDArray[np.floating],
    sure: NDArray[np.floating],
    edges: tuple[tuple[int, int], ...],
    shown: NDArray[np.bool_],
    own: NDArray[np.bool_],
    width: float,
) -> None:
    """One person's edges, then the dots over them: full ones, or rings where the keypoint may be another's."""
    for first, second in edges:
        if shown[first] and shown[second]:
            faint = 1.0 if own[first] and own[second] else _FAINT
            opacity = round(_opacity(min(sure[first], sure[second])) * faint)
            pen.line([*points[first], *points[second]], (*colour, opacity), round(width))
    for index in np.flatnonzero(shown):
        x, y = points[index]
        radius = width * 0.9
        place = (x - radius, y - radius, x + radius, y + radius)
        if own[index]:
            pen.ellipse(place, (*colour, 255), (0, 0, 0, _opacity(sure[index])))
        else:
            pen.ellipse(place, (0, 0, 0, 0), (*colour, 255), max(1, round(width / 3)))


def _draw_rivals(
    pen: ImageDraw.ImageDraw,
    points: NDArray[np.floating],
    shown: NDArray[np.bool_],
    rival: NDArray[np.integer],
    person: int,
    colours: list[Colour],
    width: int,
) -> None:
    """A thin line from each contested keypoint of a person to the middle of the rival's keypoints."""
    for index in np.flatnonzero(shown[person] & (rival[person] >= 0)):
        other = int(rival[person, index])
        if shown[other].any():
            middle = points[other][shown[other]].mean(0)
            pen.line([*points[person, index], *middle], (*colours[other], 200), width)


def _draw_number(
    pen: ImageDraw.ImageDraw, number: int, colour: Colour, points: NDArray[np.floating], size: float
) -> None:
    """A number over the highest of some points."""
    x, y = points[points[:, 1].argmin()]
    place, black = (float(x), float(y) - size / 2), (0, 0, 0, 255)
    pen.text(
        place, str(number), (*colour, 255), font_size=max(size, 10), anchor="mb", stroke_width=1, stroke_fill=black
    )


def _opacity(score: float) -> int:
    return round(255 * float(np.clip(0.45 + score, 0, 1)))
