"""Results files: reads COCO results lists, checked against annotations, and poses.jsonl."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.coco import PERSON_CATEGORY, join_whole_body
from rsgnet.annotations.people import Annotations
from rsgnet.annotations.readers import load_json, pause_garbage_collection
from rsgnet.errors import AnnotationError, RSGNetWarning
from rsgnet.files import get_regular_size
from rsgnet.geometry import Floats
from rsgnet.skeletons import SKELETONS, Skeleton

FRAMES_SUFFIX = ".jsonl"
MALFORMED = (KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError)  # raised by wrong content
_MAX_SCORE = 1e300  # integers above the range of floats are refused like infinite scores
_COMPARED = 12  # of the numbers of an entry, to find those that may be equal
_MAX_LINE_BYTES = 1 << 26  # enough for a frame with 100,000 people

Frame = TypeVar("Frame")
ResultsSource = str | Path | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Results:
    """Scored predictions of people in the images of a data set.

    Attributes:
        origin: The file they were read from, used in error messages.
        image_ids: (N,) the id of each prediction's image.
        scores: (N,) the score of each prediction; higher is more certain.
        values: In image pixels (N, K, 3) keypoints as x, y, score, or (N, 4) boxes as left, top, width, height.
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
            `image_id` or, without one, `file_name`; other keys are ignored, except COCO-WholeBody's parts.
        annotations: The data set to which the entries' images and keypoints must belong.

    Returns:
        The entries in their order, values (N, K, 3).

    Raises:
        AnnotationError: An entry has another number of keypoints, a value that is not finite, no score, an unknown
            image, a category other than 1, or repeats an earlier entry or its `id`. The message names the entry by its
            index, counted from 0, and its `id` where it has one.
    """
    skeleton = annotations.skeleton
    shape = len(skeleton), 3
    poses = _read(results, annotations, "keypoints", shape, lambda entry: _parse_keypoints(entry, skeleton))
    zeros = np.count_nonzero(poses.scores == 0)
    if 2 * zeros > len(poses):
        warnings.warn(
            f"{poses.origin}: {zeros} of {len(poses)} entries score 0, so that AP ranks them by chance; poses score 0 "
            "where no keypoint is above decode.keypoint_threshold",
            RSGNetWarning,
            stacklevel=2,
        )
    return poses


def read_box_results(results: ResultsSource, annotations: Annotations) -> Results:
    """Reads a COCO box results list.

    Args:
        results: The JSON file, or the list itself. Each entry has `bbox` (left, top, width, height), `score`, and
            `image_id` or, without one, `file_name`; other keys are ignored.
        annotations: The data set to which the entries' images must belong.

    Returns:
        The entries in their order, values (N, 4).

    Raises:
        AnnotationError: As `read_keypoint_results`.
    """
    return _read(results, annotations, "bbox", (4,), _parse_box)


def read_frames(path: str | Path, parse: Callable[[Any], Frame]) -> list[Frame]:
    """Reads a poses.jsonl, which holds the JSON of one frame of a clip per line.

    Args:
        path: The file.
        parse: Converts the content of a line; raises one of MALFORMED where the content is wrong.

    Returns:
        The converted lines.

    Raises:
        AnnotationError: The file cannot be read, or a line is not JSON, too long, or refused by `parse`.
    """
    path = Path(path)
    frames: list[Frame] = []
    try:
        get_regular_size(path)
        with path.open("rb") as lines:
            while line := lines.readline(_MAX_LINE_BYTES):
                if len(line) == _MAX_LINE_BYTES:
                    raise ValueError(f"over {_MAX_LINE_BYTES} bytes")
                frames.append(parse(json.loads(line)))
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except MALFORMED as error:
        raise AnnotationError(f"{path}: line {len(frames) + 1} is not a frame of a poses.jsonl ({error!r})") from error
    return frames


def _read(
    results: ResultsSource,
    annotations: Annotations,
    key: str,
    shape: tuple[int, ...],
    parse_values: Callable[[Mapping[str, Any]], Floats],
) -> Results:
    """Reads a results list whose entries' values are under a key, of the given shape, and parsed by a function."""
    with pause_garbage_collection():
        entries = load_json(Path(results)) if isinstance(results, (str, Path)) else results
        origin = str(results) if isinstance(results, (str, Path)) else "results"
        return _read_entries(entries, origin, annotations, key, shape, parse_values)


