"""Networks trained several times from different seeds, held against each other on the same images.

A network's figure is the mean over its seeds. Two things move it: which images it is measured on and which seeds it
was trained from. Both are drawn anew, a bootstrap of two levels, crossed since every seed saw every image (Owen,
2007, "The pigeonhole bootstrap"). In each draw images and seeds are the same for the two networks compared:
differences are paired by both. Of n seeds n - 1 are drawn, which makes the variance of a drawn mean that of the mean
itself (Rao and Wu, 1988); n of n would make it too small by the n-th part, a third with three seeds. Of a single seed
only the images are drawn. Few seeds remain few: where they disagree in sign, an interval that leaves out zero is no
proof, so `PairedDifference` tells them one by one and `is_clear` asks for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.evaluation.error_types import ErrorCounts, count_errors
from rsgnet.evaluation.intervals import drawn_figures, middle_95
from rsgnet.evaluation.protocol import by_level
from rsgnet.evaluation.ranking import rank, surest_cut
from rsgnet.evaluation.scenes import Scene
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton

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


def run_figures(scenes: Sequence[Scene], skeleton: Skeleton, draws: NDArray[np.int64]) -> dict[str, Floats]:
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
    cut = surest_cut(ranking)
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
