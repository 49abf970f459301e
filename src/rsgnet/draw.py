"""Drawing people over an image. Speaks arrays, so that everything above may draw."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from rsgnet.images import RGBImage

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
    owned: NDArray[np.floating] | None = None,
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
        owned: (N, K) how likely each is the person's own; below 0.5 it is drawn hollow and its edges faint.
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
    own = np.ones(scores.shape, bool) if owned is None else owned >= _UNSURE_BELOW
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


_PAPER, _INK, _RULE = (250, 250, 248), (30, 30, 30), (120, 120, 120)
_CAPTION_PX, _GAP = 22, 8
_DIM, _FLOOR = 0.4, 24  # how bright an image stays under what is drawn on it, and its black
# Dark to bright, readable by the colour-blind and in grey.
_RAMP = np.array([[30, 10, 60], [120, 28, 109], [203, 65, 73], [247, 148, 30], [252, 245, 160]], np.float64)


def heat_colours(values: ArrayLike) -> NDArray[np.uint8]:
    """(..., 3) RGB of (...,) values in 0..1, dark to bright."""
    place = np.clip(np.asarray(values, np.float64), 0, 1) * (len(_RAMP) - 1)
    colours = np.stack([np.interp(place, np.arange(len(_RAMP)), channel) for channel in _RAMP.T], -1)
    rgb: NDArray[np.uint8] = colours.round().astype(np.uint8)
    return rgb


def dimmed(image: RGBImage, size_wh: tuple[int, int]) -> Image.Image:
    """An image of that size, dark enough that what is drawn on it shows."""
    scaled = Image.fromarray(image).resize(size_wh, Image.Resampling.BICUBIC)
    return Image.fromarray((np.asarray(scaled.convert("L").convert("RGB")) * _DIM + _FLOOR).astype(np.uint8))


def heat_over(image: RGBImage, heat: ArrayLike, size_wh: tuple[int, int]) -> Image.Image:
    """Heat over a dimmed image: the hotter, the more opaque.

    Args:
        image: (H, W, 3) RGB.
        heat: (h, w) values, of which 0..1 is told apart, over the whole image.
        size_wh: Of the tile.
    """
    values = np.clip(np.asarray(heat, np.float64), 0, 1)
    coarse = Image.fromarray((values * 255).round().astype(np.uint8))
    fine = np.asarray(coarse.resize(size_wh, Image.Resampling.BILINEAR)) / 255
    opacity = np.sqrt(fine)[..., None]
    under = np.asarray(dimmed(image, size_wh), np.float64)
    return Image.fromarray((under * (1 - opacity) + heat_colours(fine) * opacity).round().astype(np.uint8))


def draw_lines(tile: Image.Image, ends: ArrayLike, strengths: ArrayLike, width: int = 3) -> Image.Image:
    """Lines over a tile, the stronger over the weaker, brighter and more opaque.

    Args:
        tile: An RGB image.
        ends: (N, 2, 2) x and y of both ends, in its pixels.
        strengths: (N,) in 0..1.
        width: Of the strongest, in pixels.
    """
    places, strong = np.asarray(ends, np.float64).reshape(-1, 2, 2), np.asarray(strengths, np.float64)
    layer = Image.new("RGBA", tile.size)
    pen = ImageDraw.Draw(layer)
    for index in np.argsort(strong, kind="stable"):
        colour = tuple(heat_colours(strong[index]).tolist())
        opacity = round(255 * float(strong[index]) ** 1.5)
        pen.line(places[index].ravel().tolist(), (*colour, opacity), max(1, round(width * float(strong[index]))))
    return Image.alpha_composite(tile.convert("RGBA"), layer).convert("RGB")


def draw_dots(
    tile: Image.Image, places: ArrayLike, colours: Sequence[Colour], radius: float, full: ArrayLike | None = None
) -> Image.Image:
    """Dots over a tile.

    Args:
        tile: An RGB image.
        places: (N, 2) x and y in its pixels.
        colours: Of each.
        radius: In pixels.
        full: (N,) which are full, not rings; all where None.
    """
    drawn = tile.copy()
    pen = ImageDraw.Draw(drawn)
    points = np.asarray(places, np.float64).reshape(-1, 2)
    is_full = np.ones(len(points), bool) if full is None else np.asarray(full, bool)
    for (x, y), colour, filled in zip(points.tolist(), colours, is_full, strict=True):
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, colour if filled else None, (0, 0, 0) if filled else colour, 2 if not filled else 1)
    return drawn


def matrix(values: ArrayLike, groups: Sequence[str], side: int) -> Image.Image:
    """A square matrix as coloured cells, with names and rules where one group of rows ends and the next begins.

    Args:
        values: (N, N) in 0..1.
        groups: (N,) the group of each row, equal ones beside each other.
        side: Width and height of the tile.
    """
    cells, count = np.asarray(values, np.float64), len(groups)
    tile = Image.new("RGB", (side, side), _PAPER)
    pen = ImageDraw.Draw(tile)
    if count == 0:
        pen.text((side / 2, side / 2), "no candidates", _INK, font_size=16, anchor="mm")
        return tile
    font = max(8, min(14, side // 45))
    names = round(max(pen.textlength(name, font_size=font) for name in groups)) + 10
    inner = side - names - 2
    place = np.arange(inner) * count // inner
    tile.paste(Image.fromarray(heat_colours(cells[np.ix_(place, place)])), (names, 0))
    starts = [index for index in range(count) if index == 0 or groups[index] != groups[index - 1]]
    for start, end in zip(starts, [*starts[1:], count], strict=True):
        at, middle = start * inner / count, (start + end) / 2 * inner / count
        if start:
            pen.line([names, at, names + inner, at], _RULE)
            pen.line([names + at, 0, names + at, inner], _RULE)
        if (end - start) * inner / count >= font:  # names of thinner rows would cover each other
            pen.text((names - 6, middle), groups[start], _INK, font_size=font, anchor="rm")
            _write_down(tile, groups[start], (round(names + middle), inner + 6), font)
    return tile


def _write_down(tile: Image.Image, text: str, top: tuple[int, int], font: int) -> None:
    """Writes from a place downwards."""
    length = round(ImageDraw.Draw(tile).textlength(text, font_size=font)) + 2
    line = Image.new("RGB", (length, font + 4), _PAPER)
    ImageDraw.Draw(line).text((length, font / 2 + 2), text, _INK, font_size=font, anchor="rm")
    turned = line.rotate(90, expand=True)
    tile.paste(turned, (top[0] - turned.width // 2, top[1]))


def sheet(tiles: Sequence[tuple[str, Image.Image]], columns: int, title: str = "") -> Image.Image:
    """Tiles with captions above them, in rows; each column is as wide as its widest tile.

    Args:
        tiles: Captions and tiles.
        columns: How many in a row.
        title: Above all.
    """
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    widths = [max(row[column][1].width for row in rows if column < len(row)) for column in range(len(rows[0]))]
    heights = [max(tile.height for _, tile in row) + _CAPTION_PX for row in rows]
    top = _GAP + (_CAPTION_PX + _GAP if title else 0)
    size = _GAP + sum(width + _GAP for width in widths), top + sum(height + _GAP for height in heights)
    page = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(page)
    _write(pen, (_GAP, _GAP + _CAPTION_PX / 2), title, 17, size[0] - 2 * _GAP)
    for row, height in zip(rows, heights, strict=True):
        left = _GAP
        for (caption, tile), width in zip(row, widths, strict=False):
            _write(pen, (left, top + _CAPTION_PX / 2), caption, 14, width)
            page.paste(tile, (left, top + _CAPTION_PX))
            left += width + _GAP
        top += height + _GAP
    return page


def _write(pen: ImageDraw.ImageDraw, left_middle: tuple[float, float], text: str, size: int, room: float) -> None:
    """A line of text, smaller where it does not fit, cut off where it would be too small."""
    while text and pen.textlength(text, font_size=size) > room:
        size, text = (size - 1, text) if size > 11 else (size, text[:-2].rstrip("…") + "…")
    pen.text(left_middle, text, _INK, font_size=size, anchor="lm")
