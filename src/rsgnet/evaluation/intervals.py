"""How far figures would move with other images: bootstrap intervals, and differences between two results.

Images are drawn with replacement, as many as there are (a cluster bootstrap: people of one image depend on each
other). An interval is the middle 95 % of the figures of such draws (the percentile method; Efron, 1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.evaluation.average_precision import Ranking, best_f1_threshold, precision_recall, rank
from rsgnet.evaluation.error_types import ErrorCounts, count_errors
from rsgnet.evaluation.matching import MatchedImage
from rsgnet.evaluation.protocol import by_level
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton

_MIDDLE_95 = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """Where 95 % of the draws lie.

    Attributes:
        low: 2.5 % of the draws are below.
        high: 2.5 % of the draws are above.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """One figure of two results on the same images, the first's less the second's.

    Attributes:
        value: On the images as they are.
        low: 2.5 % of the draws are below.
        high: 2.5 % of the draws are above.
        better: The share of draws in which the first's figure is the higher one; equal ones count half.
    """

    value: float
    low: float
    high: float
    better: float


def bootstrap_indices(images: int, resamples: int, seed: int = 0) -> NDArray[np.int64]:
    """(resamples, images) how often each image is drawn, with replacement, in each draw of as many as there are."""
    drawn = np.random.default_rng(seed).random((resamples, images)) * images
    return np.stack([np.bincount(draw, minlength=images) for draw in drawn.astype(np.int64)])


def drawn_figures(ranking: Ranking, draws: NDArray[np.int64]) -> dict[str, Floats]:
    """AP, AP50, AP75, AR, AR50, AR75 and AP by level, of each draw.

    Args:
        ranking: The poses found.
        draws: (B, P) how often each is taken.

    Returns:
        (B,) for each name that `evaluate_keypoints` uses; NaN in draws without anybody to measure on.
    """
    precision, recall = precision_recall(ranking, draws)
    average = precision.mean(-1)
    figures = {"AP": average.mean(1), "AP50": average[:, 0], "AP75": average[:, 5]}
    figures |= {"AR": recall.mean(1), "AR50": recall[:, 0], "AR75": recall[:, 5]}
    for level, rows in by_level(ranking.levels).items():
        some, _ = precision_recall(ranking.only(rows), draws[:, rows])
        figures[f"AP_{level}"] = some.mean((1, 2))
    return figures


def intervals(figures: dict[str, Floats]) -> dict[str, Interval]:
    """The interval of each of `drawn_figures` that could be measured."""
    measured = {name: values[~np.isnan(values)] for name, values in figures.items()}
    return {name: Interval(*middle_95(values)) for name, values in measured.items() if values.size}


def differences(first: Ranking, second: Ranking, draws: NDArray[np.int64]) -> dict[str, Difference]:
    """The difference of each figure between two results, in the same draws of the same images.

    Args:
        first: The poses of the first results.
        second: The others, found in the same images.
        draws: (B, P) how often each is taken.

    Returns:
        For each name of `drawn_figures` that could be measured.
    """
    as_they_are = np.vstack([np.ones((1, len(first.people)), np.int64), draws])
    of_first, of_second = drawn_figures(first, as_they_are), drawn_figures(second, as_they_are)
    apart = {name: values - of_second[name] for name, values in of_first.items()}
    return {
        name: _difference(values[0], values[1:]) for name, values in apart.items() if not np.isnan(values[1:]).all()
    }


def _difference(value: float, drawn: Floats) -> Difference:
    drawn = drawn[~np.isnan(drawn)]
    return Difference(float(value), *middle_95(drawn), float(((drawn > 0) + 0.5 * (drawn == 0)).mean()))


def middle_95(values: Floats) -> tuple[float, float]:
    """The bounds of the middle 95 % of some values."""
    low, high = np.percentile(values, _MIDDLE_95)
    return float(low), float(high)


ERROR_SHARES = ("swapped", "inverted", "missed")
FigureDraws = Mapping[str, Floats]  # (1 + B,) by figure: on the images as they are, then of each draw


