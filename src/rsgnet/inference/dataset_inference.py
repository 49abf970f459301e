"""Running the detector or the whole pipeline over an annotated data set, for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.annotations.people import Annotations
from rsgnet.errors import ImageError, RSGNetError
from rsgnet.geometry import xywh_to_xyxy, xyxy_to_xywh
from rsgnet.images import read_image
from rsgnet.inference.detectors.box_file import BoxFileDetector
from rsgnet.inference.detectors.detector import Boxes, Detector, LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import Outcome
from rsgnet.inference.sources import ImageFile


def list_dataset_images(annotations: Annotations, images: str | Path) -> list[ImageFile]:
    """Returns the image files of a data set.

    Args:
        annotations: The data set.
        images: The folder that its file names are relative to.

    Raises:
        RSGNetError: The folder does not exist.
    """
    images = Path(images)
    if not images.is_dir():
        raise RSGNetError(f"--images {images}: no such folder")
    return [ImageFile(images / image.file_name, image.file_name) for image in annotations.images]


def open_dataset_boxes(annotations: Annotations, boxes: str) -> BoxFileDetector:
    """Opens the boxes to evaluate with.

    Args:
        annotations: The data set.
        boxes: "gt" for the boxes of the data set, or the path of a COCO results list or annotation file.
    """
    if boxes == "gt":
        return _ground_truth_boxes(annotations)
    return BoxFileDetector.read(Path(boxes), {image.id: image.file_name for image in annotations.images})


def _ground_truth_boxes(annotations: Annotations) -> BoxFileDetector:
    """Returns the boxes of everyone with labelled keypoints, groups left out."""
    by_name = {}
    for image in annotations.images:
        boxes = [person.box_xywh for person in image.people if person.num_labelled and not person.is_crowd]
        boxes_xyxy = xywh_to_xyxy(np.array(boxes).reshape(-1, 4))
        by_name[image.file_name] = Boxes(boxes_xyxy, np.ones(len(boxes)), image.id)
    return BoxFileDetector(annotations.path, by_name, {}, lists_all_images=True)


def detect_dataset(detector: Detector, annotations: Annotations, images: str | Path) -> list[dict[str, Any]]:
    """Detects the people in a data set's images, those that cannot be read left out; returns COCO box results."""
    images = Path(images)
    results: list[dict[str, Any]] = []
    for file, annotated in zip(list_dataset_images(annotations, images), annotations.images, strict=True):
        try:
            image = LoadedImage(read_image(file.path), file.file_name, file.path)
        except ImageError:
            continue
        boxes = detector.detect([image])[0].clip_to(image.size_wh)
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


def predict_dataset(estimator: PoseEstimator, annotations: Annotations, images: str | Path) -> Iterator[Outcome]:
    """Yields each image of a data set with its poses, which carry the data set's `image_id`, or with its error."""
    images = Path(images)
    ids = {image.file_name: image.id for image in annotations.images}
    for file, outcome in estimator.stream(list_dataset_images(annotations, images)):
        if isinstance(outcome, RSGNetError):
            yield file, outcome
        else:
            yield file, replace(outcome, image_id=ids[file.file_name])
