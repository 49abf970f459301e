"""What a network's output says for and against each keypoint: the numbers that `ownership` turns to probabilities."""

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
from rsgnet.inference.decode import DecodedMaps
from rsgnet.skeletons import Skeleton, skeleton_named

# Column by column. Those of candidates are 0 where the network has none.
CROP_FEATURES = (
    "peak",  # the height of the target heatmap at the place
    "log_peak",  # its logarithm
    "second",  # the highest value of that heatmap away from the place
    "person",  # the mean peak of the person's other keypoints
    "border",  # distance to the nearest border, as a share of the crop
    "candidate",  # the height of the candidate at the place
    "support",  # how much the person's other keypoints are related to it
    "other_candidate",  # the height of the strongest candidate of this keypoint elsewhere
    "other_support",  # how much the person's other keypoints are related to that one
)
# What `contests` adds once everyone of the image is known; 0 where nobody contests the place.
FEATURES = (
    *CROP_FEATURES,
    "contested",  # 1 where another person's keypoint lies there, too
    "rival_peak",  # the height of that person's target heatmap at it
    "rival_person",  # the mean peak of that person's other keypoints
    "rival_support",  # how much they are related to the candidate at it
)
CANDIDATE_FEATURES = 4  # the last so many of a crop's
_CLOSENESS_PX = 2.0  # standard deviation of how near a candidate is to a place
_LOWEST = 0.01

Evidence = NDArray[np.float64]


def gather(readings: DecodedMaps, shape_hw: tuple[int, int]) -> Evidence:
    """The evidence about keypoints that were read off maps.

    Args:
        readings: With second peaks; the evidence of several passes' candidates is averaged.
        shape_hw: Height and width of the heatmaps.

    Returns:
        (B, K, F) in the order of CROP_FEATURES, finite.
    """
    assert readings.seconds is not None
    peak, seconds = readings.scores.astype(np.float64), readings.seconds.astype(np.float64)
    person = (peak.sum(-1, keepdims=True) - peak) / max(peak.shape[-1] - 1, 1)
    share = (readings.places + 0.5) / shape_hw[::-1]
    border = np.minimum(share, 1 - share).min(-1).clip(0)
    own = [peak, np.log(peak.clip(_LOWEST)), seconds, person, border]
    seen = [_candidate_features(table, readings.places) for table in readings.tables]
    rest = np.mean(seen, axis=0) if seen else np.zeros((*peak.shape, CANDIDATE_FEATURES))
    return np.concatenate([np.stack(own, -1), rest], axis=-1)


def _candidate_features(table: NDArray[np.float32], places: Floats) -> Evidence:
    """(B, K, 4) height and support of the candidate at each place, and of the strongest elsewhere."""
    squared = ((table[..., :2] - places[..., None, :]) ** 2).sum(-1)
    closeness = np.exp(-squared / (2 * _CLOSENESS_PX**2))
    here, away = closeness * table[..., 2], (1 - closeness) * table[..., 2]
    features = []
    for weight, heights in ((closeness, here), (1 - closeness, away)):
        best = heights.argmax(-1)[..., None]
        features.append(np.take_along_axis(heights, best, -1)[..., 0])
        features.append(np.take_along_axis(weight * table[..., 3], best, -1)[..., 0])
    return np.stack(features, -1).astype(np.float64)


NOBODY = -1
CONTEST_SIMILARITY = 0.5  # COCO begins to count a keypoint as found here
TWICE_SIMILARITY = 0.5  # of whole poses: one person found twice
AREA_OF_BOX = 0.53  # what a person covers of their box, as CrowdPose's evaluation has it


@dataclass(frozen=True, eq=False)
class Contests:
    """Who else claims each keypoint.

    Attributes:
        rival: (N, K) the index of the person, -1 where nobody does.
        keypoint: (N, K) which of that person's keypoints lies there: the same, or its mirror image.
    """

    rival: NDArray[np.intp]
    keypoint: NDArray[np.intp]

    def of_rivals(self, values: ArrayLike) -> Floats:
        """(N, K) the rivals' own of some (N, K) values at the contested places; 0 where there is no rival."""
        given = np.asarray(values, np.float64)
        theirs: Floats = np.where(self.rival != NOBODY, given[self.rival, self.keypoint], 0.0) if given.size else given
        return theirs


def find_contests(keypoints_xy: ArrayLike, scores: ArrayLike, boxes_xyxy: ArrayLike, skeleton: Skeleton) -> Contests:
    """Finds the keypoints of one image that two people claim.

    A keypoint is contested by another person whose keypoint of that name, or its mirror image (a left knee for a right
    one), lies so near that the similarity of OKS is 0.5 or more, at the scale of the smaller of the two. Of several
    such people the rival is the one whose heatmap is highest there. Poses that are as near as that on the whole are
    one person found twice, and no rivals.

    Args:
        keypoints_xy: (N, K, 2) in image pixels.
        scores: (N, K) heights of the heatmaps.
        boxes_xyxy: (N, 4) of the people; 0.53 of a box's area sets the scale.
        skeleton: The K keypoints.
    """
    places, heights = np.asarray(keypoints_xy, np.float64), np.asarray(scores, np.float64)
    boxes = np.asarray(boxes_xyxy, np.float64)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1) * AREA_OF_BOX
    people, count = heights.shape
    rival, keypoint = np.full((people, count), NOBODY, np.intp), np.tile(np.arange(count), (people, 1))
    variances = (2 * np.array(skeleton.sigmas)) ** 2
    for person in range(people):
        scale = 2 * (np.minimum(areas, areas[person])[:, None] + np.spacing(1)) * variances
        apart = _similarity(places, person, scale, np.arange(count)).mean(-1) < TWICE_SIMILARITY
        highest = np.full(count, -np.inf)
        for columns in (np.arange(count), skeleton.flip_indices):
            near = (_similarity(places, person, scale, columns) >= CONTEST_SIMILARITY) & apart[:, None]
            claimed = np.where(near, heights[:, columns], -np.inf)
            best, height = claimed.argmax(0), claimed.max(0)
            better = height > highest
            rival[person, better], keypoint[person, better] = best[better], columns[better]
            highest = np.maximum(highest, height)
    return Contests(rival, keypoint)


