"""Fits the probabilities of `Ownership` by logistic regression, and measures their calibration by cross-fitting."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.calibrate.samples import CalibrationSamples
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.calibration import ReliabilityCurve, compute_auc, compute_reliability
from rsgnet.geometry import Floats
from rsgnet.inference.ownership import FEATURES, PROBABILITY_FIELDS, Logistic, Ownership

FOLDS = 5
CONTESTED = "owned, contested"
_EMPTY = Logistic((), ())
_WEIGHT_PENALTY = 1.0  # on squared weights of features of unit variance, and on biases' distances from their mean
_MAX_STEPS = 50
_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class FitQuality:
    """How well one probability says what is, and how well the network's own score does.

    Attributes:
        curve: The probability against outcomes, each image by a fit on other images.
        auc: How well that probability orders the keypoints, as `compute_auc` says.
        raw_curve: The keypoints' scores, cut to 0..1, against the same outcomes.
        raw_auc: How well the scores order them.
        count: The number of keypoints.
    """

    curve: ReliabilityCurve
    auc: float
    raw_curve: ReliabilityCurve
    raw_auc: float
    count: int


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fit and its quality.

    Attributes:
        ownership: The fit on all samples.
        qualities: By the names in PROBABILITY_FIELDS, and CONTESTED for "owned" of keypoints that have a rival.
    """

    ownership: Ownership
    qualities: dict[str, FitQuality]


def calibrate(
    samples: CalibrationSamples, keypoints: tuple[str, ...], candidates: bool, flip_test: bool
) -> Calibration:
    """Fits the probabilities and measures them by cross-fitting over images.

    Args:
        samples: The samples.
        keypoints: The names of the network's keypoints.
        candidates: Whether the network gave candidates.
        flip_test: Whether the features are averages with the mirrored crops.

    Raises:
        RSGNetError: The samples come from fewer than 5 images, or all have the same outcome.
    """
    fit = _fit_all(samples, Ownership(keypoints, FEATURES, candidates, flip_test, _EMPTY, _EMPTY, _EMPTY))
    predicted = _predict_by_cross_fitting(samples, fit)
    scores = samples.features[:, FEATURES.index("peak")]
    qualities = {}
    for name in PROBABILITY_FIELDS:
        rows, outcomes = select_outcomes(samples, name)
        qualities[name] = _measure(predicted[name][rows], scores[rows], outcomes)
    contested = samples.present & (samples.features[:, FEATURES.index("contested")] > 0)
    qualities[CONTESTED] = _measure(predicted["owned"][contested], scores[contested], samples.correct[contested])
    errors = {name: round(each.curve.expected_calibration_error, 4) for name, each in qualities.items()}
    return Calibration(replace(fit, calibration_errors=errors), qualities)


def _measure(probabilities: Floats, scores: Floats, outcomes: NDArray[np.bool_]) -> FitQuality:
    return FitQuality(
        compute_reliability(probabilities, outcomes),
        compute_auc(probabilities, outcomes),
        compute_reliability(scores.clip(0, 1), outcomes),
        compute_auc(scores, outcomes),
        len(outcomes),
    )


def _predict_by_cross_fitting(samples: CalibrationSamples, like: Ownership) -> dict[str, Floats]:
    """Returns (N,) probabilities by name, for every image by a fit on the images of the other folds."""
    images = np.unique(samples.images)
    if len(images) < FOLDS:
        raise RSGNetError(f"expected labelled people in {FOLDS} images or more to calibrate on, got {len(images)}")
    order = np.random.default_rng(0).permutation(len(images))
    fold_of_sample = order[np.searchsorted(images, samples.images)] % FOLDS
    predicted = {name: np.zeros(len(samples)) for name in PROBABILITY_FIELDS}
    for fold in range(FOLDS):
        held_out = fold_of_sample == fold
        fit = _fit_all(samples.select(~held_out), like)
        for name, values in _predict(fit, samples.select(held_out)).items():
            predicted[name][held_out] = values
    return predicted


