"""Reads keypoint results as scored people in images, with or without annotations that list the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rsgnet.annotations.findings import validate_file_name
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Annotations, Person, estimate_area
from rsgnet.annotations.readers import load_json, parse_annotations
from rsgnet.annotations.skeleton_matching import match_skeleton, read_adjacent_skeletons
from rsgnet.errors import AnnotationError
from rsgnet.evaluation.results import FRAMES_SUFFIX, read_frames, read_keypoint_results
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton

# Keys of results that `Person` and its image hold.
KEPT_KEYS = {"image_id", "file_name", "category_id", "keypoints", "score", "bbox", "id"}


def read_result_entries(path: Path) -> Any:
    """Reads the content of a results file: COCO's JSON unchanged, or all people of all frames of a poses.jsonl.

    Each frame becomes an image: frame 12 of `walks/clip.mp4` is `walks/clip/000012.jpg`. Frames without people are
    omitted.

    Raises:
        AnnotationError: The file is missing or broken.
    """
    if path.suffix.lower() != FRAMES_SUFFIX:
        return load_json(path)
    return [person for frame in read_frames(path, _frame_entries) for person in frame]


def _frame_entries(content: Any) -> list[dict[str, Any]]:
    clip = PurePosixPath(content["file_name"])
    name = (clip.with_suffix("") / f"{int(content['frame']):06d}.jpg").as_posix()
    return [{**person, "file_name": name, "image_id": None} for person in content["people"]]


def read_predicted_people(path: str | Path, listed_in: str | Path | None = None) -> Annotations:
    """Reads COCO keypoint results, or a poses.jsonl, as images with scored people, whose ids count from 1.

    Args:
        path: The results, as `read_result_entries` reads them. Their skeleton is that of `listed_in`, else that of a
            `skeleton.toml` in the same folder, else the built-in one with their number of keypoints.
        listed_in: Annotations that list the images; without them the images are those that the results name by
            `file_name`, with unknown size.

    Returns:
        The predicted people, with the results' boxes or else the bounding boxes of their keypoints. People annotated in
        `listed_in` are not included.

    Raises:
        AnnotationError: A file is missing or broken, an entry cannot be used, or images are named by id only and
            `listed_in` is not given.
    """
    path = Path(path)
    listed_in = Path(listed_in) if listed_in is not None else None
    entries = read_result_entries(path)
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: not a COCO results list: expected a list, got {type(entries).__name__}")
    listing = _list_images(entries, path) if listed_in is None else parse_annotations(listed_in)
    try:
        results = read_keypoint_results(entries, listing)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from error
    people: dict[int, list[Person]] = {}
    for number, entry, image_id, score, values in zip(
        count(1), entries, results.image_ids.tolist(), results.scores.tolist(), results.values, strict=False
    ):
        box = _box_of(entry, values, f"{path}: entry {number - 1}")
        keypoints = np.column_stack([values[:, :2], np.full(len(values), 2.0)])
        person = Person(number, box, keypoints, estimate_area(box), False, score, values[:, 2])
        people.setdefault(image_id, []).append(person)
    images = tuple(replace(image, people=tuple(people.get(image.id, ())), crowd_index=None) for image in listing.images)
    return Annotations(path, listing.skeleton, images)


def _list_images(entries: Sequence[Any], path: Path) -> Annotations:
    """Returns the images that results name, with the results' image ids or else unused ones."""
    ids: dict[str, int | None] = {}
    for index, entry in enumerate(entries):
        name = entry.get("file_name") if isinstance(entry, Mapping) else None
        if not name:
            raise AnnotationError(f"{path}: entry {index}: has no file_name; give the labels that list its image")
        try:
            ids.setdefault(validate_file_name(name), entry.get("image_id"))
        except AnnotationError as error:
            raise AnnotationError(f"{path}: entry {index}: {error}") from error
    taken = {image_id for image_id in ids.values() if image_id is not None}
    unused = (number for number in count(1) if number not in taken)
    numbered = {name: next(unused) if image_id is None else image_id for name, image_id in ids.items()}
    images = tuple(AnnotatedImage(image_id, name, SIZE_UNKNOWN, ()) for name, image_id in numbered.items())
    return Annotations(path, _find_skeleton(entries, path), images)


def _find_skeleton(entries: Sequence[Any], path: Path) -> Skeleton:
    own = read_adjacent_skeletons(path)
    lengths = {len(entry["keypoints"]) // 3 for entry in entries if isinstance(entry.get("keypoints"), list)}
    try:
        return match_skeleton(None, lengths or {17}, None, own, path.stem)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from error


def _box_of(entry: Mapping[str, Any], values: Floats, origin: str) -> Floats:
    if entry.get("bbox") is None:
        left_top, right_bottom = values[:, :2].min(0), values[:, :2].max(0)
        return np.concatenate([left_top, right_bottom - left_top])
    try:
        box = np.asarray(entry["bbox"], np.float64)
    except (TypeError, ValueError):
        box = np.zeros(0)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise AnnotationError(f"{origin}: bbox must be left, top, width and height, not {entry['bbox']!r}")
    return box
