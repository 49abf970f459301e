"""From claims to an ownership fit, and how far it can be believed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsgnet.calibrate.claims import Claims
from rsgnet.calibrate.logistic import fit_logistic
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.calibration import Reliability, reliability
from rsgnet.geometry import Floats
from rsgnet.inference.evidence import FEATURES
from rsgnet.inference.ownership import CLAIMS, Logistic, Ownership

FOLDS = 5
CONTESTED = "mine, contested"
_NOTHING = Logistic((), ())


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fit and its worth.

    Attributes:
        ownership: Fitted on all claims.
        curves: By the names in CLAIMS: probabilities against outcomes, each image by a fit on other images. And
            "mine, contested": of these, the keypoints that two people claim.
        claims: By the same names, how many claims stand behind each.
    """

    ownership: Ownership
    curves: dict[str, Reliability]
    claims: dict[str, int]


def calibrate(
    claims: Claims, keypoints: tuple[str, ...], candidates: bool, flip_test: bool, seed: int = 0
) -> Calibration:
    """Fits the probabilities, and measures them by cross-fitting over images.

    Args:
        claims: What was found, and what is true.
        keypoints: The names of the network's keypoints.
        candidates: Whether the network gave candidates.
        flip_test: Whether the evidence is an average with the mirrored crops.
        seed: Seeds the order in which images go to the 5 parts.

    Raises:
        RSGNetError: The claims come from fewer than 5 images, or came out all alike.
    """
    whole = _fit(claims, Ownership(keypoints, FEATURES, candidates, flip_test, _NOTHING, _NOTHING, _NOTHING))
    told = _cross_fitted(claims, whole, seed)
    curves, counts = {}, {}
    for name in CLAIMS:
        asked, came_true = outcomes(claims, name)
        curves[name] = reliability(told[name][asked], came_true)
        counts[name] = int(asked.sum())
    contested = claims.present & (claims.evidence[:, FEATURES.index("contested")] > 0)
    curves[CONTESTED] = reliability(told["mine"][contested], claims.right[contested])
    counts[CONTESTED] = int(contested.sum())
    errors = {name: round(curve.expected_calibration_error, 4) for name, curve in curves.items()}
    return Calibration(replace(whole, calibration_errors=errors), curves, counts)


def outcomes(claims: Claims, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) which claims a probability is about; and of these, whether it came true.

    Args:
        claims: The claims.
        name: Out of CLAIMS. "mine" is asked of present keypoints only.
    """
    asked = claims.present if name == "mine" else np.ones(len(claims), bool)
    return asked, {"present": claims.present, "visible": claims.visible, "mine": claims.right}[name][asked]


def _cross_fitted(claims: Claims, whole: Ownership, seed: int) -> dict[str, Floats]:
    """(N,) each probability by name, of every image by a fit on four fifths of the others."""
    images = np.unique(claims.images)
    if len(images) < FOLDS:
        raise RSGNetError(f"expected labelled people in {FOLDS} images or more to calibrate on, got {len(images)}")
    order = np.random.default_rng(seed).permutation(len(images))
    fold = order[np.searchsorted(images, claims.images)] % FOLDS
    told = {name: np.zeros(len(claims)) for name in CLAIMS}
    for part in range(FOLDS):
        rest, held = claims.of(fold != part), fold == part
        found = probabilities(_fit(rest, whole), claims.of(held))
        for name in CLAIMS:
            told[name][held] = found[name]
    return told


def _fit(claims: Claims, like: Ownership) -> Ownership:
    """The three logistic functions of some claims, the rest as given."""
    fits = []
    for name in CLAIMS:
        asked, came_true = outcomes(claims, name)
        fits.append(fit_logistic(claims.evidence[asked], claims.keypoints[asked], came_true, len(like.keypoints)))
    return replace(like, present=fits[0], visible=fits[1], mine=fits[2])


def probabilities(fit: Ownership, claims: Claims) -> dict[str, Floats]:
    """(N,) each probability by name, as the estimator would give it."""
    whole = np.repeat(claims.evidence[:, None], len(fit.keypoints), axis=1)
    rows = np.arange(len(claims))
    return {name: values[rows, claims.keypoints] for name, values in fit(whole).items()}