def _predict(fit: Ownership, samples: CalibrationSamples) -> dict[str, Floats]:
    """Returns (N,) probabilities by name, as the estimator computes them."""
    features = np.repeat(samples.features[:, None], len(fit.keypoints), axis=1)
    rows = np.arange(len(samples))
    return {name: values[rows, samples.keypoints] for name, values in fit(features).items()}


def _fit_all(samples: CalibrationSamples, like: Ownership) -> Ownership:
    """Fits the three logistic functions; everything else is copied from `like`."""
    fits = []
    for name in PROBABILITY_FIELDS:
        rows, outcomes = select_outcomes(samples, name)
        fits.append(fit_logistic(samples.features[rows], samples.keypoints[rows], outcomes, len(like.keypoints)))
    return replace(like, present=fits[0], visible=fits[1], owned=fits[2])


def select_outcomes(samples: CalibrationSamples, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns the (N,) mask of the samples for which a probability is defined, and the outcomes of those samples.

    Args:
        samples: The samples.
        name: One of PROBABILITY_FIELDS; "owned" is defined for present keypoints only.
    """
    rows = samples.present if name == "owned" else np.ones(len(samples), bool)
    outcomes = {"present": samples.present, "visible": samples.visible, "owned": samples.correct}
    return rows, outcomes[name][rows]


def fit_logistic(features: ArrayLike, keypoints: ArrayLike, outcomes: ArrayLike, count: int) -> Logistic:
    """Fits logistic regression with common weights and a bias for each keypoint, with a small penalty on the weights.

    A keypoint without samples gets the mean bias.

    Args:
        features: (N, F), finite.
        keypoints: (N,) keypoint of each sample.
        outcomes: (N,) boolean outcomes.
        count: The number K of keypoints.

    Raises:
        RSGNetError: There are no samples, or all have the same outcome.
    """
    x, true = np.asarray(features, np.float64), np.asarray(outcomes, np.float64)
    keypoint = np.asarray(keypoints, np.intp)
    if not len(true) or true.min() == true.max():
        raise RSGNetError("there is nothing to fit: every keypoint came out alike; calibrate on more labelled people")
    columns, mean, deviation = x.shape[1], x.mean(0), x.std(0)
    scale = np.where(deviation > 1e-9, deviation, 1.0)
    # Columns: standardised features, a common bias, and the deviation of each keypoint's bias from it.
    design = np.zeros((len(true), columns + 1 + count))
    design[:, :columns] = np.where(deviation > 1e-9, (x - mean) / scale, 0.0)
    design[:, columns] = 1.0
    design[np.arange(len(true)), columns + 1 + keypoint] = 1.0
    penalty = np.full(design.shape[1], _WEIGHT_PENALTY)
    penalty[columns] = 1e-6
    solution = _minimise(design, true, penalty)
    weights = solution[:columns] / scale
    biases = solution[columns] + solution[columns + 1 :] - weights @ mean
    return Logistic(tuple(weights.tolist()), tuple(biases.tolist()))


def _minimise(design: Floats, true: Floats, penalty: Floats) -> Floats:
    """Minimises the penalised negative log-likelihood by Newton's method; steps that increase it are halved."""
    solution = np.zeros(design.shape[1])
    loss = _loss(design, true, penalty, solution)
    for _ in range(_MAX_STEPS):
        probabilities = 1 / (1 + np.exp(-(design @ solution).clip(-50, 50)))
        gradient = design.T @ (probabilities - true) + penalty * solution
        curvature = (design * (probabilities * (1 - probabilities))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        while (lower := _loss(design, true, penalty, solution - step)) > loss and np.abs(step).max() > _TOLERANCE:
            step = step / 2
        if lower > loss or np.abs(step).max() <= _TOLERANCE:
            break
        solution, loss = solution - step, lower
    return solution


def _loss(design: Floats, true: Floats, penalty: Floats, solution: Floats) -> float:
    logits = design @ solution
    return float((np.logaddexp(0, logits) - true * logits).sum() + (penalty * solution**2).sum() / 2)
