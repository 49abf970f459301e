"""Whether a keypoint is there, can be seen, and is this person's: probabilities, and who else may own it.

The probabilities are logistic functions of the evidence, fitted on pictures that the network was not trained on by
`rsgnet calibrate`, and kept beside the weights in `ownership.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.config import OWNERSHIP_FILE, PoseConfig
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.geometry import Floats
from rsgnet.inference.evidence import FEATURES
from rsgnet.settings import from_json
from rsgnet.skeletons import skeleton_named

NOBODY = -1
CONTEST_SIMILARITY = 0.5  # COCO begins to count a keypoint as found here
AREA_OF_BOX = 0.53  # what a person covers of their box, as CrowdPose's evaluation has it
CLAIMS = ("present", "visible", "mine")


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
        mine: That the place found is right and this person's, if the keypoint is present.
        fitted_on: The label files and how many people, for the record.
        calibration_errors: Of each probability, on pictures left out of the fit.
    """

    keypoints: tuple[str, ...]
    features: tuple[str, ...]
    candidates: bool
    flip_test: bool
    present: Logistic
    visible: Logistic
    mine: Logistic
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
            "mine": self.mine(evidence),
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
    return read_ownership(path.read_bytes(), config, candidates, str(path))


def find_rivals(
    keypoints_xy: ArrayLike, mine: ArrayLike, boxes_xyxy: ArrayLike, sigmas: ArrayLike, flip_indices: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Who else in the picture claims each keypoint.

    A keypoint is contested by another person whose keypoint of that name, or its mirror image (a left knee for a right
    one), lies so near that the similarity of OKS is 0.5 or more, at the scale of the smaller of the two.

    Args:
        keypoints_xy: (N, K, 2) in picture pixels.
        mine: (N, K) how likely each is its person's.
        boxes_xyxy: (N, 4) of the people; 0.53 of a box's area sets the scale.
        sigmas: (K,) falloffs.
        flip_indices: (K,) where each keypoint stands after mirroring.

    Returns:
        (N, K) the index of the person with the highest claim, -1 where nobody contests; and (N, K) that claim, the
        other's `mine`, 0 where nobody does.
    """
    places, claims = np.asarray(keypoints_xy, np.float64), np.asarray(mine, np.float64)
    boxes = np.asarray(boxes_xyxy, np.float64)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1) * AREA_OF_BOX
    people, count = claims.shape
    rival = np.full((people, count), NOBODY, np.intp)
    strongest = np.zeros((people, count), np.float32)
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    for person in range(people):
        scale = 2 * (np.minimum(areas, areas[person])[:, None] + np.spacing(1)) * variances
        claimed = np.full((people, count), -1.0)
        for columns in (np.arange(count), flip_indices):
            squared = ((places[:, columns] - places[person]) ** 2).sum(-1)
            near = np.exp(-squared / scale) >= CONTEST_SIMILARITY
            near[person] = False
            claimed = np.maximum(claimed, np.where(near, claims[:, columns], -1.0))
        best = claimed.argmax(0)
        highest = claimed[best, np.arange(count)]
        rival[person] = np.where(highest >= 0, best, NOBODY)
        strongest[person] = highest.clip(0)
    return rival, strongest
