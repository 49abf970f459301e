"""Whether a keypoint is there, can be seen, and is this person's: probabilities.

The probabilities are logistic functions of the evidence, fitted on images that the network was not trained on by
`rsgnet calibrate`, and kept beside the weights in `ownership.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from rsgnet.bounded import read_bounded
from rsgnet.config import PoseConfig
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.geometry import Floats
from rsgnet.inference.evidence import FEATURES
from rsgnet.model_files import OWNERSHIP_FILE
from rsgnet.settings import from_json
from rsgnet.skeletons import skeleton_named

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
        calibration_errors: Of each probability, on images left out of the fit.
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
    return read_ownership(read_bounded(path), config, candidates, str(path))
