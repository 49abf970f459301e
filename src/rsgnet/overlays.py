"""Draws poses over images: lines with dark outlines, whose width follows the image and the person.

Every colour is bright and every line has a dark outline, so that poses stand off light and dark grounds alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rsgnet.draw import Colour, person_colour
from rsgnet.errors import RSGNetError
from rsgnet.overlay_marks import (
    OUTLINE,
    RIVAL_RING_WIDTHS,
    draw_dashes,
    draw_legend,
    draw_rectangle,
    draw_ring,
    outline_width,
)
from rsgnet.skeletons import Skeleton

ColourBy = Literal["person", "side", "owned"]

COLOURS_BY: tuple[ColourBy, ...] = get_args(ColourBy)
DEFAULT_THRESHOLD = 0.2
_LEFT, _RIGHT, _MIDDLE = (255, 160, 60), (90, 190, 255), (240, 240, 240)  # told apart by colour-blind readers, too
_OWNED_COLOURS = np.array([(255, 84, 84), (255, 214, 70), (70, 224, 255)], float)  # of owned 0, 0.5 and 1
_UNTRACKED = (185, 185, 185)  # colour of people without a track

_MIN_OWNED = 0.5  # a keypoint with a lower `owned` more likely belongs to somebody else or is misplaced
_FAINT = 0.45  # factor on the opacity of edges that end at a keypoint below _MIN_OWNED
_MIN_WIDTH_PX = 2.0
_IMAGE_SIDES_PER_WIDTH, _PERSON_SIDES_PER_WIDTH = 280, 50
_MIN_TEXT_PX = 12.0
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_MIN_FACE_WIDTHS = 14  # a face that is smaller, in line widths, is drawn as one dot and stays visible
_SUPERSAMPLING = 2  # Pillow draws lines without antialiasing: draw larger, scale down
_MAX_SUPERSAMPLED_PX = 12_000_000  # in larger images jagged edges do not show, but supersampling needs much memory


@dataclass(frozen=True)
class OverlayStyle:
    """How poses are drawn.

    Attributes:
        threshold: Keypoints with a lower score are not drawn.
        rivals: Whether contested keypoints have a ring in the colour of the person who may own them instead, and a
            dashed line to that person.
        boxes: Whether people's boxes are drawn.
        scores: Whether people's scores are written.
        labels: Whether people's numbers are written: the index i of `poses[i]`.
        line_width: Width of lines in pixels of the image; None for one that follows the image and the person, and is
            at least 2.
        colour_by: "person": each has a colour; "side": left is orange, right blue; "owned": from red (0) to blue (1).

    Raises:
        RSGNetError: A value is none of these.
    """

    threshold: float = DEFAULT_THRESHOLD
    rivals: bool = False
    boxes: bool = False
    scores: bool = False
    labels: bool = False
    line_width: float | None = None
    colour_by: ColourBy = "person"

    def __post_init__(self) -> None:
        if self.colour_by not in COLOURS_BY:
            raise RSGNetError(f"colour_by is one of {', '.join(COLOURS_BY)}, not {self.colour_by!r}")
        if self.line_width is not None and not 0 < self.line_width < math.inf:
            raise RSGNetError(f"line_width is a positive number of pixels, not {self.line_width}")


def draw_poses(
    image: NDArray[np.uint8],
    keypoints_xy: NDArray[np.floating],
    scores: NDArray[np.floating],
    skeleton: Skeleton,
    style: OverlayStyle | None = None,
    *,
    owned: NDArray[np.floating] | None = None,
    rival: NDArray[np.integer] | None = None,
    boxes_xyxy: NDArray[np.floating] | None = None,
    pose_scores: NDArray[np.floating] | None = None,
    track_ids: NDArray[np.integer] | None = None,
) -> Image.Image:
    """Draws everyone's skeleton over an image, smaller people over larger ones, and a legend where colours need one.

    Args:
        image: (H, W, 3) RGB.
        keypoints_xy: (N, K, 2) in image pixels.
        scores: (N, K) in 0..1; keypoints with higher scores are drawn more opaque.
        skeleton: The K keypoints.
        style: How they are drawn; the defaults where None.
        owned: (N, K) probability that the keypoint belongs to the person. Below 0.5 it is drawn as a ring and its edges
            are drawn faint. Needed for `colour_by="owned"`.
        rival: (N, K) index of the person who may own the keypoint instead, -1 for nobody. Needed for `rivals`.
        boxes_xyxy: (N, 4) in image pixels. Needed for `boxes`.
        pose_scores: (N,) in 0..1. Needed for `scores`.
        track_ids: (N,) track numbers, -1 for none. They choose the colours and are written above the people; people
            without a track are grey.

    Returns:
        A new RGB image.

    Raises:
        RSGNetError: The style needs an array that is not given.
    """
    style = style or OverlayStyle()
    needed = {
        "rivals": (style.rivals, rival),
        "boxes": (style.boxes, boxes_xyxy),
        "scores": (style.scores, pose_scores),
        'colour_by="owned"': (style.colour_by == "owned", owned),
    }
    for option, (is_wanted, values) in needed.items():
        if is_wanted and values is None:
            raise RSGNetError(f"these poses cannot be drawn with {option}: the values it shows are not known")
    base = Image.fromarray(image)
    factor = _SUPERSAMPLING if base.width * base.height <= _MAX_SUPERSAMPLED_PX else 1
    layer = Image.new("RGBA", (base.width * factor, base.height * factor))
    is_drawn = (scores >= style.threshold) & np.isfinite(keypoints_xy).all(-1)
    numbers = range(len(scores)) if track_ids is None else track_ids.tolist()
    people = [
        _PersonOverlay(
            points=(keypoints_xy[row] + 0.5) * factor - 0.5,  # integer coordinates are pixel centres in both images
            scores=scores[row],
            is_drawn=is_drawn[row],
            owned=np.ones(len(skeleton)) if owned is None else owned[row],
            colour=_UNTRACKED if number < 0 else person_colour(number),
            width=factor * (style.line_width or _choose_line_width(keypoints_xy[row][is_drawn[row]], base.size)),
        )
        for row, number in enumerate(numbers)
    ]
    pen = ImageDraw.Draw(layer)
    for row in sorted(range(len(people)), key=lambda row: -people[row].extent):
        person = people[row].with_small_face_as_dot(skeleton)
        if boxes_xyxy is not None and style.boxes:
            box = ((boxes_xyxy[row] + 0.5) * factor - 0.5).tolist()
            draw_rectangle(pen, box, person.colour, max(1, round(person.width / 2)))
        if rival is not None and style.rivals:
            _draw_rivals(pen, person, people, rival[row])
        _draw_person(pen, person, skeleton, style.colour_by)
        texts = [str(row)] if style.labels and track_ids is None else []
        texts += [str(int(track_ids[row]))] if track_ids is not None and track_ids[row] >= 0 else []
        texts += [f"{pose_scores[row]:.2f}"] if pose_scores is not None and style.scores else []
        if texts and person.is_drawn.any():
            top = None if boxes_xyxy is None else factor * boxes_xyxy[row, :2]
            colour = person.colour if style.colour_by == "person" else _MIDDLE
            _draw_text(pen, " · ".join(texts), colour, person, top, layer.size)
    legend = _legend_entries(style, rival if style.rivals else None, is_drawn)
    if legend:
        draw_legend(layer, legend, np.concatenate([person.points[person.is_drawn] for person in people]), factor)
    overlay = layer.resize(base.size, Image.Resampling.BOX)
    return Image.alpha_composite(base.convert("RGBA"), overlay).convert("RGB")


def _choose_line_width(points: NDArray[np.floating], size_wh: tuple[int, int]) -> float:
    """Returns the width in image pixels: by the image, less for small people, and at least _MIN_WIDTH_PX."""
    extent = float(np.ptp(points, axis=0).max()) if len(points) else 0.0
    return max(_MIN_WIDTH_PX, min(extent / _PERSON_SIDES_PER_WIDTH, max(size_wh) / _IMAGE_SIDES_PER_WIDTH))


@dataclass(frozen=True, eq=False)
class _PersonOverlay:
    """A person to be drawn, in pixels of the layer.

    Attributes:
        points: (K, 2).
        scores: (K,).
        is_drawn: (K,).
        owned: (K,).
        colour: The person's colour.
        width: The width of lines.
        has_face_dot: Whether the first drawn keypoint of the face stands for all of it.
    """

    points: NDArray[np.floating]
    scores: NDArray[np.floating]
    is_drawn: NDArray[np.bool_]
    owned: NDArray[np.floating]
    colour: Colour
    width: float
    has_face_dot: bool = False

    @property
    def extent(self) -> float:
        """The larger side of the person's keypoints."""
        return float(np.ptp(self.points[self.is_drawn], axis=0).max()) if self.is_drawn.any() else 0.0

    @property
    def centre(self) -> NDArray[np.floating]:
        """The mean of the person's keypoints."""
        centre: NDArray[np.floating] = self.points[self.is_drawn].mean(0)
        return centre

    def with_small_face_as_dot(self, skeleton: Skeleton) -> _PersonOverlay:
        """Returns the person; where lines would hide the face, one keypoint in its middle stands for it."""
        face = [index for index, name in enumerate(skeleton.keypoints) if name in _FACE and self.is_drawn[index]]
        if len(face) < 2 or np.ptp(self.points[face], axis=0).max() >= _MIN_FACE_WIDTHS * self.width:
            return self
        is_drawn, points = self.is_drawn.copy(), self.points.copy()
        is_drawn[face[1:]] = False
        points[face[0]] = points[face].mean(0)
        return _PersonOverlay(points, self.scores, is_drawn, self.owned, self.colour, self.width, has_face_dot=True)


