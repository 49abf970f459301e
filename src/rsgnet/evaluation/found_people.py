"""Keypoint results as people in images, also where no labels stand beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rsgnet.annotations.findings import inner_path, refuse
from rsgnet.annotations.keypoint_names import skeleton_of
from rsgnet.annotations.people import SIZE_UNKNOWN, area_of
from rsgnet.annotations.readers import SKELETON_FILE, AnnotatedImage, Annotations, Person, load_json, read_as_given
from rsgnet.errors import AnnotationError
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.evaluation.tracking import FRAMES_SUFFIX, read_frames
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton, read_skeleton

CARRIED = {"image_id", "file_name", "category_id", "keypoints", "score", "bbox", "id"}


def read_entries(path: Path) -> Any:
    """What a file of results lists: COCO's JSON as it is; of a poses.jsonl everyone in every frame.

    A frame is an image of its own: number 12 of `walks/clip.mp4` is `walks/clip/000012.jpg`. Frames without anybody
    are not listed.

    Raises:
        AnnotationError: The file is missing or broken.
    """
    if path.suffix.lower() != FRAMES_SUFFIX:
        return load_json(path)
    return [person for frame in read_frames(path, _of_frame) for person in frame]


def _of_frame(content: Any) -> list[dict[str, Any]]:
    clip = PurePosixPath(content["file_name"])
    name = (clip.with_suffix("") / f"{int(content['frame']):06d}.jpg").as_posix()
    return [{**person, "file_name": name, "image_id": None} for person in content["people"]]


def read_found_people(path: Path, listed_in: Path | None = None) -> Annotations:
    """Reads COCO keypoint results, or a poses.jsonl, as images with scored people in them, numbered from 1.

    Args:
        path: The results, as `read_entries` reads them. Their skeleton is that of `listed_in`, else the one in a
            `skeleton.toml` beside them or the built-in one with their number of keypoints.
        listed_in: Labels that list the images; without them the images are those that the results name by
            `file_name`, of unknown size.

    Returns:
        People with scores, their boxes as given, else about their keypoints; nobody who is merely labelled.

    Raises:
        AnnotationError: A file is missing or broken, an entry cannot be used, or images are named by ids alone.
    """
    entries = read_entries(path)
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: not a COCO results list: expected a list, got {type(entries).__name__}")
    listing = _named_in(entries, path) if listed_in is None else read_as_given(listed_in, None, refuse)
    try:
        found = read_keypoint_results(entries, listing)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from error
    people: dict[int, list[Person]] = {}
    for number, entry, image_id, score, values in zip(
        count(1), entries, found.image_ids.tolist(), found.scores.tolist(), found.values, strict=False
    ):
        box = _box(entry, values, f"{path}: entry {number - 1}")
        places = np.column_stack([values[:, :2], np.full(len(values), 2.0)])
        person = Person(number, box, places, area_of(box), False, score, values[:, 2])
        people.setdefault(image_id, []).append(person)
    images = tuple(replace(image, people=tuple(people.get(image.id, ())), crowd_index=None) for image in listing.images)
    return Annotations(path, listing.skeleton, images)


def _named_in(entries: Sequence[Any], path: Path) -> Annotations:
    """The images that results name; ids are theirs, else new ones."""
    ids: dict[str, int | None] = {}
    for index, entry in enumerate(entries):
        name = entry.get("file_name") if isinstance(entry, Mapping) else None
        if not name:
            raise AnnotationError(f"{path}: entry {index}: has no file_name; name the labels that list its image")
        try:
            ids.setdefault(inner_path(name), entry.get("image_id"))
        except AnnotationError as error:
            raise AnnotationError(f"{path}: entry {index}: {error}") from error
    taken = {image_id for image_id in ids.values() if image_id is not None}
    unused = (number for number in count(1) if number not in taken)
    numbered = {name: next(unused) if image_id is None else image_id for name, image_id in ids.items()}
    images = tuple(AnnotatedImage(image_id, name, SIZE_UNKNOWN, ()) for name, image_id in numbered.items())
    return Annotations(path, _skeleton(entries, path), images)


def _skeleton(entries: Sequence[Any], path: Path) -> Skeleton:
    beside = path.parent / SKELETON_FILE
    own = [read_skeleton(beside)] if beside.is_file() else []
    lengths = {len(entry["keypoints"]) // 3 for entry in entries if isinstance(entry.get("keypoints"), list)}
    try:
        return skeleton_of(None, lengths or {17}, None, own, path.stem)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from error


def _box(entry: Mapping[str, Any], values: Floats, named: str) -> Floats:
    if entry.get("bbox") is None:
        left_top, right_bottom = values[:, :2].min(0), values[:, :2].max(0)
        return np.concatenate([left_top, right_bottom - left_top])
    try:
        box = np.asarray(entry["bbox"], np.float64)
    except (TypeError, ValueError):
        box = np.zeros(0)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise AnnotationError(f"{named}: bbox must be left, top, width and height, not {entry['bbox']!r}")
    return box
