"""How far figures would move with other images: bootstrap intervals, and differences between two results.

Images are drawn with replacement, as many as there are (a cluster bootstrap: people of one image depend on each
other). An interval is the middle 95 % of the figures of such draws (the percentile method; Efron, 1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsgnet.evaluation.protocol import by_level
from rsgnet.evaluation.ranking import Ranking, precision_recall
from rsgnet.geometry import Floats

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


def draw_images(images: int, resamples: int, seed: int = 0) -> NDArray[np.int64]:
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
