"""Bootstrap intervals of metrics, of differences between two results, and of networks trained from several seeds.

Images are resampled with replacement, as many as there are. Whole images are drawn, because people in one image are not
independent (a cluster bootstrap). An interval is the central 95 % of the resampled metrics (the percentile method;
Efron, 1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.evaluation.error_types import ErrorCounts, count_image_errors
from rsgnet.evaluation.matching import MatchedImage
from rsgnet.evaluation.protocol import group_by_level
from rsgnet.evaluation.ranking import Ranking, best_f1_threshold, compute_precision_recall, rank_poses
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton

ERROR_SHARES = ("swapped", "inverted", "missed")
BootstrapMetrics = Mapping[str, Floats]  # by metric (1 + B,): on the images themselves, then on each resample
_PERCENTILES_95 = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """A 95 % interval.

    Attributes:
        low: 2.5 % of the resamples are lower.
        high: 2.5 % of the resamples are higher.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """The difference of one metric between two results on the same images, first minus second.

    Attributes:
        value: The difference on the images themselves.
        low: 2.5 % of the resamples are lower.
        high: 2.5 % of the resamples are higher.
        better: The share of resamples in which the first result's metric is higher; ties count half.
    """

    value: float
    low: float
    high: float
    better: float


@dataclass(frozen=True)
class SeedMean:
    """One metric of a network that was trained from several seeds.

    Attributes:
        value: The mean over the seeds, on the images themselves.
        low: 2.5 % of the resamples of images and seeds are lower.
        high: 2.5 % of the resamples are higher.
        seeds: The metric of each seed.
    """

    value: float
    low: float
    high: float
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class PairedDifference(SeedMean):
    """The difference of one metric between two networks, paired by seed and image."""

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero and at least two seeds all have the same sign."""
        side = np.sign(self.value)
        return len(self.seeds) > 1 and self.low * self.high > 0 and all(np.sign(seed) == side for seed in self.seeds)


def bootstrap_counts(images: int, resamples: int, seed: int = 0) -> NDArray[np.int64]:
    """Returns (resamples, images) how often each image occurs in each resample, drawn with replacement."""
    drawn = np.random.default_rng(seed).random((resamples, images)) * images
    return np.stack([np.bincount(draw, minlength=images) for draw in drawn.astype(np.int64)])


def bootstrap_seed_weights(seeds: int, resamples: int, seed: int = 0) -> Floats:
    """Returns the (resamples, seeds) weight of each training seed in each resample; rows sum to 1.

    One seed fewer than there are is drawn, so that the variance of the resampled means is the unbiased one.
    """
    drawn = max(seeds - 1, 1)
    picked = np.random.default_rng((seed, seeds)).integers(seeds, size=(resamples, drawn))
    return np.stack([np.bincount(draw, minlength=seeds) for draw in picked]) / drawn


def bootstrap_metrics(ranking: Ranking, counts: NDArray[np.int64]) -> dict[str, Floats]:
    """Computes AP, AP50, AP75, AR, AR50, AR75 and AP by crowd level of each resample.

    Args:
        ranking: The predicted poses.
        counts: (B, P) how often each image occurs in each resample.

    Returns:
        (B,) by the metric's name in `evaluate_keypoints`; NaN for resamples without evaluated people.
    """
    precision, recall = compute_precision_recall(ranking, counts)
    average = precision.mean(-1)
    metrics = {"AP": average.mean(1), "AP50": average[:, 0], "AP75": average[:, 5]}
    metrics |= {"AR": recall.mean(1), "AR50": recall[:, 0], "AR75": recall[:, 5]}
    for level, rows in group_by_level(ranking.levels).items():
        level_precision, _ = compute_precision_recall(ranking.select_images(rows), counts[:, rows])
        metrics[f"AP_{level}"] = level_precision.mean((1, 2))
    return metrics


def compute_intervals(metrics: Mapping[str, Floats]) -> dict[str, Interval]:
    """Returns the interval of each of `bootstrap_metrics` that is not NaN in all resamples."""
    valid = {name: values[~np.isnan(values)] for name, values in metrics.items()}
    return {name: Interval(*percentile_interval(values)) for name, values in valid.items() if values.size}


def compute_differences(first: Ranking, second: Ranking, counts: NDArray[np.int64]) -> dict[str, Difference]:
    """Computes the difference of each metric between two results, in the same resamples of the same images.

    Args:
        first: The poses of the first result.
        second: The poses of the second result, in the same images.
        counts: (B, P) how often each image occurs in each resample.

    Returns:
        By the names of `bootstrap_metrics`, without metrics that are NaN in all resamples.
    """
    counts = _prepend_original(counts)
    first_metrics, second_metrics = bootstrap_metrics(first, counts), bootstrap_metrics(second, counts)
    differences = {name: values - second_metrics[name] for name, values in first_metrics.items()}
    return {
        name: _difference(values[0], values[1:])
        for name, values in differences.items()
        if not np.isnan(values[1:]).all()
    }


def _difference(value: float, resampled: Floats) -> Difference:
    resampled = resampled[~np.isnan(resampled)]
    better = float(((resampled > 0) + 0.5 * (resampled == 0)).mean())
    return Difference(float(value), *percentile_interval(resampled), better)


def percentile_interval(values: Floats) -> tuple[float, float]:
    """Returns the bounds of the central 95 % of the values."""
    low, high = np.percentile(values, _PERCENTILES_95)
    return float(low), float(high)


def bootstrap_run_metrics(
    images: Sequence[MatchedImage], skeleton: Skeleton, counts: NDArray[np.int64]
) -> dict[str, Floats]:
    """Computes all metrics that ablations compare, of one training run, on the images and in resamples of them.

    Args:
        images: The images with the run's poses.
        skeleton: The keypoints of their people.
        counts: (B, P) how often each image occurs in each resample.

    Returns:
        (1 + B,) by metric, the images themselves first. The metrics are those of `bootstrap_metrics` and the shares
        "swapped", "inverted" and "missed" of the labelled keypoints of matched people, also by crowd level
        ("swapped_hard" and so on). `error_types` counts them among poses with at least the score of
        `best_f1_threshold` on the images themselves. NaN without evaluated people.
    """
    counts = _prepend_original(counts)
    ranking = rank_poses(images)
    min_score = best_f1_threshold(ranking)
    errors = count_image_errors(images, skeleton, min_score)
    metrics = bootstrap_metrics(ranking, counts)
    for level, rows in {"": list(range(len(images))), **group_by_level(ranking.levels)}.items():
        shares = _bootstrap_error_shares([errors[row] for row in rows], counts[:, rows])
        metrics |= {f"{kind}_{level}" if level else kind: values for kind, values in shares.items()}
    return metrics


def _prepend_original(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Adds the data set itself, each image once, before the resamples."""
    return np.vstack([np.ones((1, counts.shape[1]), np.int64), counts])


