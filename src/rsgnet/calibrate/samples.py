"""Calibration samples: features of the keypoints that a network predicts for labelled people, and their outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import Annotations, Person
from rsgnet.config import CropConfig
from rsgnet.errors import ImageError, RSGNetError
from rsgnet.evaluation.protocol import choose_protocol
from rsgnet.evaluation.similarity import keypoint_similarity
from rsgnet.geometry import Floats, apply_affine, xywh_to_xyxy
from rsgnet.images import read_image
from rsgnet.inference.crops import Crop, cut_crop, predict_crops
from rsgnet.inference.ownership import RIVAL_SIMILARITY, add_rival_features, find_rivals
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.skeletons import get_skeleton

_BOX_SHIFT, _BOX_GROWTH = 0.05, 0.10  # standard deviations that imitate a detector's boxes, as shares of the sides
_MIN_BOX_PX = 2.0


@dataclass(frozen=True, eq=False)
class CalibrationSamples:
    """One row for each predicted keypoint that the labels' skeleton has.

    Attributes:
        features: (N, F) the features of the keypoint (`inference.ownership`).
        keypoints: (N,) index of the network's keypoint.
        images: (N,) index of the image, counted over all data sets.
        present: (N,) whether the keypoint is labelled for the person and lies in the crop.
        visible: (N,) whether it is present and labelled as visible.
        correct: (N,) whether it is present and the predicted position has a similarity of at least 0.5 with the label.
    """

    features: Floats
    keypoints: NDArray[np.intp]
    images: NDArray[np.intp]
    present: NDArray[np.bool_]
    visible: NDArray[np.bool_]
    correct: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.keypoints)

    def select(self, rows: NDArray[np.bool_]) -> CalibrationSamples:
        """Returns the samples that a mask selects."""
        return CalibrationSamples(*(getattr(self, field.name)[rows] for field in fields(self)))


def concatenate_samples(parts: Sequence[CalibrationSamples]) -> CalibrationSamples:
    """Concatenates samples in order.

    Raises:
        RSGNetError: There are none.
    """
    if not parts:
        raise RSGNetError("there is nobody with labelled keypoints to calibrate on")
    return CalibrationSamples(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(CalibrationSamples))
    )


def collect_samples(
    network: PoseNetwork, truth: Annotations, folder: Path, flip_test: bool, first_image: int = 0
) -> Iterator[CalibrationSamples]:
    """Predicts the poses of all labelled people of a data set and yields the samples of each person.

    Every person is predicted twice: in the labelled box and in a box that is shifted and scaled at random about as much
    as a detector's. Groups, people without labelled keypoints and images that cannot be read are skipped.

    Args:
        network: The network.
        truth: The labels.
        folder: The folder of the images.
        flip_test: Whether to average with the mirrored crops.
        first_image: The index of the first image in the samples.

    Raises:
        RSGNetError: The labels have no keypoint in common with the network.
    """
    skeleton = get_skeleton(network.config.model.skeleton)
    label_of_keypoint = skeleton.indices_in(truth.skeleton)
    if (label_of_keypoint < 0).all():
        raise RSGNetError(f"{truth.path}: its {truth.skeleton.name} people have none of {skeleton.name}'s keypoints")
    protocol = choose_protocol(truth)
    sigmas = np.array(truth.skeleton.sigmas)
    for index, image in enumerate(truth.images):
        people = [person for person in image.people if person.num_labelled and not person.is_crowd]
        people = [person for person in people if person.box_xywh[2:].min() >= _MIN_BOX_PX]
        if not people:
            continue
        try:
            pixels = read_image(folder / image.file_name)
        except ImageError:
            continue
        for boxes in _labelled_and_moved_boxes(people, np.random.default_rng([0, index])):
            crops = [cut_crop(pixels, box, network.config.crop) for box in boxes]
            poses = predict_crops(network, crops, flip_test, with_features=True)
            rivals = find_rivals(poses.keypoints_xy, poses.scores, boxes, skeleton)
            features = add_rival_features(poses.features, rivals)
            for row, person in enumerate(people):
                labels = _PersonLabels(person.keypoints, protocol.area(person), sigmas, label_of_keypoint)
                keypoints_xy, crop = poses.keypoints_xy[row], crops[row]
                yield _compare_with_labels(
                    features[row], keypoints_xy, crop, network.config.crop, labels, first_image + index
                )


def _labelled_and_moved_boxes(people: Sequence[Person], random: np.random.Generator) -> tuple[Floats, Floats]:
    """Returns the (N, 4) labelled boxes and randomly moved ones, both as left, top, right, bottom."""
    boxes = np.array([person.box_xywh for person in people], np.float64)
    moved = boxes.copy()
    moved[:, 2:] *= np.exp(random.normal(0, _BOX_GROWTH, boxes[:, 2:].shape).clip(-2 * _BOX_GROWTH, 2 * _BOX_GROWTH))
    centres = boxes[:, :2] + boxes[:, 2:] / 2 + random.normal(0, _BOX_SHIFT, (len(boxes), 2)) * boxes[:, 2:]
    moved[:, :2] = centres - moved[:, 2:] / 2
    return xywh_to_xyxy(boxes), xywh_to_xyxy(moved)


@dataclass(frozen=True, eq=False)
class _PersonLabels:
    """The labels of one person.

    Attributes:
        keypoints: (L, 3) x and y in image pixels, visibility.
        area: Area in squared pixels that sets the OKS scale.
        sigmas: (L,) of OKS.
        label_of_keypoint: (K,) the label's index of each keypoint of the network, -1 for none.
    """

    keypoints: Floats
    area: float
    sigmas: Floats
    label_of_keypoint: NDArray[np.intp]


def _compare_with_labels(
    features: Floats,
    keypoints_xy: NDArray[np.float32],
    crop: Crop,
    config: CropConfig,
    person: _PersonLabels,
    image: int,
) -> CalibrationSamples:
    """Returns the samples of one crop, from (K, F) features and (K, 2) predicted keypoints in image pixels."""
    keypoints = np.flatnonzero(person.label_of_keypoint >= 0)
    rows = person.label_of_keypoint[keypoints]
    labels = person.keypoints[rows]
    in_crop_xy = apply_affine(crop.affine, labels[:, :2])
    is_in_crop = ((in_crop_xy >= -0.5) & (in_crop_xy <= np.array(config.size_wh) - 0.5)).all(-1)
    present = (labels[:, 2] > 0) & is_in_crop
    similarity = keypoint_similarity(keypoints_xy[keypoints], labels[:, :2], person.area, person.sigmas[rows])
    return CalibrationSamples(
        features=features[keypoints],
        keypoints=keypoints,
        images=np.full(len(keypoints), image),
        present=present,
        visible=present & (labels[:, 2] == 2),
        correct=present & (similarity >= RIVAL_SIMILARITY),
    )
