"""How likely each keypoint is present, visible and the person's own.

The network's output gives the features of each keypoint of a crop (`extract_features`). Once everyone in the image is
known, the keypoints that two people compete for get features of the rival, too (`find_rivals`, `add_rival_features`).
An `Ownership`, fitted by `rsgnet calibrate` for some weights, turns features into probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.config import PoseConfig
from rsgnet.config_files import OWNERSHIP_FILE, from_json
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.files import read_bounded
from rsgnet.geometry import Floats
from rsgnet.inference.runtime.outputs import CandidateTable, DecodedOutput
from rsgnet.skeletons import Skeleton, get_skeleton

# The columns of a crop's features. The four of candidates are 0 where the network gives none.
CROP_FEATURES = (
    "peak",  # the height of the target heatmap at the keypoint
    "log_peak",  # its logarithm
    "second",  # the highest value of that heatmap away from the keypoint
    "person",  # the mean peak of the person's other keypoints
    "border",  # distance to the nearest border, as a share of the crop
    "candidate",  # the height of the candidate at the keypoint
    "support",  # how strongly the person's other keypoints are related to it
    "other_candidate",  # the height of the strongest candidate of this keypoint elsewhere
    "other_support",  # how strongly the person's other keypoints are related to that one
)
# The last four are added once everyone in the image is known; they are 0 where there is no rival.
FEATURES = (
    *CROP_FEATURES,
    "contested",  # 1 where another person's keypoint lies at the same location
    "rival_peak",  # the height of that person's target heatmap there
    "rival_person",  # the mean peak of that person's other keypoints
    "rival_support",  # how strongly they are related to the candidate there
)
PROBABILITY_FIELDS = ("present", "visible", "owned")
NO_RIVAL = -1
RIVAL_SIMILARITY = 0.5  # the lowest OKS threshold of COCO's evaluation
AREA_OF_BOX = 0.53  # the share of their box that a person covers, as in CrowdPose's evaluation
_DUPLICATE_SIMILARITY = 0.5  # mean over the pose: above it two poses are one person found twice
_CANDIDATE_FEATURES = 4
_CLOSENESS_PX = 2.0  # standard deviation of the Gaussian that says how near a candidate is to a keypoint
_LOWEST_PEAK = 0.01

Features = NDArray[np.float64]


def extract_features(decoded: DecodedOutput, shape_hw: tuple[int, int]) -> Features:
    """Extracts the features of every keypoint of some crops.

    Args:
        decoded: The decoded output, with `second_scores`. Features of the candidates of several passes are averaged.
        shape_hw: Height and width of the heatmaps.

    Returns:
        (B, K, F) in the order of CROP_FEATURES, finite.
    """
    assert decoded.second_scores is not None
    peak, second = decoded.scores.astype(np.float64), decoded.second_scores.astype(np.float64)
    person = (peak.sum(-1, keepdims=True) - peak) / max(peak.shape[-1] - 1, 1)
    position = (decoded.keypoints_xy + 0.5) / shape_hw[::-1]
    border = np.minimum(position, 1 - position).min(-1).clip(0)
    heatmap_features = np.stack([peak, np.log(peak.clip(_LOWEST_PEAK)), second, person, border], -1)
    passes = [_candidate_features(table, decoded.keypoints_xy) for table in decoded.candidate_tables]
    candidate_features = np.mean(passes, axis=0) if passes else np.zeros((*peak.shape, _CANDIDATE_FEATURES))
    return np.concatenate([heatmap_features, candidate_features], axis=-1)


def _candidate_features(table: CandidateTable, keypoints_xy: Floats) -> Features:
    """Returns (B, K, 4) height and support of the candidate at each keypoint, and of the strongest one elsewhere."""
    squared = ((table[..., :2] - keypoints_xy[..., None, :]) ** 2).sum(-1)
    closeness = np.exp(-squared / (2 * _CLOSENESS_PX**2))
    features = []
    for weight in (closeness, 1 - closeness):
        heights = weight * table[..., 2]
        best = heights.argmax(-1)[..., None]
        features.append(np.take_along_axis(heights, best, -1)[..., 0])
        features.append(np.take_along_axis(weight * table[..., 3], best, -1)[..., 0])
    return np.stack(features, -1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Rivals:
    """Who else competes for each keypoint of the people of one image.

    Attributes:
        person: (N, K) the index of the rival, -1 where there is none.
        keypoint: (N, K) which keypoint of the rival lies there: the same one or its mirror image.
    """

    person: NDArray[np.intp]
    keypoint: NDArray[np.intp]

    def values_of(self, values: ArrayLike) -> Floats:
        """Returns (N, K) the value that the rival has there, out of some (N, K) values; 0 where there is no rival."""
        array = np.asarray(values, np.float64)
        if not array.size:
            return array
        rival_values: Floats = np.where(self.person != NO_RIVAL, array[self.person, self.keypoint], 0.0)
        return rival_values


def find_rivals(keypoints_xy: ArrayLike, scores: ArrayLike, boxes_xyxy: ArrayLike, skeleton: Skeleton) -> Rivals:
    """Finds the keypoints of one image that two people compete for.

    Another person is a rival for a keypoint where their keypoint of that name, or its mirror image (a left knee for a
    right one), has an OKS similarity of 0.5 or more with it, at the scale of the smaller of the two people. Of several
    such people the rival is the one whose heatmap is highest there. Two poses whose mean similarity reaches 0.5 are one
    person found twice, and not rivals.

    Args:
        keypoints_xy: (N, K, 2) in image pixels.
        scores: (N, K) heights of the heatmaps.
        boxes_xyxy: (N, 4) boxes of the people; 0.53 of a box's area sets the scale.
        skeleton: The K keypoints.
    """
    keypoints, heights = np.asarray(keypoints_xy, np.float64), np.asarray(scores, np.float64)
    boxes = np.asarray(boxes_xyxy, np.float64)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1) * AREA_OF_BOX
    people, count = heights.shape
    same_names = np.arange(count)
    rival, rival_keypoint = np.full((people, count), NO_RIVAL, np.intp), np.tile(same_names, (people, 1))
    variances = (2 * np.array(skeleton.sigmas)) ** 2
    for person in range(people):
        scale = 2 * (np.minimum(areas, areas[person])[:, None] + np.spacing(1)) * variances
        is_someone_else = _similarity(keypoints, person, scale, same_names).mean(-1) < _DUPLICATE_SIMILARITY
        highest = np.full(count, -np.inf)
        for columns in (same_names, skeleton.flip_indices):
            is_near = _similarity(keypoints, person, scale, columns) >= RIVAL_SIMILARITY
            rival_heights = np.where(is_near & is_someone_else[:, None], heights[:, columns], -np.inf)
            best, height = rival_heights.argmax(0), rival_heights.max(0)
            is_higher = height > highest
            rival[person, is_higher], rival_keypoint[person, is_higher] = best[is_higher], columns[is_higher]
            highest = np.maximum(highest, height)
    return Rivals(rival, rival_keypoint)


def _similarity(keypoints: Floats, person: int, scale: Floats, columns: NDArray[np.intp]) -> Floats:
    """Returns (N, K) the OKS of everyone's keypoints, in the order of `columns`, with those of one person."""
    squared = ((keypoints[:, columns] - keypoints[person]) ** 2).sum(-1)
    similarity: Floats = np.exp(-squared / scale)
    return similarity


