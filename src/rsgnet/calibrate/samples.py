"""What a network finds in labelled people's boxes, beside what is true of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.readers import Annotations, Person
from rsgnet.config import CropConfig
from rsgnet.errors import ImageError, RSGNetError
from rsgnet.evaluation.matching import keypoint_similarity
from rsgnet.evaluation.protocol import is_crowdpose, oks_area
from rsgnet.geometry import Floats, apply_affine, xywh_to_xyxy
from rsgnet.images import read_image
from rsgnet.inference.crop_poses import find_in_crops
from rsgnet.inference.crops import Crop, cut
from rsgnet.inference.ownership import CONTEST_SIMILARITY, find_contests, with_contests
from rsgnet.inference.runtime.network import OpenedRunner
from rsgnet.skeletons import skeleton_named

RIGHT_SIMILARITY = CONTEST_SIMILARITY
_SHIFT, _GROWTH = 0.05, 0.10  # spread of a detector's boxes, as shares of their sides
_SMALLEST_PX = 2.0


@dataclass(frozen=True, eq=False)
class CalibrationSamples:
    """One row for each keypoint that labels can speak about.

    Attributes:
        evidence: (N, F) of the network.
        keypoints: (N,) which of the network's keypoints it is.
        images: (N,) the image, counted over all data sets.
        present: (N,) whether it is labelled for this person and lies in the crop.
        visible: (N,) whether it is present and labelled as visible.
        right: (N,) whether the place found has a keypoint similarity of 0.5 or more with the label; only of those that
            are present is it asked.
    """

    evidence: Floats
    keypoints: NDArray[np.intp]
    images: NDArray[np.intp]
    present: NDArray[np.bool_]
    visible: NDArray[np.bool_]
    right: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.keypoints)

    def of(self, rows: NDArray[np.bool_]) -> CalibrationSamples:
        """The claims that a mask selects."""
        return CalibrationSamples(*(getattr(self, field.name)[rows] for field in fields(self)))


def join(parts: Sequence[CalibrationSamples]) -> CalibrationSamples:
    """CalibrationSamples of several people as one, in order.

    Raises:
        RSGNetError: There are none.
    """
    if not parts:
        raise RSGNetError("there is nobody with labelled keypoints to calibrate on")
    return CalibrationSamples(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(CalibrationSamples))
    )


def collect(
    runner: OpenedRunner, truth: Annotations, folder: Path, flip_test: bool, seed: int = 0, first: int = 0
) -> Iterator[CalibrationSamples]:
    """The claims of each image of a data set, those without labelled people and unreadable ones left out.

    Everyone with labelled keypoints is sought twice: in the labelled box and in one moved and scaled at random about as
    much as a detector's are.

    Args:
        runner: The network.
        truth: The labels; groups are left out.
        folder: Where the images lie.
        flip_test: Whether to average with the mirrored crops.
        seed: Seeds the boxes.
        first: What the first image is counted as.

    Raises:
        RSGNetError: The labels share no keypoint with the network.
    """
    predicted = skeleton_named(runner.config.model.skeleton)
    columns = predicted.indices_in(truth.skeleton)
    if (columns < 0).all():
        raise RSGNetError(f"{truth.path}: its {truth.skeleton.name} people have none of {predicted.name}'s keypoints")
    crowdpose = is_crowdpose(truth, "auto")
    sigmas = np.array(truth.skeleton.sigmas)
    for number, image in enumerate(truth.images):
        people = [person for person in image.people if person.labelled and not person.is_crowd]
        people = [person for person in people if person.box_xywh[2:].min() >= _SMALLEST_PX]
        if not people:
            continue
        try:
            pixels = read_image(folder / image.file_name)
        except ImageError:
            continue
        for boxes in _boxes(people, np.random.default_rng([seed, number])):
            crops = [cut(pixels, box, runner.config.crop) for box in boxes]
            found = find_in_crops(runner, runner.config, crops, flip_test, evidence=True)
            contests = find_contests(found.keypoints_xy, found.scores, boxes, predicted)
            evidence = with_contests(found.evidence, contests)
            for row, person in enumerate(people):
                truth_of = _Truth(person.keypoints, oks_area(person, crowdpose), sigmas, columns)
                yield _claims(
                    evidence[row], found.keypoints_xy[row], crops[row], runner.config.crop, truth_of, first + number
                )


@dataclass(frozen=True, eq=False)
class _Truth:
    """A person's (K', 3) labels in image pixels, their area, the (K',) falloffs, and (K,) where the network's are."""

    labels: Floats
    area: float
    sigmas: Floats
    columns: NDArray[np.intp]


def _boxes(people: Sequence[Person], random: np.random.Generator) -> tuple[Floats, Floats]:
    """(N, 4) the labelled boxes, and boxes as a detector might have found; left, top, right, bottom."""
    boxes = np.array([person.box_xywh for person in people], np.float64)
    moved = boxes.copy()
    moved[:, 2:] *= np.exp(random.normal(0, _GROWTH, boxes[:, 2:].shape).clip(-2 * _GROWTH, 2 * _GROWTH))
    centres = boxes[:, :2] + boxes[:, 2:] / 2 + random.normal(0, _SHIFT, (len(boxes), 2)) * boxes[:, 2:]
    moved[:, :2] = centres - moved[:, 2:] / 2
    return xywh_to_xyxy(boxes), xywh_to_xyxy(moved)


def _claims(
    evidence: Floats, places: NDArray[np.float32], crop: Crop, config: CropConfig, truth: _Truth, image: int
) -> CalibrationSamples:
    """The claims about one crop: (K, F) evidence and (K, 2) places in image pixels against a person's labels."""
    asked = np.flatnonzero(truth.columns >= 0)
    columns = truth.columns[asked]
    own = truth.labels[columns]
    inside = apply_affine(crop.affine, own[:, :2])
    in_crop = ((inside >= -0.5) & (inside <= np.array(config.size_wh) - 0.5)).all(-1)
    present = (own[:, 2] > 0) & in_crop
    similarity = keypoint_similarity(places[asked], own[:, :2], truth.area, truth.sigmas[columns])
    return CalibrationSamples(
        evidence=evidence[asked],
        keypoints=asked,
        images=np.full(len(asked), image),
        present=present,
        visible=present & (own[:, 2] == 2),
        right=present & (similarity >= RIGHT_SIMILARITY),
    )
