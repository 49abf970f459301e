"""Where two results lists differ: image by image, person by person, without any truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsgnet.data.annotations import AnnotatedImage, Annotations, Person
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats
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
