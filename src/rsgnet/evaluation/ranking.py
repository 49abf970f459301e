"""Average precision of images drawn again and again, from matches that were made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsgnet.evaluation.scenes import NOBODY, Scene, match
from rsgnet.geometry import Floats

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
_AT_ONCE = 2_000_000  # numbers held in memory at once


@dataclass(frozen=True, eq=False)
class Ranking:
    """All poses found in a data set, surest first, and which are right.

    Attributes:
        scores: (N,) how sure each pose is.
        images: (N,) the index of the scene it was found in.
        right: (10, N) whether it is matched to a counted person, at each of the ten OKS thresholds.
        counted: (10, N) whether it counts; poses of people who do not count do not.
        people: (P,) how many people count in each scene.
        levels: (P,) the scene's level of crowding.
    """

    scores: Floats
    images: NDArray[np.intp]
    right: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    people: NDArray[np.int64]
    levels: tuple[str | None, ...]

    def only(self, scenes: Sequence[int]) -> Ranking:
        """The ranking of some of the scenes, given by ascending indices."""
        kept = np.isin(self.images, scenes)
        return replace(
            self,
            scores=self.scores[kept],
            images=np.searchsorted(scenes, self.images[kept]),
            right=self.right[:, kept],
            counted=self.counted[:, kept],
            people=self.people[list(scenes)],
            levels=tuple(self.levels[index] for index in scenes),
        )


def rank(scenes: Sequence[Scene]) -> Ranking:
    """Matches the poses of each scene and ranks them all."""
    right, counted = [np.zeros((len(OKS_THRESHOLDS), 0), bool)], [np.zeros((len(OKS_THRESHOLDS), 0), bool)]
    for scene in scenes:
        matches = match(scene, OKS_THRESHOLDS)
        of_counted = np.append(scene.counted, False)[matches]  # the last is NOBODY's
        right.append(of_counted)
        counted.append(of_counted | (matches == NOBODY))
    scores = np.concatenate([np.zeros(0), *(scene.scores for scene in scenes)])
    order = np.argsort(-scores, kind="stable")
    return Ranking(
        scores=scores[order],
        images=np.repeat(np.arange(len(scenes)), [len(scene.scores) for scene in scenes])[order],
        right=np.concatenate(right, 1)[:, order],
        counted=np.concatenate(counted, 1)[:, order],
        people=np.array([scene.counted.sum() for scene in scenes], np.int64),
        levels=tuple(scene.level for scene in scenes),
    )


def precision_recall(ranking: Ranking, draws: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Precision and recall where each image is taken as often as it was drawn.

    Args:
        ranking: The poses.
        draws: (B, P) how often each image is taken; a row of ones takes the data set as it is.

    Returns:
        (B, 10, 101) the official tools' precision at each OKS threshold and recall of 0, 0.01, ... 1, the mean of which
        is the average precision; and (B, 10) the recall reached. NaN where nobody is drawn.
    """
    step = max(1, _AT_ONCE // max(1, len(ranking.scores)))
    parts = [_some(ranking, draws[first : first + step]) for first in range(0, len(draws), step)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def surest_cut(ranking: Ranking) -> float:
    """The score from which on poses have the highest F1 at OKS 0.5: a working point that any tool's scores have.

    Returns:
        Of cuts equally good the lowest; infinity where no pose is right.
    """
    told, right = np.cumsum(ranking.counted[0]), np.cumsum(ranking.right[0])
    f1 = 2 * right / np.maximum(told + ranking.people.sum(), 1)
    last_of_score = np.append(np.diff(ranking.scores) != 0, True)[: len(f1)]
    best = np.where(last_of_score, f1, 0.0).max(initial=0.0)
    return float(ranking.scores[last_of_score & (f1 == best)][-1]) if best > 0 else float("inf")


def _some(ranking: Ranking, draws: NDArray[np.int64]) -> tuple[Floats, Floats]:
    people = draws @ ranking.people
    times = draws.astype(np.int32)[:, ranking.images]
    precision = np.zeros((len(draws), len(OKS_THRESHOLDS), len(RECALLS)))
    recall = np.zeros((len(draws), len(OKS_THRESHOLDS)))
    for row, (is_right, is_counted) in enumerate(zip(ranking.right, ranking.counted, strict=True)):
        hits = np.flatnonzero(is_right)  # precision peaks nowhere else
        if not len(hits):
            continue
        right = np.cumsum(times[:, hits], 1, np.int32)
        told = np.cumsum(times * is_counted, 1, np.int32)[:, hits]
        best = np.maximum.accumulate((right / np.maximum(told, 1))[:, ::-1], 1)[:, ::-1]
        best = np.pad(best, ((0, 0), (0, 1)))  # recall that is not reached has precision 0
        for draw in np.flatnonzero(people):
            precision[draw, row] = best[draw, np.searchsorted(right[draw] / people[draw], RECALLS)]
        recall[:, row] = right[:, -1] / np.maximum(people, 1)
    precision[people == 0], recall[people == 0] = np.nan, np.nan
    return precision, recall
