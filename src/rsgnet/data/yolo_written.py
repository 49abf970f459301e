"""YOLO pose data sets as they are written, for training, or with scores as YOLO itself saves what it finds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rsgnet.data.people import SIZE_UNKNOWN, AnnotatedImage, Annotations, Person
from rsgnet.data.yolo import label_file
from rsgnet.errors import AnnotationError
from rsgnet.files import write_text
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton

SETTINGS_FILE = "data.yaml"


def write_yolo(annotations: Annotations, out: Path, split: str, images: Path | None, scored: bool) -> Path:
    """Writes one split: `labels/SPLIT`, `images/SPLIT` and the split's line in data.yaml; other splits stay.

    Args:
        annotations: People in images whose sizes are known. Regions of crowds are left out.
        out: The data set's folder.
        split: train, val or test.
        images: Where the images are linked from, or copied where links cannot be; None leaves them to be put there.
        scored: Whether lines end with the person's score and have scores for visibilities, as YOLO's own results; else
            boxes are clipped to the image and keypoints beyond it left out, as training asks.

    Returns:
        `data.yaml`.

    Raises:
        AnnotationError: An image's size is not known, two images would share a label file, an image is missing, or
            the folder holds a data set of other keypoints.
    """
    settings = _settings(out / SETTINGS_FILE, annotations.skeleton, split)
    lines = {_place(image, split): _lines(image, scored) for image in annotations.images}
    if len({label_file(place) for place in lines}) < len(annotations.images):
        raise AnnotationError(f"{annotations.path}: images that differ in their suffix only would share labels")
    if images is not None:
        for image in annotations.images:
            _put(images / image.file_name, out / _place(image, split))
    for place, told in lines.items():
        write_text(out / label_file(place), "".join(f"{line}\n" for line in told))
    write_text(out / SETTINGS_FILE, yaml.safe_dump(settings, sort_keys=False, default_flow_style=None))
    return out / SETTINGS_FILE


def _settings(path: Path, skeleton: Skeleton, split: str) -> dict[str, Any]:
    """Without a `path`: then YOLO takes the file's own folder."""
    wanted = {
        "kpt_shape": [len(skeleton), 3],
        "flip_idx": skeleton.flip_indices.tolist(),
        "kpt_names": {0: list(skeleton.keypoints)},
        "names": {0: "person"},
    }
    before = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if before and {**before, **wanted} != before:
        raise AnnotationError(f"{path}: describes another data set; choose another folder")
    return {**before, split: f"images/{split}", **wanted}


def _place(image: AnnotatedImage, split: str) -> str:
    folder = f"images/{split}/"
    return image.file_name if image.file_name.startswith(folder) else folder + image.file_name


def _put(source: Path, target: Path) -> None:
    if not source.is_file():
        raise AnnotationError(f"{source}: no such image")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        return
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _lines(image: AnnotatedImage, scored: bool) -> list[str]:
    if image.size_wh == SIZE_UNKNOWN:
        raise AnnotationError(f"{image.file_name}: its size is not known; name the folder of the images")
    people = (person for person in image.people if not person.is_crowd)
    size_wh = np.array(image.size_wh, np.float64)
    return [_line(_result(person, size_wh) if scored else _label(person, size_wh)) for person in people]


def _line(numbers: Iterable[float]) -> str:
    return " ".join(["0", *(f"{number:.8g}" for number in numbers)])


def _label(person: Person, size_wh: Floats) -> Floats:
    corners = np.concatenate([person.box_xywh[:2], person.box_xywh[:2] + person.box_xywh[2:]])
    left_top, right_bottom = corners.reshape(2, 2).clip(0, size_wh)
    seen = np.where(inside(person, size_wh)[:, None], person.keypoints / [*size_wh, 1], 0.0)
    return np.concatenate([(left_top + right_bottom) / 2 / size_wh, (right_bottom - left_top) / size_wh, seen.ravel()])


def inside(person: Person, size_wh: Floats) -> Any:
    """(K,) which labelled keypoints lie in the image; YOLO refuses images with others."""
    places = person.keypoints[:, :2]
    return (person.keypoints[:, 2] > 0) & (places >= 0).all(-1) & (places <= size_wh).all(-1)


def _result(person: Person, size_wh: Floats) -> Floats:
    seen = np.column_stack([person.keypoints[:, :2] / size_wh, person.keypoint_sureness])
    centre = person.box_xywh[:2] + person.box_xywh[2:] / 2
    return np.concatenate([centre / size_wh, person.box_xywh[2:] / size_wh, seen.ravel(), [person.sureness]])
