"""Compares two results lists image by image and person by person, without annotations, and draws the differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.draw import arrange_tiles, person_colour
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats, xywh_to_xyxy
from rsgnet.images import RGBImage
from rsgnet.overlays import OverlayStyle, draw_poses
from rsgnet.poses import oks
from rsgnet.skeletons import Skeleton

_SAME_PERSON_OKS = 0.1  # two poses with a lower OKS are two people
_TILE_PX = 900  # the longer side of a drawn tile
_MAX_ZOOM = 4.0
_THRESHOLD = 0.2  # keypoints with a lower score are not drawn
_MARGIN, _MIN_MARGIN_PX = 0.1, 20  # around the people who differ, as a share of their extent
_SMALL_DIFFERENCE = 0.1  # people with a smaller difference, as a share of their weight, are drawn grey


@dataclass(frozen=True)
class Pair:
    """One person of an image, found by both results or by one.

    Attributes:
        first: Index of the first result's person, None where only the second found the person.
        second: Index of the second result's person, None where only the first found the person.
        difference: 1 - OKS times `weight`; `weight` for a person found by one result only.
        weight: The person's score, the mean of both scores for a pair.
    """

    first: int | None
    second: int | None
    difference: float
    weight: float

    @property
    def is_unmatched(self) -> bool:
        """Whether only one result found the person."""
        return self.first is None or self.second is None


@dataclass(frozen=True, eq=False)
class ImageDifference:
    """The differences of two results in one image.

    Attributes:
        file_name: The image.
        first: The first result's people, in order of descending score.
        second: The second result's people, in order of descending score.
        pairs: All people, in order of descending difference.
    """

    file_name: str
    first: tuple[Person, ...]
    second: tuple[Person, ...]
    pairs: tuple[Pair, ...]

    @property
    def total(self) -> float:
        """The sum of the differences of all people."""
        return sum(pair.difference for pair in self.pairs)


def rank_differences(first: Annotations, second: Annotations, threshold: float = 0.0) -> list[ImageDifference]:
    """Compares two results and returns all images, in order of descending difference.

    People are matched one to one in order of descending OKS, down to OKS 0.1. The OKS weights keypoints by the mean of
    both scores and uses the mean of both areas. A pair differs by 1 - OKS, a person found by one result only by 1; each
    is multiplied by the person's score (the mean of a pair's scores). An image's difference is the sum.

    Args:
        first: Predicted people, as `read_predicted_people` returns them.
        second: Other predictions for the same images.
        threshold: People with a lower score are ignored.

    Raises:
        AnnotationError: Their skeletons differ, or they have no image in common.
    """
    if first.skeleton.keypoints != second.skeleton.keypoints:
        raise AnnotationError(
            f"{first.path} holds {first.skeleton.name}, {second.path} {second.skeleton.name}: the same keypoints needed"
        )
    first_images, second_images = _images_by_name(first), _images_by_name(second)
    if not first_images.keys() & second_images.keys() and first_images and second_images:
        raise AnnotationError(f"{first.path} and {second.path} share no image")
    differences = [
        _compare_image(
            name,
            _sorted_people(first_images.get(name), threshold),
            _sorted_people(second_images.get(name), threshold),
            first.skeleton,
        )
        for name in {**first_images, **second_images}
    ]
    return sorted(differences, key=lambda difference: -difference.total)


def _images_by_name(annotations: Annotations) -> dict[str, AnnotatedImage]:
    return {image.file_name: image for image in annotations.images}


def _sorted_people(image: AnnotatedImage | None, threshold: float) -> tuple[Person, ...]:
    people = [person for person in image.people if person.confidence >= threshold] if image else []
    return tuple(sorted(people, key=lambda person: person.confidence, reverse=True))


def _compare_image(
    name: str, first: tuple[Person, ...], second: tuple[Person, ...], skeleton: Skeleton
) -> ImageDifference:
    similarity = _pairwise_oks(first, second, skeleton)
    pairs = []
    free_first, free_second = set(range(len(first))), set(range(len(second)))
    for index in np.argsort(-similarity, axis=None, kind="stable").tolist():
        row, column = divmod(index, len(second))
        if row in free_first and column in free_second and similarity[row, column] >= _SAME_PERSON_OKS:
            weight = (first[row].confidence + second[column].confidence) / 2
            pairs.append(Pair(row, column, (1 - float(similarity[row, column])) * weight, weight))
            free_first.remove(row)
            free_second.remove(column)
    pairs += [Pair(row, None, first[row].confidence, first[row].confidence) for row in sorted(free_first)]
    pairs += [Pair(None, row, second[row].confidence, second[row].confidence) for row in sorted(free_second)]
    return ImageDifference(name, first, second, tuple(sorted(pairs, key=lambda pair: -pair.difference)))


def _pairwise_oks(first: Sequence[Person], second: Sequence[Person], skeleton: Skeleton) -> Floats:
    """Returns the (N, M) OKS of each person with each, keypoints weighted by their mean scores."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    (keypoints, scores, areas), (others, other_scores, other_areas) = _arrays(first), _arrays(second)
    weights = (scores[:, None] + other_scores[None]) / 2
    return oks(keypoints, others, (areas[:, None] + other_areas[None]) / 2, skeleton.sigmas, weights)


