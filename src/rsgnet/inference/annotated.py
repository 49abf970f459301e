"""Running the line over an annotated data set, to be evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.data.annotations import Annotations
from rsgnet.errors import PictureError, RSGNetError
from rsgnet.geometry import xywh_to_xyxy, xyxy_to_xywh
from rsgnet.inference.boxes import Boxes, Photo
from rsgnet.inference.detector import Detector
from rsgnet.inference.detector_file import FileBoxes
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import Outcome
from rsgnet.inference.sources import PictureFile
from rsgnet.pictures import read_picture


def annotated_files(annotations: Annotations, pictures: Path) -> list[PictureFile]:
    """The picture files of a data set.

    Args:
        annotations: The data set.
        pictures: The folder that its file names are relative to.

    Raises:
        RSGNetError: The folder does not exist.
    """
    if not pictures.is_dir():
        raise RSGNetError(f"--images {pictures}: no such folder")
    return [PictureFile(pictures / picture.file_name, picture.file_name) for picture in annotations.pictures]


def boxes_for(annotations: Annotations, boxes: str) -> FileBoxes:
    """The boxes to evaluate with.

    Args:
        annotations: The data set.
        boxes: "gt" for its own boxes, or a COCO results list or annotation file.
    """
    if boxes == "gt":
        return _own_boxes(annotations)
    return FileBoxes.read(Path(boxes), {picture.id: picture.file_name for picture in annotations.pictures})


def _own_boxes(annotations: Annotations) -> FileBoxes:
    """Everyone with labelled keypoints, groups left out."""
    by_name = {}
    for picture in annotations.pictures:
        boxes = [person.box_xywh for person in picture.people if person.labelled and not person.is_crowd]
        corners = xywh_to_xyxy(np.array(boxes).reshape(-1, 4))
        by_name[picture.file_name] = Boxes(corners, np.ones(len(boxes)), picture.id)
    return FileBoxes(annotations.path, by_name, {}, complete=True)


def detect_annotated(detector: Detector, annotations: Annotations, pictures: Path) -> list[dict[str, Any]]:
    """What a detector finds in a data set's pictures, as COCO box results; pictures that cannot be read have none."""
    results: list[dict[str, Any]] = []
    for file, annotated in zip(annotated_files(annotations, pictures), annotations.pictures, strict=True):
        try:
            photo = Photo(read_picture(file.path), file.file_name, file.path)
        except PictureError:
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


def predict_annotated(estimator: PoseEstimator, annotations: Annotations, pictures: Path) -> Iterator[Outcome]:
    """Each picture of a data set with its poses, which carry the data set's `image_id`, or with its error."""
    ids = {picture.file_name: picture.id for picture in annotations.pictures}
    for file, outcome in estimator.stream(annotated_files(annotations, pictures)):
        if isinstance(outcome, RSGNetError):
            yield file, outcome
        else:
            yield file, replace(outcome, image_id=ids[file.file_name])
