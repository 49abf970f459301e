"""Images in which two results differ, side by side with their errors ringed by kind: an SVG figure and an HTML page.

Everything is in one file. Photos are embedded as JPEG, poses are vector graphics, and styles are attributes, so that
browsers, Inkscape and converters to PDF show the same.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsgnet.draw import person_colour
from rsgnet.evaluation.error_types import KEYPOINT_KINDS
from rsgnet.evaluation.matching import NOBODY
from rsgnet.evaluation.paired_errors import RIGHT_KINDS, JudgedImage, JudgedPeople, count_kinds
from rsgnet.evaluation.plots import render_page, render_section, render_table
from rsgnet.geometry import Floats, xywh_to_xyxy
from rsgnet.images import RGBImage
from rsgnet.skeletons import Skeleton

# Units of the SVG's coordinate system.
_TILE, _GAP, _TEXT, _LEGEND_TEXT = 240.0, 6.0, 11.0, 12.0
_PAIR_WIDTH, _PAIR_HEIGHT, _LEGEND_HEIGHT = 2 * _TILE + _GAP, _TILE + 2.6 * _TEXT, 2.6 * _LEGEND_TEXT
_PAIRS_PER_ROW = 2
_PAGE_WIDTH_MM = 180  # the width of text on A4
_MAX_JPEG_PX = 800  # the longer side of an embedded photo
_MAX_NAME = 40  # letters of a name that fit above a tile
_RING = 6.0
_SIDE_OF_FULL_MARKS = 110.0  # side of a person in the tile from which rings and lines have their full size
# Colours of the rings, and their dashes in radii, by which colour-blind readers tell them apart.
_RINGS: dict[str, tuple[str, tuple[float, ...]]] = {
    "missed": ("#ff3b30", ()),
    "swapped": ("#ff5fd2", (0.8, 0.45)),
    "inverted": ("#ffd60a", (0.25, 0.4)),
    "jitter": ("#56c8ff", ()),
    "right": ("#2ee59d", ()),
}
_MARGIN = 0.08  # around the people who differ, as a share of their extent
_REACH = 1.2  # how far people nearby may be from the one who differs most, in sides of that person's box


@dataclass(frozen=True)
class _Frame:
    """The part of an image that is shown, and where.

    Attributes:
        left_top: (2,) its corner in image pixels.
        size_wh: (2,) its size in image pixels.
        factor: Units of the tile per image pixel.
        offset: (2,) its corner in the tile.
    """

    left_top: Floats
    size_wh: Floats
    factor: float
    offset: Floats

    def to_tile(self, points_xy: Floats) -> Floats:
        """Converts (..., 2) image pixels, whose integer coordinates are centres, to units of the tile."""
        moved: Floats = (points_xy - self.left_top + 0.5) * self.factor + self.offset
        return moved


def render_figure(images: Sequence[tuple[JudgedImage, RGBImage]], skeleton: Skeleton, names: tuple[str, str]) -> str:
    """Returns the images as one SVG file, two pairs in a row, with a legend.

    Args:
        images: Each image with its (H, W, 3) RGB photo, at least one keypoint of which differs.
        skeleton: The keypoints.
        names: The names of both results.
    """
    columns = min(_PAIRS_PER_ROW, len(images))
    rows = -(-len(images) // columns)
    width = columns * (_PAIR_WIDTH + 3 * _GAP) - 3 * _GAP
    height = rows * (_PAIR_HEIGHT + _GAP) + _LEGEND_HEIGHT
    parts = []
    for index, (image, photo) in enumerate(images):
        row, column = divmod(index, columns)
        x, y = column * (_PAIR_WIDTH + 3 * _GAP), row * (_PAIR_HEIGHT + _GAP)
        parts.append(f'<g transform="translate({x:.1f} {y:.1f})">{_pair(image, photo, skeleton, names, index)}</g>')
    parts.append(f'<g transform="translate(0 {height - _LEGEND_HEIGHT:.1f})">{_legend()}</g>')
    size = f'width="{_PAGE_WIDTH_MM}mm" height="{_PAGE_WIDTH_MM * height / width:.1f}mm"'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_svg(width, height, "".join(parts), size)}\n'


def render_figure_page(
    judged: Sequence[JudgedImage],
    images: Sequence[tuple[JudgedImage, RGBImage]],
    skeleton: Skeleton,
    names: tuple[str, str],
    files: Sequence[Path],
) -> str:
    """Returns the images as one HTML page, below a table of both results' errors on all images.

    Args:
        judged: All images.
        images: The images to show, each with its photo.
        skeleton: The keypoints.
        names: The names of both results.
        files: The files of both results and of the annotations.
    """
    counts = [count_kinds([image.first for image in judged]), count_kinds([image.second for image in judged])]
    keypoints = [sum(each[kind] for kind in KEYPOINT_KINDS) for each in counts]
    once = np.array([image.right_once for image in judged]).sum(0).tolist()
    rows: list[Sequence[object]] = [
        *(
            [kind, *(f"{each[kind] / max(total, 1):.1%}" for each, total in zip(counts, keypoints, strict=True))]
            for kind in KEYPOINT_KINDS
        ),
        ["people without a pose", *(each["people without a pose"] for each in counts)],
        ["keypoints right in this only", *once],
    ]
    sources = [[name, str(path)] for name, path in zip(("A", "B", "labels"), files, strict=True)]
    summary = render_section(
        f"{len(judged)} images",
        "Kinds of the labelled keypoints of people with a pose. A keypoint is right if it is near its label: good or "
        "jitter.",
        render_table(["", f"A · {names[0]}", f"B · {names[1]}"], rows),
        f'<div class="texts">{render_table(["", ""], sources)}</div>',
    )
    wide = 'style="max-width: 72rem"'
    heading = (
        f'<div style="column-span: all"><h2>The {len(images)} images in which most keypoints are right in one result '
        f"only</h2>{_svg(_PAIR_WIDTH, _LEGEND_HEIGHT, _legend(), wide)}</div>"
    )
    pairs = [
        f'<section style="column-span: all">'
        f"{_svg(_PAIR_WIDTH, _PAIR_HEIGHT, _pair(image, photo, skeleton, names, index), wide)}</section>"
        for index, (image, photo) in enumerate(images)
    ]
    title = f"{names[0]} and {names[1]}"
    return render_page(title, title, "Where two results differ, judged by labels", [summary, heading, *pairs])


def _pair(image: JudgedImage, photo: RGBImage, skeleton: Skeleton, names: tuple[str, str], number: int) -> str:
    """Returns both results' tiles side by side, with names above and a caption below."""
    frame = _choose_frame(image, (photo.shape[1], photo.shape[0]))
    identity = f"photo{number}"
    shared = f"<defs>{_embed_photo(photo, frame, identity)}</defs>"
    parts = [shared]
    for column, (people, other) in enumerate(((image.first, image.second), (image.second, image.first))):
        x = column * (_TILE + _GAP)
        parts.append(_text(x, _TEXT * 0.85, f"{'AB'[column]} · {names[column]}"[:_MAX_NAME]))
        content = f'<use xlink:href="#{identity}"/>{_draw_people(image, people, other, frame, skeleton)}'
        box = f'x="{x:.1f}" y="{_TEXT + 2:.1f}" width="{_TILE:.1f}" height="{_TILE:.1f}"'
        parts.append(
            f'<svg {box} viewBox="0 0 {_TILE:.0f} {_TILE:.0f}" overflow="hidden" style="width:auto">'
            f'<rect width="{_TILE:.0f}" height="{_TILE:.0f}" fill="#20242c"/>{content}</svg>'
        )
    first, second = image.right_once
    caption = f"{image.annotated.file_name[-_MAX_NAME:]}: keypoints right only in A {first}, only in B {second}"
    parts.append(_text(0, _TILE + 2.1 * _TEXT, caption, 0.85 * _TEXT))
    return "".join(parts)