def _draw_person(pen: ImageDraw.ImageDraw, person: _PersonOverlay, skeleton: Skeleton, colour_by: ColourBy) -> None:
    """Draws one person's edges, then a disc on each own keypoint and a ring on each other one."""
    points, is_drawn, width = person.points, person.is_drawn, person.width
    sides = _keypoint_sides(skeleton)
    face = {index for index, name in enumerate(skeleton.keypoints) if name in _FACE}
    edges = [
        edge
        for edge in skeleton.edges
        if is_drawn[list(edge)].all() and not (person.has_face_dot and face.intersection(edge))
    ]
    line_widths = {edge: width * (0.6 if face.issuperset(edge) else 1.0) for edge in edges}
    opacities = {edge: _edge_opacity(person, edge) for edge in edges}
    for edge in edges:
        line = points[list(edge)].ravel().tolist()
        pen.line(line, (*OUTLINE, round(0.7 * opacities[edge])), round(line_widths[edge] + 2 * outline_width(width)))
    for edge in edges:
        colour = _choose_colour(person, edge, sides, colour_by)
        pen.line(points[list(edge)].ravel().tolist(), (*colour, opacities[edge]), round(line_widths[edge]))
    for index in np.flatnonzero(is_drawn).tolist():
        colour = _choose_colour(person, (index, index), sides, colour_by)
        radius = width * (0.75 if index in face else 1.0)
        if person.owned[index] >= _MIN_OWNED:
            outline = (*OUTLINE, _opacity(person.scores[index]))
            pen.circle(tuple(points[index]), radius + outline_width(width), outline)
            pen.circle(tuple(points[index]), radius, (*colour, 255))
        else:
            draw_ring(pen, points[index], radius + width / 3, colour, width / 2)


