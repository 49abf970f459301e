"""Boxes that someone else found: COCO annotations or a COCO results list, matched to images by file name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rsgnet.annotations.readers import load_json
from rsgnet.errors import AnnotationError
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.inference.detectors.boxes import Boxes, LoadedImage


@dataclass(frozen=True, eq=False)
class FileBoxes:
    """The boxes of a COCO JSON file, as a detector.

    Attributes:
        path: The file.
        by_name: The boxes of each file name that it lists.
        by_id: Those of image ids that it gives no file name for; they are found by the number that an image's file
            name ends in, as COCO's and CrowdPose's do.
        complete: Whether it lists every image, found people in it or not, as annotations do and results do not.
    """

    path: Path
    by_name: Mapping[str, Boxes]
    by_id: Mapping[int, Boxes]
    complete: bool

    @classmethod
    def read(cls, path: Path, file_names: Mapping[int, str] | None = None) -> FileBoxes:
        """Reads a file.

        Of annotations, people without labelled keypoints and boxes about groups are left out. Of results, `box_score`
        is preferred to `score`, so that this package's own poses.json may serve.

        Args:
            path: COCO annotations (an object with `images` and `annotations`) or a COCO results list.
            file_names: The file name of each image id, where it is known from elsewhere.

        Raises:
            AnnotationError: It is neither, or an entry of it is broken.
        """
        content = load_json(path)
        try:
            if isinstance(content, list):
                return _from_results(path, content, file_names or {})
            if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
                return _from_annotations(path, content)
        except AnnotationError as error:
            raise AnnotationError(f"{path}: {error}") from error
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise AnnotationError(f"{path}: broken COCO boxes: {type(error).__name__} {error}") from error
        raise AnnotationError(
            f"{path}: holds no boxes: expected COCO annotations (`images`, `annotations`) or a results list"
        )

    def detect(self, photos: Sequence[LoadedImage]) -> list[Boxes]:
        """The boxes of each image, clipped to it.

        Raises:
            AnnotationError: The file does not list an image, or two of its images have that name.
        """
        return [self._of(photo).inside(photo.size_wh) for photo in photos]

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """The listed paths by their last part."""
        names: dict[str, list[str]] = {}
        for name in self.by_name:
            names.setdefault(PurePosixPath(name).name, []).append(name)
        return names

    def _of(self, photo: LoadedImage) -> Boxes:
        name = photo.path.absolute().as_posix() if photo.path else photo.file_name
        matches = self._best_matches(name) or self._best_matches(photo.file_name)
        if len(matches) > 1:
            raise AnnotationError(f"{name}: {self.path} lists several images of that name: {', '.join(matches[:3])}")
        if matches:
            return self.by_name[matches[0]]
        number = re.search(r"(\d+)$", PurePosixPath(name).stem)
        if number and int(number[1]) in self.by_id:
            return self.by_id[int(number[1])]
        if self.complete:
            raise AnnotationError(f"{name or 'an image without a file name'}: {self.path} lists no image of that name")
        return Boxes.none()

    def _best_matches(self, name: str) -> list[str]:
        """The listed paths with the last part of `name` that share the most parts before it, whole ones first."""
        candidates = self._names.get(PurePosixPath(name).name, [])
        shared = [_shared_tail(name, candidate) for candidate in candidates]
        return [candidate for candidate, count in zip(candidates, shared, strict=True) if count == max(shared)]


def _shared_tail(name: str, listed: str) -> tuple[int, bool]:
    """How many last parts two paths have in common, and whether that is all of the listed one."""
    parts = PurePosixPath(listed).parts[::-1]
    pairs = zip(PurePosixPath(name).parts[::-1], parts, strict=False)
    count = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return count, count == len(parts)


def _from_annotations(path: Path, content: Mapping[str, Any]) -> FileBoxes:
    people = {entry["id"] for entry in content.get("categories") or [] if entry.get("name") == "person"} or {1}
    entries: dict[int, list[tuple[Any, float]]] = {int(image["id"]): [] for image in content["images"]}
    for index, entry in enumerate(content["annotations"]):
        if entry.get("category_id", 1) not in people or entry.get("iscrowd") or _unlabelled(entry):
            continue
        if int(entry["image_id"]) not in entries:
            raise AnnotationError(f"annotation {index}: `images` lists no image {entry['image_id']}")
        entries[int(entry["image_id"])].append((_box(entry, index), 1.0))
    by_name = {str(p["file_name"]): _boxes(entries[int(p["id"])], int(p["id"])) for p in content["images"]}
    return FileBoxes(path, by_name, {}, complete=True)


def _unlabelled(entry: Mapping[str, Any]) -> bool:
    if "num_keypoints" in entry:
        return not entry["num_keypoints"]
    return bool(entry.get("keypoints")) and not any(entry["keypoints"][2::3])


def _from_results(path: Path, content: Sequence[Any], file_names: Mapping[int, str]) -> FileBoxes:
    named: dict[str, list[tuple[Any, float]]] = {}
    numbered: dict[int, list[tuple[Any, float]]] = {}
    ids: dict[str, int] = {name: number for number, name in file_names.items()}
    for index, entry in enumerate(content):
        if not isinstance(entry, Mapping) or not {"file_name", "image_id"} & entry.keys():
            raise AnnotationError(f"entry {index}: a result carries `file_name` or `image_id`")
        if entry.get("category_id", 1) != 1:
            continue
        found = _box(entry, index), float(entry.get("box_score", entry.get("score", 1.0)))
        number = None if entry.get("image_id") is None else int(entry["image_id"])
        name = entry.get("file_name") or file_names.get(number if number is not None else -1)
        if name:
            named.setdefault(str(name), []).append(found)
            if number is not None:
                ids.setdefault(str(name), number)
        elif number is not None:
            numbered.setdefault(number, []).append(found)
    by_name = {name: _boxes(entries, ids.get(name)) for name, entries in named.items()}
    return FileBoxes(path, by_name, {n: _boxes(e, n) for n, e in numbered.items()}, complete=False)


def _box(entry: Mapping[str, Any], index: int) -> Any:
    box = np.asarray(entry.get("bbox"), np.float64)
    if box.shape != (4,):
        raise AnnotationError(f"entry {index}: expected a bbox of 4 numbers, got {entry.get('bbox')}")
    return box


def _boxes(entries: list[tuple[Any, float]], image_id: int | None) -> Boxes:
    if not entries:
        return Boxes.none(image_id)
    return Boxes(xywh_to_xyxy([box for box, _ in entries]), np.array([score for _, score in entries]), image_id)
