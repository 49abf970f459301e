"""The one way in for labels: whatever format a file has, `read_annotations` knows it by its content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsgnet.annotations.coco import read_coco
from rsgnet.annotations.crowd_index import crowd_index, rule_for
from rsgnet.annotations.csv_table import read_csv
from rsgnet.annotations.cvat import read_cvat
from rsgnet.annotations.findings import Report, refuse
from rsgnet.annotations.ochuman import read_ochuman
from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.annotations.yolo import read_yolo, yolo_root
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.files import read_bounded
from rsgnet.skeletons import Skeleton, read_skeleton

__all__ = [
    "AnnotatedImage",
    "Annotations",
    "Person",
    "file_and_split",
    "images_folder",
    "load_json",
    "read_annotations",
    "read_as_given",
]

SKELETON_FILE = "skeleton.toml"
_LARGEST = 2**29  # bytes; COCO's largest file is 449 million
_YAML = (".yaml", ".yml")


def read_annotations(path: str | Path, own: Skeleton | None = None) -> Annotations:
    """Reads labels: COCO JSON (COCO, CrowdPose, OCHuman, CVAT's export), OCHuman's, YOLO pose, CVAT's XML or CSV.

    The skeleton is the one of `own`, a `skeleton.toml` beside the file, and the built-in ones, that has the file's
    keypoint names; a file that names none is taken by their number. Names that nobody knows make a skeleton of their
    own. Where an image has no crowd index it is computed.

    Args:
        path: The file. Of a YOLO data.yaml with several splits, one is named: `data.yaml#val`.
        own: A skeleton that may be meant.

    Raises:
        AnnotationError: The file is missing, broken, over 512 MiB, or of no known format; an entry of it cannot be
            used; or its keypoints fit no skeleton.
    """
    annotations = read_as_given(path, own, refuse)
    if not any(person.labelled for image in annotations.images for person in image.people):
        return annotations
    rule = rule_for(annotations.skeleton)
    images = tuple(
        replace(image, crowd_index=crowd_index(image.people, annotations.skeleton, rule))
        if image.crowd_index is None
        else image
        for image in annotations.images
    )
    return replace(annotations, images=images)


def read_as_given(path: str | Path, own: Skeleton | None, report: Report) -> Annotations:
    """Reads labels as `read_annotations`, without adding crowd indices.

    Args:
        path: The file.
        own: A skeleton that may be meant.
        report: Told of each entry that is wrong; entries that cannot be used are left out where it returns.

    Raises:
        AnnotationError: As `read_annotations`, but for single entries.
    """
    file, split = file_and_split(path)
    beside = file.parent / SKELETON_FILE
    skeletons = [*([own] if own else []), *([read_skeleton(beside)] if beside.is_file() else [])]
    with _naming(file):
        skeleton, images = _read(file, split, skeletons, report)
    return Annotations(Path(path), skeleton, tuple(images))


def file_and_split(path: str | Path) -> tuple[Path, str]:
    """The file and the split of a path such as `data.yaml#val`; "" where it names no split."""
    name, _, split = str(path).rpartition("#")
    return (Path(name), split) if Path(name).suffix.lower() in _YAML else (Path(path), "")


def images_folder(path: str | Path) -> Path:
    """The folder where a label file's images lie if nobody says otherwise: a data.yaml's root, else `images` beside.

    Raises:
        AnnotationError: A data.yaml is broken.
    """
    file, _ = file_and_split(path)
    if file.suffix.lower() not in _YAML:
        return file.parent / "images"
    with _naming(file):
        return yolo_root(file)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """What goes wrong in the block becomes an `AnnotationError` that names the file."""
    try:
        yield
    except RSGNetError as error:
        message = str(error)
        raise AnnotationError(message if message.startswith(f"{file}: ") else f"{file}: {message}") from error
    except OSError as error:
        raise AnnotationError(f"{file}: {error.filename} cannot be read: {error.strerror}") from error


def load_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        AnnotationError: The file is missing, over 512 MiB, or not JSON.
    """
    content = _content(path)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not valid JSON ({error}); is it truncated?") from error


def _content(path: Path) -> bytes:
    try:
        return read_bounded(path, _LARGEST)
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read: {error.strerror}") from error


def _text(path: Path, as_others: str) -> str:
    try:
        return _content(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"is not UTF-8, as {as_others}") from error


def _read(
    path: Path, split: str, skeletons: Sequence[Skeleton], report: Report
) -> tuple[Skeleton, list[AnnotatedImage]]:
    if path.suffix.lower() in _YAML:
        return read_yolo(path, split, skeletons, report)
    if path.suffix.lower() == ".xml":
        return read_cvat(_text(path, "CVAT's XML is"), skeletons, report)
    if path.suffix.lower() == ".csv":
        return read_csv(_text(path, "tables of people are"), skeletons, path.stem, report)
    content = load_json(path)
    images = content.get("images") if isinstance(content, Mapping) else None
    if not isinstance(images, list) or not (images or "annotations" in content):
        raise AnnotationError(
            "not annotations: expected an object with `images` and `annotations`, a data.yaml, XML or CSV"
        )
    if "annotations" not in content and isinstance(images[0], Mapping) and "annotations" in images[0]:
        return read_ochuman(content, report)
    return read_coco(content, skeletons, path.stem, report)