def _choose_frame(image: JudgedImage, size_wh: tuple[int, int]) -> _Frame:
    """Chooses a square about the person who differs most and those nearby who differ, as far as the image reaches."""
    counts = image.differing.sum(1)
    rows = np.flatnonzero(counts)
    boxes = xywh_to_xyxy(np.array([image.annotated.people[row].box_xywh for row in rows]))
    most = boxes[np.argmax(counts[rows])]
    centre, reach = (most[:2] + most[2:]) / 2, _REACH * (most[2:] - most[:2]).max()
    near = (np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - centre) <= reach).all(1)
    points = [boxes[near, :2], boxes[near, 2:]]
    for side in (image.first, image.second):  # wrong keypoints lie outside the box at times
        points += [
            side.image.poses[pose, image.differing[row], :2]
            for row, pose in zip(rows[near], side.poses[rows[near]], strict=True)
            if pose != NOBODY
        ]
    every = np.concatenate(points).clip(0, np.array(size_wh) - 1)
    low, high = every.min(0), every.max(0)
    side_px = min((1 + 2 * _MARGIN) * float((high - low).max()) + 8, max(size_wh))
    left_top = np.floor(np.clip((low + high - side_px) / 2, 0, np.maximum(np.array(size_wh) - side_px, 0)))
    shown_wh = np.ceil(np.minimum(left_top + side_px, size_wh)) - left_top
    factor = _TILE / float(shown_wh.max())
    return _Frame(left_top, shown_wh, factor, (_TILE - shown_wh * factor) / 2)


