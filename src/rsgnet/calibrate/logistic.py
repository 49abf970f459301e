"""Logistic regression with a bias for each keypoint, by Newton's method."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats
from rsgnet.inference.ownership import Logistic

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
