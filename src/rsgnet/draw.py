"""Colours of people, and drawings of heatmaps, relation matrices and sheets of captioned tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from rsgnet.images import RGBImage

Colour = tuple[int, int, int]

_PALETTE: tuple[Colour, ...] = (
    (255, 176, 0), (76, 201, 255), (255, 122, 184), (140, 224, 74), (185, 162, 255), (255, 138, 92), (47, 224, 192),
    (246, 230, 74), (228, 140, 245), (111, 168, 255),
)  # fmt: skip

_BACKGROUND, _TEXT, _RULE = (250, 250, 248), (30, 30, 30), (120, 120, 120)
_CAPTION_PX, _GAP_PX = 22, 8
_DIM_FACTOR, _DIM_OFFSET = 0.4, 24
_MAX_LINE_PX = 3  # width of a line of strength 1
# Dark to bright; distinguishable with colour blindness and in greyscale.
_COLOUR_MAP = np.array([[30, 10, 60], [120, 28, 109], [203, 65, 73], [247, 148, 30], [252, 245, 160]], np.float64)


def person_colour(person: int) -> Colour:
    """Returns a bright RGB colour for a person index; neighbours have different hues, every second ten is pale."""
    colour = _PALETTE[person % len(_PALETTE)]
    if person // len(_PALETTE) % 2 == 0:
        return colour
    red, green, blue = ((255 + value) // 2 for value in colour)
    return red, green, blue


def heat_colours(values: ArrayLike) -> NDArray[np.uint8]:
    """Returns (..., 3) RGB colours, dark to bright, of (...,) values; values outside 0..1 are clipped."""
    position = np.clip(np.asarray(values, np.float64), 0, 1) * (len(_COLOUR_MAP) - 1)
    colours = np.stack([np.interp(position, np.arange(len(_COLOUR_MAP)), channel) for channel in _COLOUR_MAP.T], -1)
    rgb: NDArray[np.uint8] = colours.round().astype(np.uint8)
    return rgb


def dim_image(image: RGBImage, size_wh: tuple[int, int]) -> Image.Image:
    """Returns the image resized, in grey and darkened, so that colours drawn over it stand out."""
    scaled = Image.fromarray(image).resize(size_wh, Image.Resampling.BICUBIC)
    return Image.fromarray(
        (np.asarray(scaled.convert("L").convert("RGB")) * _DIM_FACTOR + _DIM_OFFSET).astype(np.uint8)
    )


def draw_heatmap(image: RGBImage, heatmap: ArrayLike, size_wh: tuple[int, int]) -> Image.Image:
    """Draws a heatmap over the dimmed image; higher values are more opaque.

    Args:
        image: (H, W, 3) RGB.
        heatmap: (h, w) values over the whole image; values outside 0..1 are clipped.
        size_wh: Width and height of the returned image.
    """
    values = np.clip(np.asarray(heatmap, np.float64), 0, 1)
    coarse = Image.fromarray((values * 255).round().astype(np.uint8))
    fine = np.asarray(coarse.resize(size_wh, Image.Resampling.BILINEAR)) / 255
    opacity = np.sqrt(fine)[..., None]
    under = np.asarray(dim_image(image, size_wh), np.float64)
    return Image.fromarray((under * (1 - opacity) + heat_colours(fine) * opacity).round().astype(np.uint8))


def draw_lines(tile: Image.Image, ends: ArrayLike, strengths: ArrayLike) -> Image.Image:
    """Returns the tile with lines drawn over it; stronger lines lie on top and are brighter and more opaque.

    Args:
        tile: An RGB image.
        ends: (N, 2, 2) x and y of both ends, in pixels of the tile.
        strengths: (N,) in 0..1.
    """
    points, strength = np.asarray(ends, np.float64).reshape(-1, 2, 2), np.asarray(strengths, np.float64)
    layer = Image.new("RGBA", tile.size)
    pen = ImageDraw.Draw(layer)
    for index in np.argsort(strength, kind="stable"):
        colour = tuple(heat_colours(strength[index]).tolist())
        opacity = round(255 * float(strength[index]) ** 1.5)
        pen.line(
            points[index].ravel().tolist(), (*colour, opacity), max(1, round(_MAX_LINE_PX * float(strength[index])))
        )
    return Image.alpha_composite(tile.convert("RGBA"), layer).convert("RGB")


def draw_dots(tile: Image.Image, points_xy: ArrayLike, colours: Sequence[Colour], radius: float) -> Image.Image:
    """Returns the tile with a disc drawn on each point.

    Args:
        tile: An RGB image.
        points_xy: (N, 2) in pixels of the tile.
        colours: (N,) colours.
        radius: In pixels.
    """
    drawn = tile.copy()
    pen = ImageDraw.Draw(drawn)
    for (x, y), colour in zip(np.reshape(points_xy, (-1, 2)).tolist(), colours, strict=True):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour, (0, 0, 0), 1)
    return drawn


def draw_matrix(values: ArrayLike, groups: Sequence[str], side: int) -> Image.Image:
    """Draws a square matrix as coloured cells, with lines between groups of rows and columns and the groups' names.

    Args:
        values: (N, N) in 0..1.
        groups: (N,) the group name of each row; rows of one group are adjacent.
        side: Width and height of the returned image in pixels.
    """
    cells, count = np.asarray(values, np.float64), len(groups)
    tile = Image.new("RGB", (side, side), _BACKGROUND)
    pen = ImageDraw.Draw(tile)
    if count == 0:
        pen.text((side / 2, side / 2), "no candidates", _TEXT, font_size=16, anchor="mm")
        return tile
    font_size = max(8, min(14, side // 45))
    margin = round(max(pen.textlength(name, font_size=font_size) for name in groups)) + 10
    inner = side - margin - 2
    cell_of_pixel = np.arange(inner) * count // inner
    tile.paste(Image.fromarray(heat_colours(cells[np.ix_(cell_of_pixel, cell_of_pixel)])), (margin, 0))
    starts = [index for index in range(count) if index == 0 or groups[index] != groups[index - 1]]
    for start, end in zip(starts, [*starts[1:], count], strict=True):
        offset, middle = start * inner / count, (start + end) / 2 * inner / count
        if start:
            pen.line([margin, offset, margin + inner, offset], _RULE)
            pen.line([margin + offset, 0, margin + offset, inner], _RULE)
        if (end - start) * inner / count >= font_size:  # names of thinner groups would overlap
            pen.text((margin - 6, middle), groups[start], _TEXT, font_size=font_size, anchor="rm")
            _draw_vertical_text(tile, groups[start], (round(margin + middle), inner + 6), font_size)
    return tile


def _draw_vertical_text(tile: Image.Image, text: str, top: tuple[int, int], font_size: int) -> None:
    length = round(ImageDraw.Draw(tile).textlength(text, font_size=font_size)) + 2
    line = Image.new("RGB", (length, font_size + 4), _BACKGROUND)
    ImageDraw.Draw(line).text((length, font_size / 2 + 2), text, _TEXT, font_size=font_size, anchor="rm")
    turned = line.rotate(90, expand=True)
    tile.paste(turned, (top[0] - turned.width // 2, top[1]))


def arrange_tiles(tiles: Sequence[tuple[str, Image.Image]], columns: int, title: str = "") -> Image.Image:
    """Returns one image of tiles in rows, each below its caption; a column is as wide as its widest tile.

    Args:
        tiles: Captions and tiles, at least one.
        columns: The number of tiles in a row.
        title: A line of text above all tiles.
    """
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    widths = [max(row[column][1].width for row in rows if column < len(row)) for column in range(len(rows[0]))]
    heights = [max(tile.height for _, tile in row) + _CAPTION_PX for row in rows]
    top = _GAP_PX + (_CAPTION_PX + _GAP_PX if title else 0)
    size = _GAP_PX + sum(width + _GAP_PX for width in widths), top + sum(height + _GAP_PX for height in heights)
    page = Image.new("RGB", size, _BACKGROUND)
    pen = ImageDraw.Draw(page)
    _draw_caption(pen, (_GAP_PX, _GAP_PX + _CAPTION_PX / 2), title, 17, size[0] - 2 * _GAP_PX)
    for row, height in zip(rows, heights, strict=True):
        left = _GAP_PX
        for (caption, tile), width in zip(row, widths, strict=False):
            _draw_caption(pen, (left, top + _CAPTION_PX / 2), caption, 14, width)
            page.paste(tile, (left, top + _CAPTION_PX))
            left += width + _GAP_PX
        top += height + _GAP_PX
    return page


def _draw_caption(
    pen: ImageDraw.ImageDraw, left_middle: tuple[float, float], text: str, font_size: int, max_width: float
) -> None:
    """Draws one line of text; text that is too long gets a smaller font, then is cut off."""
    text = text[: int(max_width)]  # which holds fewer letters; names may have any length
    while text and pen.textlength(text, font_size=font_size) > max_width:
        font_size, text = (font_size - 1, text) if font_size > 11 else (font_size, text[:-2].rstrip("…") + "…")
    pen.text(left_middle, text, _TEXT, font_size=font_size, anchor="lm")