def _read_entries(
    entries: Any,
    origin: str,
    annotations: Annotations,
    key: str,
    shape: tuple[int, ...],
    parse_values: Callable[[Mapping[str, Any]], Floats],
) -> Results:
    if not isinstance(entries, Sequence) or isinstance(entries, (str, bytes)):
        raise AnnotationError(f"{origin}: not a COCO results list: expected a list, got {type(entries).__name__}")
    entries = [join_whole_body(entry) for entry in entries]
    images = _ImageIndex(annotations)
    columns = _read_columns(entries, images.ids, key, math.prod(shape))
    if columns is None:
        columns = _read_one_by_one(entries, images, parse_values, origin)
    image_ids, scores, values = columns
    return Results(origin, image_ids, scores, values.reshape(-1, *shape))


_Columns = tuple[NDArray[np.int64], Floats, Floats]  # image ids, scores and the numbers of all values


def _read_columns(entries: Sequence[Any], image_ids: Set[int], key: str, count: int) -> _Columns | None:
    """Reads entries all at once if nothing about them needs a closer look.

    Args:
        entries: The entries.
        image_ids: The ids of the images.
        key: The key of the values.
        count: How many numbers each entry has there.

    Returns:
        None if `_read_one_by_one` has to say what is wrong, or to find out whether anything is.
    """
    try:
        ids, scores = [entry["image_id"] for entry in entries], [entry["score"] for entry in entries]
        values = [entry[key] for entry in entries]
        is_plain = (
            {*map(type, entries)} <= {dict}
            and {*map(type, ids)} <= {int}
            and {*map(type, scores)} <= {int, float}
            and {*map(type, values)} <= {list}
            and {*map(len, values)} <= {count}
            and {*ids} <= image_ids
            and all(entry.get("category_id", PERSON_CATEGORY) == PERSON_CATEGORY for entry in entries)
            and not any("image_id_from" in entry for entry in entries)
            and _are_distinct([entry["id"] for entry in entries if entry.get("id") is not None])
        )
        if not is_plain:
            return None
        columns = (
            np.array(ids, np.int64),
            np.array(scores, np.float64),
            np.fromiter(chain.from_iterable(values), np.float64, count * len(values)),
        )
    except MALFORMED:
        return None
    rows = columns[2].reshape(-1, count)
    # Equal entries have equal sums of their first numbers' bits, each times another factor; others hardly ever.
    sums = (
        rows.view(np.uint64)[:, :_COMPARED]
        * np.random.default_rng(0).integers(2**63, size=min(count, _COMPARED), dtype=np.uint64)
    ).sum(1)
    order = np.lexsort((sums, columns[1], columns[0]))
    may_repeat = np.ones(max(0, len(order) - 1), bool)
    for column in (columns[0], columns[1], sums):
        may_repeat &= column[order][1:] == column[order][:-1]
    is_fine = (
        np.isfinite(rows).all()
        and (np.abs(columns[1]) <= _MAX_SCORE).all()
        and not may_repeat.any()
        and (key != "bbox" or (rows[:, 2:] >= 0).all())
    )
    return columns if is_fine else None


def _are_distinct(ids: Sequence[Any]) -> bool:
    return not ids or ({*map(type, ids)} == {int} and len({*ids}) == len(ids))


def _read_one_by_one(
    entries: Sequence[Any],
    images: _ImageIndex,
    parse_values: Callable[[Mapping[str, Any]], Floats],
    origin: str,
) -> _Columns:
    """Reads entries one by one, and names the first that cannot be used."""
    image_ids, scores, values = [], [], []
    first_index: dict[tuple[Any, ...], int] = {}
    for index, entry in enumerate(entries):
        try:
            if not isinstance(entry, Mapping):
                raise AnnotationError(f"expected an object, got {type(entry).__name__}")
            image_id, score, value = images.find_id(entry), _parse_score(entry), parse_values(entry)
            # Two boxes may give the same pose. The same pose from the same box means that results were listed twice.
            box = entry.get("bbox")
            key = (image_id, score, value.tobytes(), box if box is None else repr(box))
            _refuse_repetition(first_index, index, "repeats", key)
            if entry.get("id") is not None:
                _refuse_repetition(first_index, index, "has the id of", (repr(entry["id"]),))
        except AnnotationError as error:
            raise AnnotationError(f"{origin}: {_describe(index, entry)}: {error}") from error
        image_ids.append(image_id)
        scores.append(score)
        values.append(value)
    return np.array(image_ids, np.int64), np.array(scores, np.float64), np.array(values, np.float64)


