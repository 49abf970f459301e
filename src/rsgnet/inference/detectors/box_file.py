"""Boxes from COCO annotations or a COCO results list, matched to images by file name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.readers import load_json
from rsgnet.errors import AnnotationError
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.inference.detectors.detector import Boxes, Detector, LoadedImage

_ScoredBox = tuple[NDArray[np.float64], float]  # left, top, width, height; score


class BoxFileDetector(Detector):
    """The boxes of a COCO JSON file, as a detector.

    Args:
        path: The file.
        by_name: The boxes of each file name that it lists.
        by_id: The boxes of the image ids that it gives no file name for. An image is matched to an id by the number at
            the end of its file name, as in COCO and CrowdPose.
        lists_all_images: Whether the file lists every image, with and without people. Annotations do, results do not.
    """

    def __init__(
        self, path: Path, by_name: Mapping[str, Boxes], by_id: Mapping[int, Boxes], lists_all_images: bool
    ) -> None:
        self.name, self.path = f"boxes:{path}", path
        self._by_name, self._by_id, self._lists_all_images = by_name, by_id, lists_all_images

    @classmethod
    def read(cls, path: str | Path, file_names: Mapping[int, str] | None = None) -> BoxFileDetector:
        """Reads a file.

        Of annotations, people without labelled keypoints and boxes about groups are left out. Of results, `box_score`
        is preferred to `score`, so that the poses.json of this package can be used.

        Args:
            path: COCO annotations (an object with `images` and `annotations`) or a COCO results list.
            file_names: The file name of each image id, where it is known from elsewhere.

        Raises:
            AnnotationError: The file is neither, or an entry of it is broken.
        """
        path = Path(path)
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

    def list_unknown_images(self, file_names: Mapping[int, str]) -> list[str]:
        """Returns the images of the file that a data set does not have, or has by another id: `id` or `name (id)`.

        Args:
            file_names: The file name of each image id of the data set; only its last part is compared.
        """
        names = {image_id: PurePosixPath(name).name for image_id, name in file_names.items()}
        known = set(names.values())
        unknown = [str(image_id) for image_id in self._by_id if image_id not in names]
        for path, boxes in self._by_name.items():
            name, image_id = PurePosixPath(path).name, boxes.image_id
            if name not in known or (image_id is not None and names.get(image_id) != name):
                unknown.append(path if image_id is None else f"{path} ({image_id})")
        return unknown

    def detect(self, images: Sequence[LoadedImage]) -> list[Boxes]:
        """Returns the boxes of each image, clipped to it.

        Raises:
            AnnotationError: The file does not list an image, or lists two images of that name.
        """
        return [self._find_boxes(image).clip_to(image.size_wh) for image in images]

    def _find_boxes(self, image: LoadedImage) -> Boxes:
        name = image.path.absolute().as_posix() if image.path else image.file_name
        matches = self._best_matches(name) or self._best_matches(image.file_name)
        if len(matches) > 1:
            raise AnnotationError(f"{name}: {self.path} lists several images of that name: {', '.join(matches[:3])}")
        if matches:
            return self._by_name[matches[0]]
        number = re.search(r"(\d+)$", PurePosixPath(name).stem)
        if number and int(number[1]) in self._by_id:
            return self._by_id[int(number[1])]
        if self._lists_all_images:
            raise AnnotationError(f"{name or 'an image without a file name'}: {self.path} lists no image of that name")
        return Boxes.empty()

    def _best_matches(self, name: str) -> list[str]:
        """Returns the listed paths with the last part of `name` that share the most parts before it.

        Listed paths that `name` ends in as a whole are preferred.
        """
        candidates = self._paths_by_last_part.get(PurePosixPath(name).name, [])
        shared = [_shared_end(name, candidate) for candidate in candidates]
        return [candidate for candidate, count in zip(candidates, shared, strict=True) if count == max(shared)]

    @cached_property
    def _paths_by_last_part(self) -> dict[str, list[str]]:
        paths: dict[str, list[str]] = {}
        for path in self._by_name:
            paths.setdefault(PurePosixPath(path).name, []).append(path)
        return paths


def _shared_end(name: str, listed: str) -> tuple[int, bool]:
    """Returns how many last parts two paths share, and whether those are all parts of the listed path."""
    parts = PurePosixPath(listed).parts[::-1]
    pairs = zip(PurePosixPath(name).parts[::-1], parts, strict=False)
    count = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return count, count == len(parts)


def _from_annotations(path: Path, content: Mapping[str, Any]) -> BoxFileDetector:
    person_ids = {entry["id"] for entry in content.get("categories") or [] if entry.get("name") == "person"} or {1}
    entries: dict[int, list[_ScoredBox]] = {int(image["id"]): [] for image in content["images"]}
    for index, entry in enumerate(content["annotations"]):
        if entry.get("category_id", 1) not in person_ids or entry.get("iscrowd") or not _has_labels(entry):
            continue
        if int(entry["image_id"]) not in entries:
            raise AnnotationError(f"annotation {index}: `images` lists no image {entry['image_id']}")
        entries[int(entry["image_id"])].append((_parse_box(entry, index), 1.0))
    by_name = {
        str(image["file_name"]): _to_boxes(entries[int(image["id"])], int(image["id"])) for image in content["images"]
    }
    return BoxFileDetector(path, by_name, {}, lists_all_images=True)


def _has_labels(entry: Mapping[str, Any]) -> bool:
    """Returns False for a person of whom it is known that no keypoint is labelled."""
    if "num_keypoints" in entry:
        return bool(entry["num_keypoints"])
    return not entry.get("keypoints") or any(entry["keypoints"][2::3])


def _from_results(path: Path, content: Sequence[Any], file_names: Mapping[int, str]) -> BoxFileDetector:
    named: dict[str, list[_ScoredBox]] = {}
    unnamed: dict[int, list[_ScoredBox]] = {}
    ids: dict[str, int] = {name: image_id for image_id, name in file_names.items()}
    for index, entry in enumerate(content):
        if not isinstance(entry, Mapping) or not {"file_name", "image_id"} & entry.keys():
            raise AnnotationError(f"entry {index}: a result carries `file_name` or `image_id`")
        if entry.get("category_id", 1) != 1:
            continue
        found = _parse_box(entry, index), float(entry.get("box_score", entry.get("score", 1.0)))
        is_given = entry.get("image_id") is not None and entry.get("image_id_from") != "file_name"
        image_id = int(entry["image_id"]) if is_given else None
        name = entry.get("file_name") or file_names.get(image_id if image_id is not None else -1)
        if name:
            named.setdefault(str(name), []).append(found)
            if image_id is not None:
                ids.setdefault(str(name), image_id)
        elif image_id is not None:
            unnamed.setdefault(image_id, []).append(found)
    by_name = {name: _to_boxes(entries, ids.get(name)) for name, entries in named.items()}
    by_id = {image_id: _to_boxes(entries, image_id) for image_id, entries in unnamed.items()}
    return BoxFileDetector(path, by_name, by_id, lists_all_images=False)


def _parse_box(entry: Mapping[str, Any], index: int) -> NDArray[np.float64]:
    box = np.asarray(entry.get("bbox"), np.float64)
    if box.shape != (4,):
        raise AnnotationError(f"entry {index}: expected a bbox of 4 numbers, got {entry.get('bbox')}")
    return box


def _to_boxes(entries: Sequence[_ScoredBox], image_id: int | None) -> Boxes:
    if not entries:
        return Boxes.empty(image_id)
    return Boxes(xywh_to_xyxy([box for box, _ in entries]), np.array([score for _, score in entries]), image_id)
