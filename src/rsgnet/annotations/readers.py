"""`read_annotations`: reads label files of every supported format, which it recognises by their content."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsgnet.annotations.coco import read_coco
from rsgnet.annotations.crowd_index import choose_crowd_index_rule, compute_crowd_index
from rsgnet.annotations.csv_table import read_csv
from rsgnet.annotations.cvat import read_cvat
from rsgnet.annotations.findings import FindingHandler, raise_if_broken
from rsgnet.annotations.ochuman import read_ochuman
from rsgnet.annotations.people import AnnotatedImage, Annotations
from rsgnet.annotations.skeleton_matching import read_adjacent_skeletons
from rsgnet.annotations.yolo import read_yolo, read_yolo_root
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.files import read_bounded
from rsgnet.skeletons import Skeleton

_MAX_BYTES = 2**29  # COCO's largest file has 449 million
_YAML_SUFFIXES = (".yaml", ".yml")


def read_annotations(path: str | Path, custom_skeleton: Skeleton | None = None) -> Annotations:
    """Reads labels: COCO JSON (COCO, CrowdPose, OCHuman, CVAT's export), OCHuman's JSON, YOLO pose, CVAT's XML or CSV.

    The skeleton is found by the keypoint names of the file, or by their number where it has no names: among
    `custom_skeleton`, a `skeleton.toml` in the folder of the file, and the built-in skeletons. A file with unknown
    names gets a skeleton of its own. Crowd indices that the file does not give are computed.

    Args:
        path: The file. A YOLO data.yaml with several splits needs the name of one: `data.yaml#val`.
        custom_skeleton: A skeleton to consider first.

    Raises:
        AnnotationError: The file is missing, broken, over 512 MiB, or of no known format; an entry of it cannot be
            used; two images have one id; or its keypoints fit no skeleton.
    """
    with pause_garbage_collection():
        annotations = parse_annotations(path, custom_skeleton)
    for image_id, count in Counter(image.id for image in annotations.images).items():
        if count > 1:
            raise AnnotationError(f"{path}: {count} images have the id {image_id}; give each its own")
    if not any(person.num_labelled for image in annotations.images for person in image.people):
        return annotations
    rule = choose_crowd_index_rule(annotations.skeleton)
    images = tuple(
        replace(image, crowd_index=compute_crowd_index(image.people, annotations.skeleton, rule))
        if image.crowd_index is None
        else image
        for image in annotations.images
    )
    return replace(annotations, images=images)


def parse_annotations(
    path: str | Path, custom_skeleton: Skeleton | None = None, on_finding: FindingHandler = raise_if_broken
) -> Annotations:
    """Reads labels like `read_annotations`, but computes no crowd indices and can go on after a broken entry.

    Args:
        path: The file, as for `read_annotations`.
        custom_skeleton: A skeleton to consider first.
        on_finding: Called with each problem; the default raises for broken entries. If it returns, they are left out.

    Raises:
        AnnotationError: The file as a whole cannot be read, or `on_finding` raised.
    """
    file, split = split_label_path(path)
    skeletons = [*([custom_skeleton] if custom_skeleton else []), *read_adjacent_skeletons(file)]
    with _name_file_in_errors(file):
        skeleton, images = _read_format(file, split, skeletons, on_finding)
    return Annotations(Path(path), skeleton, tuple(images))


def split_label_path(path: str | Path) -> tuple[Path, str]:
    """Splits a path such as `data.yaml#val` into the file and the split, "" where no split is named."""
    name, _, split = str(path).rpartition("#")
    return (Path(name), split) if Path(name).suffix.lower() in _YAML_SUFFIXES else (Path(path), "")


def find_images_folder(path: str | Path) -> Path:
    """Returns the default image folder of a label file: the root of a data.yaml, otherwise `images` beside the file.

    Raises:
        AnnotationError: A data.yaml is broken.
    """
    file, _ = split_label_path(path)
    if file.suffix.lower() not in _YAML_SUFFIXES:
        return file.parent / "images"
    with _name_file_in_errors(file):
        return read_yolo_root(file)


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Pauses the search for reference cycles, a third of the time of making many objects that are in none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def load_json(path: Path) -> Any:
    """Reads the content of a JSON file.

    Raises:
        AnnotationError: The file is missing, over 512 MiB, or not JSON.
    """
    content = _read_bytes(path)
    try:
        with pause_garbage_collection():
            return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not valid JSON ({error}); is it truncated?") from error


@contextmanager
def _name_file_in_errors(file: Path) -> Iterator[None]:
    """Turns the errors of the block into `AnnotationError`s that name the file."""
    try:
        yield
    except RSGNetError as error:
        message = str(error)
        raise AnnotationError(message if message.startswith(f"{file}: ") else f"{file}: {message}") from error
    except OSError as error:
        raise AnnotationError(f"{file}: {error.filename} cannot be read: {error.strerror}") from error


def _read_format(
    path: Path, split: str, skeletons: Sequence[Skeleton], on_finding: FindingHandler
) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads a file by the reader of its format, known by the suffix and, for JSON, by the content."""
    suffix = path.suffix.lower()
    if suffix in _YAML_SUFFIXES:
        return read_yolo(path, split, skeletons, on_finding)
    if suffix == ".xml":
        return read_cvat(_read_text(path, "CVAT's XML is"), skeletons, on_finding)
    if suffix == ".csv":
        return read_csv(_read_text(path, "tables of people are"), skeletons, path.stem, on_finding)
    content = load_json(path)
    images = content.get("images") if isinstance(content, Mapping) else None
    if not isinstance(images, list) or not (images or "annotations" in content):
        raise AnnotationError(
            "not annotations: expected an object with `images` and `annotations`, a data.yaml, XML or CSV"
        )
    if "annotations" not in content and isinstance(images[0], Mapping) and "annotations" in images[0]:
        return read_ochuman(content, on_finding)
    return read_coco(content, skeletons, path.stem, on_finding)


def _read_bytes(path: Path) -> bytes:
    try:
        return read_bounded(path, _MAX_BYTES)
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read: {error.strerror}") from error


def _read_text(path: Path, what_is_utf8: str) -> str:
    try:
        return _read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"is not UTF-8, as {what_is_utf8}") from error
