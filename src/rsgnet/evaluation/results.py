"""COCO results lists, read into arrays and checked entry by entry against the truth they will be held to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.coco import PERSON_CATEGORY
from rsgnet.annotations.readers import Annotations, load_json
from rsgnet.errors import AnnotationError
from rsgnet.geometry import Floats
from rsgnet.skeletons import SKELETONS, Skeleton

_LARGEST_SCORE = 1e300  # so that whole numbers beyond floats are refused, too
ResultsSource = str | Path | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Results:
    """Scored people, found in the images of a data set.

    Attributes:
        origin: The file they were read from, as errors name it.
        image_ids: (N,) ids of the images they were found in.
        scores: (N,) how sure each is; higher is surer.
        values: (N, K, 3) keypoints as x, y, score, or (N, 4) boxes as left, top, width, height, in image pixels.
    """

    origin: str
    image_ids: NDArray[np.int64]
    scores: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.scores)


def read_keypoint_results(results: ResultsSource, annotations: Annotations) -> Results:
    """Reads a COCO keypoint results list.

    Args:
        results: The JSON file, or the list itself. Each entry has `keypoints` (x, y, score of each), `score`, and
            `image_id` or, failing that, `file_name`; other keys are not looked at.
        annotations: The truth, whose images and skeleton the entries must be of.

    Returns:
        The entries in their order, values (N, K, 3).

    Raises:
        AnnotationError: An entry has another number of keypoints, a value that is not finite, no score, an unknown
            image, another category than 1, or repeats an earlier one or its `id`. The entry is named, counted from
            0, with its `id` where it has one.
    """
    skeleton = annotations.skeleton
    read = _read(results, annotations, lambda entry: _keypoints(entry, skeleton))
    return Results(*read[:3], read[3].reshape(-1, len(skeleton), 3))


def read_box_results(results: ResultsSource, annotations: Annotations) -> Results:
    """Reads a COCO box results list.

    Args:
        results: The JSON file, or the list itself. Each entry has `bbox` (left, top, width, height), `score`, and
            `image_id` or, failing that, `file_name`; other keys are not looked at.
        annotations: The truth, whose images the entries must be of.

    Returns:
        The entries in their order, values (N, 4).

    Raises:
        AnnotationError: As `read_keypoint_results`.
    """
    read = _read(results, annotations, _box)
    return Results(*read[:3], read[3].reshape(-1, 4))


def _read(
    results: ResultsSource, annotations: Annotations, values_of: Callable[[Mapping[str, Any]], Floats]
) -> tuple[str, NDArray[np.int64], Floats, Floats]:
    origin = str(results) if isinstance(results, (str, Path)) else "results"
    entries = load_json(Path(results)) if isinstance(results, (str, Path)) else results
    if not isinstance(entries, Sequence) or isinstance(entries, (str, bytes)):
        raise AnnotationError(f"{origin}: not a COCO results list: expected a list, got {type(entries).__name__}")
    images = _ImageIndex(annotations)
    image_ids, scores, values = [], [], []
    first_at: dict[tuple[Any, ...], int] = {}
    for index, entry in enumerate(entries):
        try:
            if not isinstance(entry, Mapping):
                raise AnnotationError(f"expected an object, got {type(entry).__name__}")
            image_id, score, value = images.id_of(entry), _score(entry), values_of(entry)
            # Two boxes may yield one pose, but not one box twice: then the list holds a run's results more than once.
            box = entry.get("bbox")
            _once(first_at, index, "repeats", image_id, score, value.tobytes(), box if box is None else repr(box))
            if entry.get("id") is not None:
                _once(first_at, index, "has the id of", repr(entry["id"]))
        except AnnotationError as error:
            raise AnnotationError(f"{origin}: {_name(index, entry)}: {error}") from error
        image_ids.append(image_id)
        scores.append(score)
        values.append(value)
    return origin, np.array(image_ids, np.int64), np.array(scores, np.float64), np.array(values, np.float64)


def _once(first_at: dict[tuple[Any, ...], int], index: int, says: str, *identity: Any) -> None:
    first = first_at.setdefault(identity, index)
    if first != index:
        raise AnnotationError(f"{says} entry {first}; remove one of them")


def _name(index: int, entry: object) -> str:
    named = isinstance(entry, Mapping) and entry.get("id") is not None
    return f"entry {index} (id {entry['id']!r})" if named else f"entry {index}"  # type: ignore[index]


class _ImageIndex:
    """Finds an image's id by what a result says of it."""

    def __init__(self, annotations: Annotations) -> None:
        self._path = annotations.path
        self._ids = {image.id for image in annotations.images}
        self._by_name: dict[str, set[int]] = {}
        for image in annotations.images:
            for name in {image.file_name, PurePosixPath(image.file_name).name}:
                self._by_name.setdefault(name, set()).add(image.id)

    def id_of(self, entry: Mapping[str, Any]) -> int:
        image_id = entry.get("image_id")
        if image_id is not None:
            if not _is_number(image_id) or image_id not in self._ids:
                raise AnnotationError(f"{self._path} has no image of image_id {image_id!r}")
            return int(image_id)
        name = entry.get("file_name")
        if not isinstance(name, str):
            raise AnnotationError("neither image_id nor file_name says which image it is of")
        found = self._by_name.get(name) or self._by_name.get(PurePosixPath(name).name, set())
        if len(found) != 1:
            raise AnnotationError(f"{self._path} has {len(found) or 'no'} images of file_name {name!r}; give image_id")
        return next(iter(found))


def _score(entry: Mapping[str, Any]) -> float:
    if entry.get("category_id", PERSON_CATEGORY) != PERSON_CATEGORY:
        raise AnnotationError(f"category_id {entry['category_id']!r} is not {PERSON_CATEGORY}, person; leave it out")
    if "score" not in entry:
        raise AnnotationError("has no score")
    score = entry["score"]
    if not _is_number(score) or not -math.inf < score < math.inf or abs(score) > _LARGEST_SCORE:
        raise AnnotationError(f"score must be a finite number, not {score!r}")
    return float(score)


def _keypoints(entry: Mapping[str, Any], skeleton: Skeleton) -> Floats:
    values = _numbers(entry, "keypoints")
    if len(values) == 3 * len(skeleton):
        return values
    others = [other.name for other in SKELETONS.values() if 3 * len(other) == len(values)]
    told = f" ({len(values) // 3} keypoints: {', '.join(others)})" if others else ""
    raise AnnotationError(
        f"has {len(values)} keypoint numbers{told}, the truth is {skeleton.name} and asks for {3 * len(skeleton)}; "
        f"predict in {skeleton.name} or convert with Poses.to_skeleton"
    )


def _box(entry: Mapping[str, Any]) -> Floats:
    values = _numbers(entry, "bbox")
    if len(values) != 4 or min(values[2:]) < 0:
        raise AnnotationError(f"bbox must be left, top, width and height, not {entry['bbox']!r}")
    return values


def _numbers(entry: Mapping[str, Any], key: str) -> Floats:
    try:
        values = np.asarray(entry[key], np.float64)
    except KeyError as error:
        raise AnnotationError(f"has no {key}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise AnnotationError(f"{key} must be a flat list of numbers ({error})") from error
    if values.ndim != 1:
        raise AnnotationError(f"{key} must be a flat list of numbers, not of shape {values.shape}")
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise AnnotationError(f"{key} must be finite numbers, number {place} is {values[place]}")
    return values


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