def add_rival_features(features: Features, rivals: Rivals) -> Features:
    """Adds the features of the rivals to those of the people's crops.

    Args:
        features: (N, K, len(CROP_FEATURES)) of the people of one image, as `extract_features` returns them.
        rivals: Who competes for each keypoint.

    Returns:
        (N, K, len(FEATURES)).
    """
    contested = (rivals.person != NO_RIVAL).astype(np.float64)
    of_rivals = [rivals.values_of(features[..., CROP_FEATURES.index(name)]) for name in ("peak", "person", "support")]
    return np.concatenate([features, np.stack([contested, *of_rivals], -1)], axis=-1)


@dataclass(frozen=True)
class Logistic:
    """A logistic function of features.

    Attributes:
        weights: (F,) one for each feature.
        biases: (K,) one for each keypoint.
    """

    weights: tuple[float, ...]
    biases: tuple[float, ...]

    def __call__(self, features: ArrayLike) -> Floats:
        """Returns (..., K) probabilities for (..., K, F) features."""
        logits = np.asarray(features, np.float64) @ np.array(self.weights) + np.array(self.biases)
        probabilities: Floats = 1 / (1 + np.exp(-logits.clip(-50, 50)))
        return probabilities


@dataclass(frozen=True)
class Ownership:
    """The fit of the probabilities that belongs to some weights.

    Attributes:
        keypoints: The names of the network's keypoints, in order.
        features: The names of the features it was fitted on, in order.
        candidates: Whether the network gave candidates.
        flip_test: Whether it was fitted on outputs averaged with those of the mirrored crops.
        present: Probability that the keypoint is labelled for this person and lies in the crop.
        visible: Probability that it is labelled as visible, too.
        owned: Probability that its location is right and this person's, if the keypoint is present.
        fitted_on: The label files and the number of people, for the record.
        calibration_errors: The error of each probability on images left out of the fit.
    """

    keypoints: tuple[str, ...]
    features: tuple[str, ...]
    candidates: bool
    flip_test: bool
    present: Logistic
    visible: Logistic
    owned: Logistic
    fitted_on: str = ""
    calibration_errors: dict[str, float] | None = None

    def __call__(self, features: ArrayLike) -> dict[str, Floats]:
        """Computes the probabilities for (..., K, F) features.

        Returns:
            By the names in PROBABILITY_FIELDS, each (..., K) in 0..1. A visible keypoint is present, so `visible` is
            never greater than `present`.
        """
        present = self.present(features)
        return {
            "present": present,
            "visible": np.minimum(self.visible(features), present),
            "owned": self.owned(features),
        }