def _similarity(places: Floats, person: int, scale: Floats, columns: NDArray[np.intp]) -> Floats:
    """(N, K) how near everyone's keypoints, in the order of `columns`, are to a person's; (N, K) `scale` sets how."""
    squared = ((places[:, columns] - places[person]) ** 2).sum(-1)
    similarity: Floats = np.exp(-squared / scale)
    return similarity


def with_contests(evidence: Evidence, contests: Contests) -> Evidence:
    """(N, K, len(FEATURES)) evidence: that of the people's crops, and what speaks for their rivals.

    Args:
        evidence: (N, K, len(CROP_FEATURES)) as `evidence.gather` gives it, of one image's people.
        contests: Who contests what among them.
    """
    contested = (contests.rival != NOBODY).astype(np.float64)
    theirs = [contests.of_rivals(evidence[..., CROP_FEATURES.index(name)]) for name in ("peak", "person", "support")]
    return np.concatenate([evidence, np.stack([contested, *theirs], -1)], axis=-1)


CLAIMS = ("present", "visible", "owned")


@dataclass(frozen=True)
class Logistic:
    """A logistic function of evidence.

    Attributes:
        weights: (F,) one for each feature.
        biases: (K,) one for each keypoint.
    """

    weights: tuple[float, ...]
    biases: tuple[float, ...]

    def __call__(self, evidence: ArrayLike) -> Floats:
        """(..., K) probabilities of (..., K, F) evidence."""
        logits = np.asarray(evidence, np.float64) @ np.array(self.weights) + np.array(self.biases)
        probabilities: Floats = 1 / (1 + np.exp(-logits.clip(-50, 50)))
        return probabilities


@dataclass(frozen=True)
class Ownership:
    """The fit that belongs to some weights.

    Attributes:
        keypoints: The names of the network's keypoints, in order.
        features: The evidence it was fitted on, in order.
        candidates: Whether the network gave candidates.
        flip_test: Whether it was fitted on averages with the mirrored crop.
        present: That the keypoint is labelled for this person and lies in the crop.
        visible: That it is labelled as visible, too.
        owned: That the place found is right and this person's, if the keypoint is present.
        fitted_on: The label files and how many people, for the record.
        calibration_errors: Of each probability, on images left out of the fit.
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

    def __call__(self, evidence: ArrayLike) -> dict[str, Floats]:
        """The probabilities by the names in CLAIMS, each (..., K) in 0..1, of (..., K, F) evidence.

        What is visible is present, so that `visible` is never the greater.
        """
        present = self.present(evidence)
        return {
            "present": present,
            "visible": np.minimum(self.visible(evidence), present),
            "owned": self.owned(evidence),
        }


def read_ownership(text: str | bytes, config: PoseConfig, candidates: bool, origin: str) -> Ownership:
    """Reads a fit, checked to be the network's.

    Args:
        text: JSON.
        config: The network's.
        candidates: Whether the network gives candidates.
        origin: What messages call the file.

    Raises:
        WeightsError: It is broken, or of another network.
    """
    try:
        fit = from_json(Ownership, text, origin)
    except RSGNetError as error:
        raise WeightsError(f"broken ownership fit: {error}") from error
    if fit.features != FEATURES:
        raise WeightsError(f"{origin}: fitted on other evidence than this version has; run: rsgnet calibrate")
    keypoints = skeleton_named(config.model.skeleton).keypoints
    if fit.keypoints != keypoints:
        raise WeightsError(f"{origin}: fitted for other keypoints than the network's; run: rsgnet calibrate")
    if fit.candidates and not candidates:
        raise WeightsError(f"{origin}: fitted with candidates, which this network file does not give; export it anew")
    for claim in CLAIMS:
        logistic: Logistic = getattr(fit, claim)
        numbers = np.array([*logistic.weights, *logistic.biases])
        shape = len(logistic.weights), len(logistic.biases)
        if shape != (len(FEATURES), len(keypoints)) or not np.isfinite(numbers).all():
            raise WeightsError(f"{origin}: {claim}: expected {len(FEATURES)} weights, {len(keypoints)} biases, finite")
    return fit


def ownership_beside(directory: Path, config: PoseConfig, candidates: bool) -> Ownership | None:
    """The fit in a model directory, None where it has none.

    Raises:
        WeightsError: It is broken, or of another network.
    """
    path = directory / OWNERSHIP_FILE
    if not path.is_file():
        return None
    return read_ownership(read_bounded(path), config, candidates, str(path))
