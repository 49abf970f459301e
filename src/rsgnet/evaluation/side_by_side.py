"""Two results of one image beside each other, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from rsgnet.data.annotations import Person
from rsgnet.draw import draw_poses, person_colour
from rsgnet.evaluation.differences import ImageDifference, Pair
from rsgnet.geometry import Floats, xywh_to_xyxy
from rsgnet.images import RGBImage
from rsgnet.skeletons import Skeleton
from rsgnet.tiles import sheet

_LONGEST = 900  # pixels of a tile
_THRESHOLD = 0.2  # keypoints that score less are not drawn
_ROOM, _LEAST_ROOM_PX = 0.1, 20
_CALM = 0.1  # differences below this share of a person are drawn grey


def draw_difference(found: ImageDifference, image: RGBImage, skeleton: Skeleton, names: tuple[str, str]) -> Image.Image:
    """The image twice: a person in the same colour on both sides, grey where both agree, boxed where alone.

    Args:
        found: What differs.
        image: (H, W, 3) RGB.
        skeleton: The keypoints.
        names: What to call the two results.
    """
    left, top, right, bottom = _region(found, (image.shape[1], image.shape[0]))
    factor = min(_LONGEST / max(right - left, bottom - top), 4.0)
    size = round((right - left) * factor), round((bottom - top) * factor)
    part = Image.fromarray(image[top:bottom, left:right])
    under = np.asarray(part.resize(size, Image.Resampling.BICUBIC))
    moved = tuple(_moved(people, np.array([left, top]), factor) for people in (found.first, found.second))
    alone = sum(None in (pair.first, pair.second) for pair in found.pairs)
    title = (
        f"{found.file_name}: differ by {found.measure:.2f} (sum of (1 - OKS) x score over {len(found.pairs)} people; "
        f"{alone} found by one side only, boxed)"
    )
    sides = [[pair.first for pair in found.pairs], [pair.second for pair in found.pairs]]
    tiles = [
        (f"{name}: {len(people)} people", _side(under, people, found.pairs, indices, skeleton))
        for name, people, indices in zip(names, moved, sides, strict=True)
    ]
    return sheet(tiles, 2 if size[0] < 2 * size[1] else 1, title)


def _region(found: ImageDifference, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of where people differ, with room about it."""
    boxes = xywh_to_xyxy(np.array([_of(found, pair).box_xywh for pair in found.pairs if pair.difference > 0]))
    corner, far = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    room = np.maximum(_ROOM * (far - corner).max(), _LEAST_ROOM_PX)
    left, top = np.floor((corner - room).clip(0, np.array(size_wh) - 1)).astype(int).tolist()
    right, bottom = np.ceil((far + room).clip(1, size_wh)).astype(int).tolist()
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _of(found: ImageDifference, pair: Pair) -> Person:
    """A pair's person, as the one side that has them, or the first, has them."""
    if pair.first is not None:
        return found.first[pair.first]
    assert pair.second is not None
    return found.second[pair.second]


def _moved(people: Sequence[Person], corner: Floats, factor: float) -> list[Person]:
    """People in pixels of a part of the image that is scaled."""
    return [
        replace(
            person,
            box_xywh=np.concatenate([person.box_xywh[:2] - corner, person.box_xywh[2:]]) * factor,
            keypoints=np.column_stack(
                [(person.keypoints[:, :2] - corner + 0.5) * factor - 0.5, person.keypoints[:, 2]]
            ),
        )
        for person in people
    ]


def _side(
    under: RGBImage,
    people: Sequence[Person],
    pairs: Sequence[Pair],
    indices: Sequence[int | None],
    skeleton: Skeleton,
) -> Image.Image:
    """One side; those who differ most are drawn last, over the others."""
    order = [place for place in reversed(range(len(pairs))) if indices[place] is not None]
    shown = [people[index] for place in order if (index := indices[place]) is not None]
    places = np.array([person.keypoints[:, :2] for person in shown]).reshape(-1, len(skeleton), 2)
    scores = np.array([person.keypoint_sureness for person in shown]).reshape(-1, len(skeleton))
    # Numbers give draw_poses its colours; whoever both sides agree on has none.
    calm = [pairs[place].difference < _CALM * max(pairs[place].weight, 1e-9) for place in order]
    numbers = np.array([-1 if agreed else place for place, agreed in zip(order, calm, strict=True)], np.intp)
    drawn = draw_poses(under, places, scores, skeleton.edges, _THRESHOLD, None, None, numbers)
    pen = ImageDraw.Draw(drawn)
    for place, person in zip(order, shown, strict=True):
        pair = pairs[place]
        if None in (pair.first, pair.second):
            left, top, width, height = person.box_xywh.tolist()
            pen.rectangle((left, top, left + max(width, 1), top + max(height, 1)), None, person_colour(place), 2)
    return drawn