def _embed_photo(photo: RGBImage, frame: _Frame, identity: str) -> str:
    (left, top), (width, height) = frame.left_top.astype(int).tolist(), frame.size_wh.astype(int).tolist()
    part = Image.fromarray(photo[top : top + height, left : left + width])
    part.thumbnail((_MAX_JPEG_PX, _MAX_JPEG_PX))
    content = io.BytesIO()
    part.save(content, "JPEG", quality=88)
    (x, y), (wide, high) = frame.offset.tolist(), (frame.size_wh * frame.factor).tolist()
    return (
        f'<image id="{identity}" x="{x:.2f}" y="{y:.2f}" width="{wide:.2f}" height="{high:.2f}" '
        'preserveAspectRatio="none" '
        f'xlink:href="data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"/>'
    )


def _draw_people(
    image: JudgedImage, people: JudgedPeople, other: JudgedPeople, frame: _Frame, skeleton: Skeleton
) -> str:
    """Draws one result's poses: faint where the results agree, and coloured, with rings, where they differ."""
    rows = np.flatnonzero(image.differing.any(1))
    agreeing = set(people.poses.tolist()) - set(people.poses[rows].tolist()) - {NOBODY}
    parts = []
    for pose in sorted(agreeing | set(people.false_poses)):
        points = frame.to_tile(people.image.poses[pose, :, :2])
        parts.append(_edges(points, np.ones(len(skeleton), bool), skeleton, "#ffffff", 1.0, 0.45))
    for number, row in enumerate(rows.tolist()):
        colour = "#{:02x}{:02x}{:02x}".format(*person_colour(number))
        box_xywh = image.annotated.people[row].box_xywh
        if people.poses[row] == NOBODY:
            parts.append(_missing_person(frame, box_xywh, colour))
            continue
        scale = float(np.clip(box_xywh[2:].max() * frame.factor / _SIDE_OF_FULL_MARKS, 0.35, 1))
        points = frame.to_tile(people.image.poses[people.poses[row], :, :2])
        labels = frame.to_tile(people.image.people[row, :, :2])
        parts.append(_edges(points, people.kinds[row] >= 0, skeleton, colour, 2.4 * scale, 1.0))
        for index in np.flatnonzero(people.kinds[row] >= 0).tolist():
            kind = KEYPOINT_KINDS[people.kinds[row, index]]
            if kind not in RIGHT_KINDS:
                parts.append(_to_label(points[index], labels[index], scale) + _ring(points[index], kind, scale))
            elif image.differing[row, index]:
                parts.append(_ring(points[index], "right", scale))
            elif kind != "good":
                parts.append(_ring(points[index], kind, 0.55 * scale))
    return "".join(parts)