@dataclass(frozen=True)
class SeedMean:
    """One figure of a network that was trained from several seeds.

    Attributes:
        value: The mean over its seeds, on the images as they are.
        low: 2.5 % of the draws of images and seeds are below.
        high: 2.5 % of the draws are above.
        seeds: Of each seed, in their order.
    """

    value: float
    low: float
    high: float
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class PairedDifference(SeedMean):
    """One figure of a network less that of another, seed by seed and image by image."""

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero and all seeds, two or more, lie on one side of it."""
        side = np.sign(self.value)
        return len(self.seeds) > 1 and self.low * self.high > 0 and all(np.sign(seed) == side for seed in self.seeds)


def run_figures(scenes: Sequence[MatchedImage], skeleton: Skeleton, draws: NDArray[np.int64]) -> dict[str, Floats]:
    """Everything that is compared, of one run, in draws of the images.

    Args:
        scenes: The run's poses beside the truth.
        skeleton: The keypoints of their people.
        draws: (B, P) how often each image is taken.

    Returns:
        (1 + B,) by figure, the images as they are first: average precision and recall as `drawn_figures` names them;
        "swapped", "inverted", "missed" and, by level, "swapped_hard" and so on: shares of the labelled keypoints of
        people with a pose, as `error_types` counts them among poses of at least the run's own surest cut, which is not
        drawn anew. NaN where nobody is there to measure on.
    """
    draws = np.vstack([np.ones((1, len(scenes)), np.int64), draws])
    ranking = rank(scenes)
    cut = best_f1_threshold(ranking)
    counts = [count_errors([scene], skeleton, cut) for scene in scenes]
    figures = drawn_figures(ranking, draws)
    for level, rows in {"": list(range(len(scenes))), **by_level(ranking.levels)}.items():
        shares = _error_shares([counts[row] for row in rows], draws[:, rows])
        figures |= {f"{kind}_{level}" if level else kind: values for kind, values in shares.items()}
    return figures


def _error_shares(counts: Sequence[ErrorCounts], draws: NDArray[np.int64]) -> dict[str, Floats]:
    """(B,) the share of each of ERROR_SHARES where each image is taken as often as it was drawn."""
    keypoints = draws @ np.array([each.keypoints for each in counts], np.float64)
    wrong = {kind: draws @ np.array([getattr(each, kind) for each in counts], np.float64) for kind in ERROR_SHARES}
    with np.errstate(invalid="ignore"):
        return {kind: np.where(keypoints > 0, values / keypoints, np.nan) for kind, values in wrong.items()}


def draw_seeds(seeds: int, resamples: int, seed: int = 0) -> Floats:
    """(resamples, seeds) the weight of each seed in each draw of all but one of them; rows sum to 1."""
    drawn = max(seeds - 1, 1)
    picked = np.random.default_rng((seed, seeds)).integers(seeds, size=(resamples, drawn))
    return np.stack([np.bincount(draw, minlength=seeds) for draw in picked]) / drawn


def seed_means(runs: Sequence[FigureDraws], weights: Floats) -> dict[str, SeedMean]:
    """The figures of a network: their mean over its seeds, and how far draws of images and seeds move it.

    Args:
        runs: `run_figures` of each seed, all in the same draws.
        weights: (B, S) as `draw_seeds` gives them for S such runs.

    Returns:
        For each figure that all seeds were measured by.
    """
    stacked = {name: np.stack([run[name] for run in runs]) for name in runs[0]}
    return {name: SeedMean(*_mean(values, weights)) for name, values in stacked.items() if _is_measured(values)}


def paired_differences(
    runs: Sequence[FigureDraws], others: Sequence[FigureDraws], weights: Floats
) -> dict[str, PairedDifference]:
    """The difference of each figure between two networks, paired by seeds and images.

    Args:
        runs: `run_figures` of each seed of the first network.
        others: Of the second, in the same draws, its seeds in the same order.
        weights: (B, S) as `draw_seeds` gives them for S seeds.

    Returns:
        For each figure that both were measured by in all seeds, the first's less the second's.
    """
    apart = {
        name: np.stack([run[name] - other[name] for run, other in zip(runs, others, strict=True)]) for name in runs[0]
    }
    return {name: PairedDifference(*_mean(values, weights)) for name, values in apart.items() if _is_measured(values)}


def _mean(values: Floats, weights: Floats) -> tuple[float, float, float, tuple[float, ...]]:
    """The mean of (S, 1 + B) over seeds, its interval, and each seed's."""
    drawn = np.einsum("sb,bs->b", values[:, 1:], weights)
    return float(values[:, 0].mean()), *middle_95(drawn[~np.isnan(drawn)]), tuple(values[:, 0].tolist())


def _is_measured(values: Floats) -> bool:
    return not np.isnan(values[:, 0]).any() and not np.isnan(values[:, 1:]).any(0).all()