def _bootstrap_error_shares(errors: Sequence[ErrorCounts], counts: NDArray[np.int64]) -> dict[str, Floats]:
    """Returns the (B,) share of each of ERROR_SHARES in each resample of the images."""
    keypoints = counts @ np.array([each.keypoints for each in errors], np.float64)
    wrong = {kind: counts @ np.array([getattr(each, kind) for each in errors], np.float64) for kind in ERROR_SHARES}
    with np.errstate(invalid="ignore"):
        return {kind: np.where(keypoints > 0, values / keypoints, np.nan) for kind, values in wrong.items()}


def compute_seed_means(runs: Sequence[BootstrapMetrics], weights: Floats) -> dict[str, SeedMean]:
    """Computes the mean over seeds of each metric of a network, with its interval over images and seeds.

    Args:
        runs: `bootstrap_run_metrics` of each of S seeds, all in the same resamples.
        weights: (B, S) as `bootstrap_seed_weights` returns them.

    Returns:
        By metric, for metrics that are known for all seeds.
    """
    stacked = {name: np.stack([run[name] for run in runs]) for name in runs[0]}
    return {name: SeedMean(*_mean_over_seeds(values, weights)) for name, values in stacked.items() if _is_known(values)}


def compute_paired_differences(
    runs: Sequence[BootstrapMetrics], others: Sequence[BootstrapMetrics], weights: Floats
) -> dict[str, PairedDifference]:
    """Computes the difference of each metric between two networks, first minus second, paired by seed and image.

    Args:
        runs: `bootstrap_run_metrics` of each of S seeds of the first network.
        others: Those of the second network, in the same resamples and order of seeds.
        weights: (B, S) as `bootstrap_seed_weights` returns them.

    Returns:
        By metric, for metrics that are known for all seeds of both networks.
    """
    stacked = {
        name: np.stack([run[name] - other[name] for run, other in zip(runs, others, strict=True)]) for name in runs[0]
    }
    return {
        name: PairedDifference(*_mean_over_seeds(values, weights))
        for name, values in stacked.items()
        if _is_known(values)
    }


def _mean_over_seeds(values: Floats, weights: Floats) -> tuple[float, float, float, tuple[float, ...]]:
    """Returns the mean of (S, 1 + B) values over seeds, the interval's bounds, and each seed's value."""
    resampled = np.einsum("sb,bs->b", values[:, 1:], weights)
    interval = percentile_interval(resampled[~np.isnan(resampled)])
    return float(values[:, 0].mean()), *interval, tuple(values[:, 0].tolist())


def _is_known(values: Floats) -> bool:
    return not np.isnan(values[:, 0]).any() and not np.isnan(values[:, 1:]).any(0).all()
