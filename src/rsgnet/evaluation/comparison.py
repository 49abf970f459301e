"""Where two results lists differ: image by image, person by person, without any truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from rsgnet.annotations.readers import AnnotatedImage, Annotations, Person
from rsgnet.draw import draw_poses, person_colour, sheet
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats, xywh_to_xyxy
from rsgnet.images import RGBImage
from rsgnet.poses import oks
from rsgnet.skeletons import Skeleton

_SAME_PERSON_OKS = 0.1  # pairs that are less alike are two people


@dataclass(frozen=True)
class Pair:
    """One person of an image.

    Attributes:
        first: An index into the first's people, None where only the second found them.
        second: Likewise.
        difference: 1 - OKS times `weight`; `weight` of people whom only one found.
        weight: The person's score, the mean where both found them.
    """

    first: int | None
    second: int | None
    difference: float
    weight: float


@dataclass(frozen=True, eq=False)
class ImageDifference:
    """How two results differ in an image.

    Attributes:
        file_name: The image.
        first: The first's people, surest first.
        second: The second's.
        pairs: Everyone, those who differ most first.
    """

    file_name: str
    first: tuple[Person, ...]
    second: tuple[Person, ...]
    pairs: tuple[Pair, ...]

    @property
    def measure(self) -> float:
        """The sum of the people's differences: about how many sure people differ wholly."""
        return sum(pair.difference for pair in self.pairs)


def most_different(first: Annotations, second: Annotations, threshold: float = 0.0) -> list[ImageDifference]:
    """The images of two results, those that differ most first.

    People are matched one to one, the most alike first, from OKS 0.1 on; keypoints weigh by the mean of both scores,
    the area is the mean of what both boxes give. A pair differs by 1 - OKS, who is found by one only by 1; each times
    the person's score (the mean of a pair's); an image's measure is the sum.

    Args:
        first: Found people, as `read_found_people` reads them.
        second: Others in the same images.
        threshold: People who score less are left out.

    Raises:
        AnnotationError: Their skeletons differ, or they share no image.
    """
    if first.skeleton.keypoints != second.skeleton.keypoints:
        raise AnnotationError(
            f"{first.path} holds {first.skeleton.name}, {second.path} {second.skeleton.name}: the same keypoints needed"
        )
    one, other = _by_name(first), _by_name(second)
    if not one.keys() & other.keys() and one and other:
        raise AnnotationError(f"{first.path} and {second.path} share no image")
    found = [
        _difference(name, _surest(one.get(name), threshold), _surest(other.get(name), threshold), first.skeleton)
        for name in {**one, **other}
    ]
    return sorted(found, key=lambda each: -each.measure)


def _by_name(found: Annotations) -> dict[str, AnnotatedImage]:
    return {image.file_name: image for image in found.images}


def _surest(image: AnnotatedImage | None, threshold: float) -> tuple[Person, ...]:
    people = [person for person in image.people if person.sureness >= threshold] if image else []
    return tuple(sorted(people, key=lambda person: person.sureness, reverse=True))


def _difference(
    name: str, first: tuple[Person, ...], second: tuple[Person, ...], skeleton: Skeleton
) -> ImageDifference:
    alike = _alike(first, second, skeleton)
    pairs = []
    left, right = set(range(len(first))), set(range(len(second)))
    for place in np.argsort(-alike, axis=None, kind="stable").tolist():
        row, column = divmod(place, len(second))
        if row in left and column in right and alike[row, column] >= _SAME_PERSON_OKS:
            weight = (first[row].sureness + second[column].sureness) / 2
            pairs.append(Pair(row, column, (1 - float(alike[row, column])) * weight, weight))
            left.remove(row)
            right.remove(column)
    pairs += [Pair(row, None, first[row].sureness, first[row].sureness) for row in sorted(left)]
    pairs += [Pair(None, column, second[column].sureness, second[column].sureness) for column in sorted(right)]
    return ImageDifference(name, first, second, tuple(sorted(pairs, key=lambda pair: -pair.difference)))


def _alike(first: Sequence[Person], second: Sequence[Person], skeleton: Skeleton) -> Floats:
    """(N, M) OKS of each with each."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    (places, scores, areas), (others, their_scores, their_areas) = _arrays(first), _arrays(second)
    weights = (scores[:, None] + their_scores[None]) / 2
    return oks(places, others, (areas[:, None] + their_areas[None]) / 2, skeleton.sigmas, weights)


def _arrays(people: Sequence[Person]) -> tuple[Floats, Floats, Floats]:
    places = np.array([person.keypoints[:, :2] for person in people])
    scores = [person.keypoint_sureness for person in people]
    return places, np.clip(np.array(scores), 0, 1), np.array([person.area for person in people])


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