def _draw_rivals(
    pen: ImageDraw.ImageDraw, person: _PersonOverlay, people: Sequence[_PersonOverlay], rival: NDArray[np.integer]
) -> None:
    """Draws a ring around each contested keypoint of a person and a dashed line from it to the middle of the rival."""
    for index in np.flatnonzero(person.is_drawn & (rival >= 0)).tolist():
        other = people[int(rival[index])]
        if other.is_drawn.any():
            draw_dashes(pen, person.points[index], other.centre, other.colour, person.width)
            draw_ring(pen, person.points[index], RIVAL_RING_WIDTHS * person.width, other.colour, 0.7 * person.width)


def _draw_text(
    pen: ImageDraw.ImageDraw,
    text: str,
    colour: Colour,
    person: _PersonOverlay,
    left_top: NDArray[np.floating] | None,
    size_wh: tuple[int, int],
) -> None:
    """Writes a text above a person's box, whose corner is `left_top`, or above their keypoints; inside the image."""
    size = max(_MIN_TEXT_PX, 5 * person.width)
    x, y = person.points[person.is_drawn].min(0).tolist() if left_top is None else left_top.tolist()
    length = pen.textlength(text, font_size=size)
    xy = max(0.0, min(x, size_wh[0] - length)), max(y - person.width, size)
    pen.text(xy, text, (*colour, 255), anchor="ls", stroke_width=2, stroke_fill=OUTLINE, font_size=size)


def _keypoint_sides(skeleton: Skeleton) -> dict[int, Colour]:
    """Returns the colour of each keypoint's side of the body; keypoints of the middle are left out."""
    return {index: colour for pair in skeleton.flip_pairs for index, colour in zip(pair, (_LEFT, _RIGHT), strict=True)}


def _choose_colour(
    person: _PersonOverlay, edge: tuple[int, int], sides: dict[int, Colour], colour_by: ColourBy
) -> Colour:
    if colour_by == "side":
        first, second = (sides.get(index, _MIDDLE) for index in edge)
        return first if first == second else _MIDDLE
    if colour_by == "owned":
        return _owned_colour(float(person.owned[list(edge)].min()))
    return person.colour


def _owned_colour(owned: float) -> Colour:
    red, green, blue = (round(float(np.interp(owned, (0, 0.5, 1), channel))) for channel in _OWNED_COLOURS.T)
    return red, green, blue


def _edge_opacity(person: _PersonOverlay, edge: tuple[int, int]) -> int:
    ends = list(edge)
    return round(_opacity(person.scores[ends].min()) * (1.0 if (person.owned[ends] >= _MIN_OWNED).all() else _FAINT))


def _opacity(score: float) -> int:
    return round(255 * float(np.clip(0.5 + score, 0, 1)))


def _legend_entries(
    style: OverlayStyle, rival: NDArray[np.integer] | None, is_drawn: NDArray[np.bool_]
) -> list[tuple[str, tuple[Colour, ...]]]:
    """Returns the texts of the legend, each with the colours of its sample; none for rivals' rings and dashes."""
    if not is_drawn.any():
        return []
    entries: list[tuple[str, tuple[Colour, ...]]] = []
    if style.colour_by == "side":
        entries += [("left", (_LEFT,)), ("right", (_RIGHT,)), ("middle", (_MIDDLE,))]
    if style.colour_by == "owned":
        shades = tuple(_owned_colour(share / 8) for share in range(9))
        entries.append(("owned: 0 to 1", shades))
    if rival is not None and (is_drawn & (rival >= 0)).any():
        entries.append(("may belong to the person it points to", ()))
    return entries