def _refuse_repetition(
    first_index: dict[tuple[Any, ...], int], index: int, relation: str, key: tuple[Any, ...]
) -> None:
    first = first_index.setdefault(key, index)
    if first != index:
        raise AnnotationError(f"{relation} entry {first}; remove one of them")


def _describe(index: int, entry: object) -> str:
    has_id = isinstance(entry, Mapping) and entry.get("id") is not None
    return f"entry {index} (id {entry['id']!r})" if has_id else f"entry {index}"  # type: ignore[index]


class _ImageIndex:
    """Finds the image of a result by its `image_id`, or by its `file_name` where `rsgnet predict` chose the id."""

    def __init__(self, annotations: Annotations) -> None:
        self._path = annotations.path
        self.ids = {image.id for image in annotations.images}
        self._ids_by_name: dict[str, set[int]] = {}
        for image in annotations.images:
            for name in {image.file_name, PurePosixPath(image.file_name).name}:
                self._ids_by_name.setdefault(name, set()).add(image.id)

    def find_id(self, entry: Mapping[str, Any]) -> int:
        """Returns the id of the image that an entry belongs to.

        Raises:
            AnnotationError: The entry names no image of the data set, or more than one.
        """
        image_id = entry.get("image_id")
        if image_id is not None and entry.get("image_id_from") != "file_name":
            if not _is_number(image_id) or image_id not in self.ids:
                raise AnnotationError(f"{self._path} has no image of image_id {image_id!r}")
            return int(image_id)
        name = entry.get("file_name")
        if not isinstance(name, str):
            raise AnnotationError("has neither image_id nor file_name; add one of them")
        found = self._ids_by_name.get(name) or self._ids_by_name.get(PurePosixPath(name).name, set())
        if len(found) != 1:
            raise AnnotationError(f"{self._path} has {len(found) or 'no'} images of file_name {name!r}; give image_id")
        return next(iter(found))


def _parse_score(entry: Mapping[str, Any]) -> float:
    if entry.get("category_id", PERSON_CATEGORY) != PERSON_CATEGORY:
        raise AnnotationError(f"category_id {entry['category_id']!r} is not {PERSON_CATEGORY} (person); leave it out")
    if "score" not in entry:
        raise AnnotationError("has no score")
    score = entry["score"]
    if not _is_number(score) or not -math.inf < score < math.inf or abs(score) > _MAX_SCORE:
        raise AnnotationError(f"score must be a finite number, not {score!r}")
    return float(score)


def _parse_keypoints(entry: Mapping[str, Any], skeleton: Skeleton) -> Floats:
    values = _parse_numbers(entry, "keypoints")
    if len(values) == 3 * len(skeleton):
        return values
    others = [other.name for other in SKELETONS.values() if 3 * len(other) == len(values)]
    hint = f" ({len(values) // 3} keypoints: {', '.join(others)})" if others else ""
    raise AnnotationError(
        f"has {len(values)} keypoint numbers{hint}, the annotations are {skeleton.name} and need {3 * len(skeleton)}; "
        f"predict in {skeleton.name} or convert with Poses.to_skeleton"
    )


def _parse_box(entry: Mapping[str, Any]) -> Floats:
    values = _parse_numbers(entry, "bbox")
    if len(values) != 4 or min(values[2:]) < 0:
        raise AnnotationError(f"bbox must be left, top, width and height, not {entry['bbox']!r}")
    return values


def _parse_numbers(entry: Mapping[str, Any], key: str) -> Floats:
    try:
        values = np.asarray(entry[key], np.float64)
    except KeyError as error:
        raise AnnotationError(f"has no {key}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise AnnotationError(f"{key} must be a flat list of numbers ({error})") from error
    if values.ndim != 1:
        raise AnnotationError(f"{key} must be a flat list of numbers, not of shape {values.shape}")
    if not np.isfinite(values).all():
        index = int(np.flatnonzero(~np.isfinite(values))[0])
        raise AnnotationError(f"{key} must be finite numbers, number {index} is {values[index]}")
    return values


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
