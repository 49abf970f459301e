"""Reliability curves: whether scores equal probabilities, so that 80 % of the keypoints with score 0.8 are correct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.errors import RSGNetError
from rsgnet.evaluation.error_types import MATCH_OKS, NEAR_SIMILARITY
from rsgnet.evaluation.matching import MatchedImage, find_matched_pairs, match_poses
from rsgnet.evaluation.similarity import keypoint_similarity
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Predicted probabilities and observed frequencies in bins.

    Attributes:
        probabilities: (B,) the mean predicted probability of each bin, ascending.
        frequencies: (B,) the share of samples of each bin whose outcome is true.
        counts: (B,) the number of samples of each bin.
    """

    probabilities: Floats
    frequencies: Floats
    counts: NDArray[np.int64]

    @property
    def expected_calibration_error(self) -> float:
        """The mean distance of probability and frequency over all samples (Guo et al., ICML 2017); 0 is best."""
        error = np.abs(self.probabilities - self.frequencies)
        return float((error * self.counts).sum() / max(self.counts.sum(), 1))


def compute_reliability(probabilities: ArrayLike, outcomes: ArrayLike, bins: int = 10) -> ReliabilityCurve:
    """Compares predicted probabilities with outcomes.

    Bins hold equal numbers of samples instead of spanning equal ranges, because scores are concentrated and a bin with
    few samples would show noise. Equal probabilities share a bin, so that there may be fewer bins than requested.

    Args:
        probabilities: (N,) predicted probabilities in 0..1.
        outcomes: (N,) boolean outcomes.
        bins: The maximum number of bins, at least 1.

    Raises:
        RSGNetError: The lengths differ, a probability is not in 0..1, or `bins` is below 1.
    """
    predicted, true = np.asarray(probabilities, np.float64), np.asarray(outcomes, bool)
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise RSGNetError(f"expected as many outcomes as probabilities, got {true.shape} and {predicted.shape}")
    if bins < 1 or not ((predicted >= 0) & (predicted <= 1)).all():
        raise RSGNetError(f"expected probabilities in 0..1 and at least one bin, got {bins} bins")
    if not len(predicted):
        return ReliabilityCurve(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    upper_bounds = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:], method="inverted_cdf"))
    bin_of_sample = np.searchsorted(upper_bounds, predicted)
    counts = np.bincount(bin_of_sample)
    return ReliabilityCurve(
        np.bincount(bin_of_sample, predicted) / counts,
        np.bincount(bin_of_sample, true) / counts,
        counts.astype(np.int64),
    )


def compute_auc(scores: ArrayLike, outcomes: ArrayLike) -> float:
    """Computes how well scores order outcomes: the chance that a true outcome scores higher than a false one.

    Args:
        scores: (N,); equal scores count half.
        outcomes: (N,) boolean outcomes.

    Returns:
        The area under the ROC curve, in 0..1; NaN where all outcomes are alike.
    """
    true = np.asarray(outcomes, bool)
    _, values, counts = np.unique(np.asarray(scores, np.float64), return_inverse=True, return_counts=True)
    if true.all() or not true.any():
        return float("nan")
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    positives, negatives = int(true.sum()), int((~true).sum())
    rank_sum = float(mean_ranks[values][true].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def collect_keypoint_scores(images: Sequence[MatchedImage], skeleton: Skeleton) -> tuple[Floats, NDArray[np.bool_]]:
    """Collects the score and the correctness of every labelled keypoint of a matched person.

    A keypoint is correct with a similarity (a term of OKS) of at least 0.5, the lowest OKS threshold of COCO. Poses are
    matched as in `error_types.count_errors`, whatever their score.

    Args:
        images: The images.
        skeleton: The keypoints of their people.

    Returns:
        (N,) scores as in the results, and (N,) whether the keypoint is correct.
    """
    scores, correct = [np.zeros(0)], [np.zeros(0, bool)]
    for image, matches in zip(images, match_poses(images, [MATCH_OKS]), strict=True):
        for index, person in find_matched_pairs(image, matches[0]):
            pose = image.poses[index]
            labels, area = image.people[person], float(image.areas[person])
            similarity = keypoint_similarity(pose[:, :2], labels[:, :2], area, skeleton.sigmas)
            labelled = labels[:, 2] > 0
            scores.append(pose[labelled, 2])
            correct.append(similarity[labelled] >= NEAR_SIMILARITY)
    return np.concatenate(scores), np.concatenate(correct)