def find_ownership(directory: Path, config: PoseConfig, gives_candidates: bool) -> Ownership | None:
    """Reads the fit in a model directory; returns None where there is none.

    Raises:
        WeightsError: The fit is broken, or belongs to another network.
    """
    path = directory / OWNERSHIP_FILE
    if not path.is_file():
        return None
    return parse_ownership(read_bounded(path), config, gives_candidates, str(path))


def parse_ownership(text: str | bytes, config: PoseConfig, gives_candidates: bool, origin: str) -> Ownership:
    """Parses a fit and checks that it belongs to a network.

    Args:
        text: JSON.
        config: The network's config.
        gives_candidates: Whether the network gives candidates.
        origin: The name of the file in messages.

    Raises:
        WeightsError: The fit is broken, or belongs to another network.
    """
    try:
        ownership = from_json(Ownership, text, origin)
    except RSGNetError as error:
        raise WeightsError(f"broken ownership fit: {error}") from error
    if ownership.features != FEATURES:
        raise WeightsError(f"{origin}: fitted on other features than this version has; run: rsgnet calibrate")
    keypoints = get_skeleton(config.model.skeleton).keypoints
    if ownership.keypoints != keypoints:
        raise WeightsError(f"{origin}: fitted for other keypoints than the network's; run: rsgnet calibrate")
    if ownership.candidates and not gives_candidates:
        raise WeightsError(f"{origin}: fitted with candidates, which this network file does not give; export it again")
    for name in PROBABILITY_FIELDS:
        logistic: Logistic = getattr(ownership, name)
        numbers = np.array([*logistic.weights, *logistic.biases])
        shape = len(logistic.weights), len(logistic.biases)
        if shape != (len(FEATURES), len(keypoints)) or not np.isfinite(numbers).all():
            raise WeightsError(f"{origin}: {name}: expected {len(FEATURES)} weights, {len(keypoints)} biases, finite")
    return ownership
