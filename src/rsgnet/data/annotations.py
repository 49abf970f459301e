"""COCO-format keypoint annotations, read into arrays and checked as they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import AnnotationError
from rsgnet.skeletons import SKELETONS, Skeleton


@dataclass(frozen=True, eq=False)
class Person:
    """One annotated person.

    Attributes:
        id: The annotation's id.
        box_xywh: (4,) left, top, width, height in picture pixels.
        keypoints: (K, 3) x, y, visibility (0 not labelled, 1 labelled but hidden, 2 visible).
        area: Area in squared pixels that sets the OKS scale.
        is_crowd: Whether the box is drawn about a group.
    """

    id: int
    box_xywh: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    area: float
    is_crowd: bool = False

    @property
    def labelled(self) -> int:
        """How many keypoints are labelled."""
        return int((self.keypoints[:, 2] > 0).sum())


@dataclass(frozen=True, eq=False)
class AnnotatedPicture:
    """One picture of a data set.

    Attributes:
        id: The picture's id.
        file_name: Its file, relative to the data set's picture folder.
        size_wh: Width and height in pixels.
        people: Everyone annotated in it.
        crowd_index: CrowdPose's crowd index, None where the file gives none.
    """

    id: int
    file_name: str
    size_wh: tuple[int, int]
    people: tuple[Person, ...]
    crowd_index: float | None = None


@dataclass(frozen=True, eq=False)
class Annotations:
    """A data set: its skeleton and pictures.

    Attributes:
        path: The file it was read from.
        skeleton: The keypoints of its people.
        pictures: In the order of the file.
    """

    path: Path
    skeleton: Skeleton
    pictures: tuple[AnnotatedPicture, ...]


def read_annotations(path: str | Path) -> Annotations:
    """Reads a COCO-format keypoint file (COCO, CrowdPose and whatever keeps to their layout).

    The skeleton is the built-in one whose keypoint names the person category lists; a file that lists none is taken by
    the number of its keypoints, as CrowdPose's own files want.

    Raises:
        AnnotationError: The file is missing or broken, or its keypoints fit no skeleton.
    """
    path = Path(path)
    content = load_json(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise AnnotationError(f"{path}: not COCO annotations: expected an object with `images` and `annotations`")
    try:
        skeleton = _skeleton_of(content)
        people: dict[int, list[Person]] = {}
        for entry in _of_people(content):
            people.setdefault(int(entry["image_id"]), []).append(_person(entry, len(skeleton)))
        pictures = tuple(_picture(entry, people.pop(int(entry["id"]), [])) for entry in content["images"])
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, AnnotationError):
            raise AnnotationError(f"{path}: {error}") from error
        raise AnnotationError(f"{path}: broken COCO annotations: {type(error).__name__} {error}") from error
    if people:
        raise AnnotationError(f"{path}: annotations for picture ids that `images` does not list: {sorted(people)[:5]}")
    return Annotations(path, skeleton, pictures)


def load_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        AnnotationError: The file is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not valid JSON ({error}); is it truncated?") from error


def _skeleton_of(content: Mapping[str, Any]) -> Skeleton:
    categories: Sequence[Mapping[str, Any]] = content.get("categories") or []
    names = next((tuple(entry["keypoints"]) for entry in categories if entry.get("keypoints")), None)
    for skeleton in SKELETONS.values():
        if names == skeleton.keypoints:
            return skeleton
    counts = {len(entry["keypoints"]) // 3 for entry in _of_people(content) if entry.get("keypoints")}
    counts |= {len(names)} if names else set()
    for skeleton in SKELETONS.values():
        if counts == {len(skeleton)}:
            return skeleton
    raise AnnotationError(f"keypoints fit no known skeleton: names {names}, counts {sorted(counts)}")


def _of_people(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The annotations of people, in files that hold other things as well."""
    categories: Sequence[Mapping[str, Any]] = content.get("categories") or []
    others = {entry.get("id") for entry in categories if not entry.get("keypoints") and entry.get("name") != "person"}
    return [entry for entry in content["annotations"] if entry.get("category_id") not in others]


def _person(entry: Mapping[str, Any], count: int) -> Person:
    keypoints = np.asarray(entry.get("keypoints") or [0.0] * 3 * count, np.float64)
    if keypoints.shape != (3 * count,):
        raise AnnotationError(
            f"annotation {entry.get('id')}: expected {3 * count} keypoint numbers, got {keypoints.size}"
        )
    box = np.asarray(entry["bbox"], np.float64)
    if box.shape != (4,) or not np.isfinite(box).all() or not np.isfinite(keypoints).all():
        raise AnnotationError(f"annotation {entry.get('id')}: box and keypoints must be finite numbers, box is {box}")
    area = entry.get("area")
    area = 0.53 * box[2] * box[3] if area is None else area
    return Person(int(entry["id"]), box, keypoints.reshape(count, 3), float(area), bool(entry.get("iscrowd", 0)))


def _picture(entry: Mapping[str, Any], people: list[Person]) -> AnnotatedPicture:
    crowd_index = entry.get("crowdIndex")
    return AnnotatedPicture(
        id=int(entry["id"]),
        file_name=str(entry["file_name"]),
        size_wh=(int(entry["width"]), int(entry["height"])),
        people=tuple(people),
        crowd_index=None if crowd_index is None else float(crowd_index),
    )