def _edges(
    points: Floats, is_drawn: NDArray[np.bool_], skeleton: Skeleton, colour: str, width: float, opacity: float
) -> str:
    edges = [points[list(edge)].ravel().tolist() for edge in skeleton.edges if is_drawn[list(edge)].all()]
    path = " ".join("M{:.1f} {:.1f}L{:.1f} {:.1f}".format(*edge) for edge in edges)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{0.75 * width:.1f}" fill="{colour}" stroke="#101218" '
        'stroke-width="0.6"/>'
        for x, y in points[is_drawn].tolist()
    )
    return (
        f'<g opacity="{opacity}" fill="none" stroke-linecap="round">'
        f'<path d="{path}" stroke="#101218" stroke-width="{1.6 * width:.1f}"/>'
        f'<path d="{path}" stroke="{colour}" stroke-width="{width:.1f}"/>{dots}</g>'
    )


def _ring(point: Floats, kind: str, scale: float) -> str:
    colour, dashes = _RINGS[kind]
    (x, y), radius, width = point.tolist(), _RING * scale, max(2.2 * scale, 1)
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="none"'
    dashed = f' stroke-dasharray="{" ".join(f"{dash * radius:.1f}" for dash in dashes)}"' if dashes else ""
    return (
        f'{circle} stroke="#101218" stroke-opacity="0.75" stroke-width="{1.7 * width:.1f}"/>'
        f'{circle} stroke="{colour}" stroke-width="{width:.1f}"{dashed}/>'
    )


def _to_label(point: Floats, label: Floats, scale: float) -> str:
    """Draws a thin line from a wrong keypoint to a cross at its label."""
    (x1, y1), (x2, y2) = point.tolist(), label.tolist()
    line = f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#ffffff" stroke-width="{0.8 * scale:.1f}"'
    return f'{line} stroke-dasharray="2 2" opacity="0.85"/>{_cross(x2, y2, 3 * scale)}'


def _cross(x: float, y: float, arm: float) -> str:
    side = 2 * arm
    path = f"M{x - arm:.1f} {y - arm:.1f}l{side:.1f} {side:.1f}m0 {-side:.1f}l{-side:.1f} {side:.1f}"
    return "".join(
        f'<path d="{path}" stroke="{colour}" stroke-width="{width * arm:.1f}" fill="none"/>'
        for colour, width in (("#101218", 0.9), ("#ffffff", 0.45))
    )


def _missing_person(frame: _Frame, box_xywh: Floats, colour: str) -> str:
    (left, top), (right, bottom) = frame.to_tile(xywh_to_xyxy(box_xywh[None]).reshape(2, 2)).tolist()
    box = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" fill="none"'
    x, y = min(max(left + 3, 3), _TILE - 50), min(max(top + 12, 12), _TILE - 4)
    return (
        f'<rect {box} stroke="#101218" stroke-width="3.4"/>'
        f'<rect {box} stroke="{colour}" stroke-width="2" stroke-dasharray="6 3"/>'
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{_TEXT}" font-family="sans-serif" fill="#ffffff" stroke="#101218" '
        'stroke-width="2.5" paint-order="stroke">no pose</text>'
    )


def _legend() -> str:
    """Draws the legend of the rings; as wide as one pair of tiles."""
    parts, x, y = [], _RING + 3, 1.4 * _LEGEND_TEXT
    for kind in _RINGS:
        name = "right, wrong in the other" if kind == "right" else kind
        parts.append(_ring(np.array([x, y]), kind, 0.55 if kind == "jitter" else 1.0))
        parts.append(_text(x + _RING + 3, y + 0.35 * _LEGEND_TEXT, name, 0.9 * _LEGEND_TEXT))
        x += 2 * _RING + 16 + 0.45 * _LEGEND_TEXT * len(name)
    parts.append(_cross(x, y, 3))
    parts.append(_text(x + 7, y + 0.35 * _LEGEND_TEXT, "label", 0.9 * _LEGEND_TEXT))
    return "".join(parts)


def _text(x: float, y: float, text: str, size: float = _TEXT) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" font-family="sans-serif" fill="currentColor">'
        f"{escape(text)}</text>"
    )


def _svg(width: float, height: float, content: str, attributes: str) -> str:
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {namespaces} viewBox="0 0 {width:.1f} {height:.1f}" {attributes}>{content}</svg>'
