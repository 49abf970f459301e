"""Running the line over an annotated data set, to be evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.annotations.readers import Annotations
from rsgnet.errors import ImageError, RSGNetError
from rsgnet.geometry import xywh_to_xyxy, xyxy_to_xywh
from rsgnet.images import read_image
from rsgnet.inference.detectors.box_file import FileBoxes
from rsgnet.inference.detectors.boxes import Boxes, Detector, LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import Outcome
from rsgnet.inference.sources import ImageFile


def annotated_files(annotations: Annotations, images: Path) -> list[ImageFile]:
    """The image files of a data set.

    Args:
        annotations: The data set.
        images: The folder that its file names are relative to.

    Raises:
        RSGNetError: The folder does not exist.
    """
    if not images.is_dir():
        raise RSGNetError(f"--images {images}: no such folder")
    return [ImageFile(images / image.file_name, image.file_name) for image in annotations.images]


def boxes_for(annotations: Annotations, boxes: str) -> FileBoxes:
    """The boxes to evaluate with.

    Args:
        annotations: The data set.
        boxes: "gt" for its own boxes, or a COCO results list or annotation file.
    """
    if boxes == "gt":
        return _own_boxes(annotations)
    return FileBoxes.read(Path(boxes), {image.id: image.file_name for image in annotations.images})


def _own_boxes(annotations: Annotations) -> FileBoxes:
    """Everyone with labelled keypoints, groups left out."""
    by_name = {}
    for image in annotations.images:
        boxes = [person.box_xywh for person in image.people if person.labelled and not person.is_crowd]
        corners = xywh_to_xyxy(np.array(boxes).reshape(-1, 4))
        by_name[image.file_name] = Boxes(corners, np.ones(len(boxes)), image.id)
    return FileBoxes(annotations.path, by_name, {}, complete=True)


def detect_annotated(detector: Detector, annotations: Annotations, images: Path) -> list[dict[str, Any]]:
    """What a detector finds in a data set's images, as COCO box results; images that cannot be read have none."""
    results: list[dict[str, Any]] = []
    for file, annotated in zip(annotated_files(annotations, images), annotations.images, strict=True):
        try:
            photo = LoadedImage(read_image(file.path), file.file_name, file.path)
        except ImageError:
            continue
        boxes = detector.detect([photo])[0].inside(photo.size_wh)
        for box, score in zip(xyxy_to_xywh(boxes.boxes_xyxy).tolist(), boxes.scores.tolist(), strict=True):
            results.append(
                {
                    "image_id": annotated.id,
                    "file_name": file.file_name,
                    "category_id": 1,
                    "bbox": [round(value, 3) for value in box],
                    "score": score,
                }
            )
    return results


def predict_annotated(estimator: PoseEstimator, annotations: Annotations, images: Path) -> Iterator[Outcome]:
    """Each image of a data set with its poses, which carry the data set's `image_id`, or with its error."""
    ids = {image.file_name: image.id for image in annotations.images}
    for file, outcome in estimator.stream(annotated_files(annotations, images)):
        if isinstance(outcome, RSGNetError):
            yield file, outcome
        else:
            yield file, replace(outcome, image_id=ids[file.file_name])