def _arrays(people: Sequence[Person]) -> tuple[Floats, Floats, Floats]:
    """Returns (N, K, 2) keypoints, (N, K) scores clipped to 0..1 and (N,) areas."""
    keypoints_xy = np.array([person.keypoints[:, :2] for person in people])
    scores = np.array([person.keypoint_confidences for person in people])
    return keypoints_xy, np.clip(scores, 0, 1), np.array([person.area for person in people])


def draw_difference(
    difference: ImageDifference, image: RGBImage, skeleton: Skeleton, names: tuple[str, str]
) -> Image.Image:
    """Draws both results side by side.

    A person has the same colour on both sides, grey where the results agree; a person found by one result only has a
    box.

    Args:
        difference: The differences in the image, with at least one person who differs.
        image: (H, W, 3) RGB.
        skeleton: The keypoints.
        names: Captions of the two results.
    """
    left, top, right, bottom = _region(difference, (image.shape[1], image.shape[0]))
    factor = min(_TILE_PX / max(right - left, bottom - top), _MAX_ZOOM)
    size = round((right - left) * factor), round((bottom - top) * factor)
    part = Image.fromarray(image[top:bottom, left:right])
    background = np.asarray(part.resize(size, Image.Resampling.BICUBIC))
    unmatched = sum(pair.is_unmatched for pair in difference.pairs)
    title = (
        f"{difference.file_name}: differ by {difference.total:.2f} (sum of (1 - OKS) x score over "
        f"{len(difference.pairs)} people; {unmatched} found by one side only, boxed)"
    )
    tiles = []
    for name, people, indices in (
        (names[0], difference.first, [pair.first for pair in difference.pairs]),
        (names[1], difference.second, [pair.second for pair in difference.pairs]),
    ):
        moved = _to_tile(people, np.array([left, top]), factor)
        tiles.append(
            (f"{name}: {len(people)} people", _draw_side(background, moved, difference.pairs, indices, skeleton))
        )
    return arrange_tiles(tiles, 2 if size[0] < 2 * size[1] else 1, title)


def _region(difference: ImageDifference, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of the part of the image where people differ, with a margin."""
    differing = [_person_of(difference, pair) for pair in difference.pairs if pair.difference > 0]
    boxes = xywh_to_xyxy(np.array([person.box_xywh for person in differing]))
    left_top, right_bottom = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    margin = np.maximum(_MARGIN * (right_bottom - left_top).max(), _MIN_MARGIN_PX)
    left, top = np.floor((left_top - margin).clip(0, np.array(size_wh) - 1)).astype(int).tolist()
    right, bottom = np.ceil((right_bottom + margin).clip(1, size_wh)).astype(int).tolist()
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _person_of(difference: ImageDifference, pair: Pair) -> Person:
    if pair.first is not None:
        return difference.first[pair.first]
    assert pair.second is not None
    return difference.second[pair.second]


def _to_tile(people: Sequence[Person], left_top: Floats, factor: float) -> list[Person]:
    """Returns people with coordinates in pixels of a part of the image that begins at `left_top` and is scaled."""
    return [
        replace(
            person,
            box_xywh=np.concatenate([person.box_xywh[:2] - left_top, person.box_xywh[2:]]) * factor,
            keypoints=np.column_stack(
                [(person.keypoints[:, :2] - left_top + 0.5) * factor - 0.5, person.keypoints[:, 2]]
            ),
        )
        for person in people
    ]


def _draw_side(
    background: RGBImage,
    people: Sequence[Person],
    pairs: Sequence[Pair],
    indices: Sequence[int | None],
    skeleton: Skeleton,
) -> Image.Image:
    """Draws one result's people, those with the largest difference last, on top of the others.

    Args:
        background: The image.
        people: The result's people.
        pairs: All people of the image.
        indices: The index into `people` of each pair, None where this result did not find the person.
        skeleton: The keypoints.
    """
    order = [row for row in reversed(range(len(pairs))) if indices[row] is not None]
    drawn_people = [people[index] for row in order if (index := indices[row]) is not None]
    keypoints_xy = np.array([person.keypoints[:, :2] for person in drawn_people]).reshape(-1, len(skeleton), 2)
    scores = np.array([person.keypoint_confidences for person in drawn_people]).reshape(-1, len(skeleton))
    # draw_poses takes colours from the track ids, and draws people without one grey.
    agree = [pairs[row].difference < _SMALL_DIFFERENCE * max(pairs[row].weight, 1e-9) for row in order]
    track_ids = np.array([-1 if agreed else row for row, agreed in zip(order, agree, strict=True)], np.intp)
    drawn = draw_poses(background, keypoints_xy, scores, skeleton, OverlayStyle(_THRESHOLD), track_ids=track_ids)
    pen = ImageDraw.Draw(drawn)
    for row, person in zip(order, drawn_people, strict=True):
        if pairs[row].is_unmatched:
            left, top, width, height = person.box_xywh.tolist()
            pen.rectangle((left, top, left + max(width, 1), top + max(height, 1)), None, person_colour(row), 2)
    return drawn
