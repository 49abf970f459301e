"""Logistic regression with a bias for each keypoint, by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.calibrate.samples import CalibrationSamples
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.calibration import Reliability, reliability
from rsgnet.geometry import Floats
from rsgnet.inference.ownership import CLAIMS, FEATURES, Logistic, Ownership

_PENALTY = 1.0  # of squared weights of features of unit variance, and of biases' distances from their mean
_STEPS = 50
_SETTLED = 1e-8


def fit_logistic(evidence: ArrayLike, keypoints: ArrayLike, outcomes: ArrayLike, count: int) -> Logistic:
    """The logistic function that makes the outcomes most likely, under a small penalty on weights.

    A keypoint that no claim is about gets the mean bias of all.

    Args:
        evidence: (N, F), finite.
        keypoints: (N,) which keypoint each claim is about.
        outcomes: (N,) whether it came true.
        count: K, how many keypoints there are.

    Raises:
        RSGNetError: There are no claims, or they all came out alike.
    """
    features, true = np.asarray(evidence, np.float64), np.asarray(outcomes, np.float64)
    which = np.asarray(keypoints, np.intp)
    if not len(true) or true.min() == true.max():
        raise RSGNetError("there is nothing to fit: every keypoint came out alike; calibrate on more labelled people")
    mean, spread = features.mean(0), features.std(0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    design = np.zeros((len(true), features.shape[1] + 1 + count))
    design[:, : features.shape[1]] = np.where(spread > 1e-9, (features - mean) / scale, 0.0)
    design[:, features.shape[1]] = 1.0
    design[np.arange(len(true)), features.shape[1] + 1 + which] = 1.0
    penalty = np.full(design.shape[1], _PENALTY)
    penalty[features.shape[1]] = 1e-6
    solution = _newton(design, true, penalty)
    weights = solution[: features.shape[1]] / scale
    biases = solution[features.shape[1]] + solution[features.shape[1] + 1 :] - weights @ mean
    return Logistic(tuple(weights.tolist()), tuple(biases.tolist()))


def _newton(design: Floats, true: Floats, penalty: Floats) -> NDArray[np.float64]:
    """The minimum of the penalised negative log-likelihood; steps that overshoot are halved."""
    solution = np.zeros(design.shape[1])
    loss = _loss(design, true, penalty, solution)
    for _ in range(_STEPS):
        probabilities = 1 / (1 + np.exp(-(design @ solution).clip(-50, 50)))
        gradient = design.T @ (probabilities - true) + penalty * solution
        curvature = (design * (probabilities * (1 - probabilities))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        while (lower := _loss(design, true, penalty, solution - step)) > loss and np.abs(step).max() > _SETTLED:
            step = step / 2
        if lower > loss or np.abs(step).max() <= _SETTLED:
            break
        solution, loss = solution - step, lower
    return solution


def _loss(design: Floats, true: Floats, penalty: Floats, solution: Floats) -> float:
    logits = design @ solution
    return float((np.logaddexp(0, logits) - true * logits).sum() + (penalty * solution**2).sum() / 2)


FOLDS = 5
CONTESTED = "owned, contested"
_NOTHING = Logistic((), ())


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fit and its worth.

    Attributes:
        ownership: Fitted on all claims.
        curves: By the names in CLAIMS: probabilities against outcomes, each image by a fit on other images. And
            "owned, contested": of these, the keypoints that two people claim.
        claims: By the same names, how many claims stand behind each.
    """

    ownership: Ownership
    curves: dict[str, Reliability]
    claims: dict[str, int]


def calibrate(
    claims: CalibrationSamples, keypoints: tuple[str, ...], candidates: bool, flip_test: bool, seed: int = 0
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
    curves[CONTESTED] = reliability(told["owned"][contested], claims.right[contested])
    counts[CONTESTED] = int(contested.sum())
    errors = {name: round(curve.expected_calibration_error, 4) for name, curve in curves.items()}
    return Calibration(replace(whole, calibration_errors=errors), curves, counts)


def outcomes(claims: CalibrationSamples, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) which claims a probability is about; and of these, whether it came true.

    Args:
        claims: The claims.
        name: Out of CLAIMS. "owned" is asked of present keypoints only.
    """
    asked = claims.present if name == "owned" else np.ones(len(claims), bool)
    return asked, {"present": claims.present, "visible": claims.visible, "owned": claims.right}[name][asked]


def _cross_fitted(claims: CalibrationSamples, whole: Ownership, seed: int) -> dict[str, Floats]:
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


def _fit(claims: CalibrationSamples, like: Ownership) -> Ownership:
    """The three logistic functions of some claims, the rest as given."""
    fits = []
    for name in CLAIMS:
        asked, came_true = outcomes(claims, name)
        fits.append(fit_logistic(claims.evidence[asked], claims.keypoints[asked], came_true, len(like.keypoints)))
    return replace(like, present=fits[0], visible=fits[1], owned=fits[2])


def probabilities(fit: Ownership, claims: CalibrationSamples) -> dict[str, Floats]:
    """(N,) each probability by name, as the estimator would give it."""
    whole = np.repeat(claims.evidence[:, None], len(fit.keypoints), axis=1)
    rows = np.arange(len(claims))
    return {name: values[rows, claims.keypoints] for name, values in fit(whole).items()}
