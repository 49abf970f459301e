"""All predictions of a data set in order of their scores, of which precision and recall are computed.

The data set itself, some of its images, or many bootstrap resamples of its images can be measured with one matching.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsgnet.evaluation.matching import NOBODY, MatchedImage, join_images, match_people
from rsgnet.evaluation.similarity import Similarities
from rsgnet.geometry import Floats

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
_AREAS = {"": (0.0, 1e10), "M": (32.0**2, 96.0**2), "L": (96.0**2, 1e10)}  # squared pixels
_VALUES_PER_CHUNK = 500_000  # of one step over resamples: few enough for the processor's cache


@dataclass(frozen=True, eq=False)
class Ranking:
    """All predictions of a data set in order of descending score, with whether each is correct.

    Attributes:
        scores: (N,) scores of the predictions.
        images: (N,) index of each prediction's image.
        correct: (10, N) whether the prediction is matched to an evaluated person, at each of OKS_THRESHOLDS.
        counted: (10, N) whether the prediction is evaluated; those matched to people who are not evaluated are not.
        people: (P,) the number of evaluated people in each image.
        levels: (P,) the crowd level of each image.
    """

    scores: Floats
    images: NDArray[np.intp]
    correct: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    people: NDArray[np.int64]
    levels: tuple[str | None, ...]

    def select_images(self, indices: Sequence[int]) -> Ranking:
        """Returns the ranking of some of the images, given by ascending indices."""
        kept = np.isin(self.images, indices)
        return replace(
            self,
            scores=self.scores[kept],
            images=np.searchsorted(indices, self.images[kept]),
            correct=self.correct[:, kept],
            counted=self.counted[:, kept],
            people=self.people[list(indices)],
            levels=tuple(self.levels[index] for index in indices),
        )


def rank_predictions(similarities: Similarities, skips_empty_images: bool = False) -> Ranking:
    """Matches the predictions of each image at all OKS_THRESHOLDS and ranks those of all images by score.

    Args:
        similarities: The predictions.
        skips_empty_images: Whether predictions are left out in images where nobody is evaluated.
    """
    return _rank_in_areas(similarities, {"": _AREAS[""]}, skips_empty_images)[""]


def rank_by_area(similarities: Similarities, skips_empty_images: bool = False) -> dict[str, Ranking]:
    """Returns, like `rank_predictions`, the rankings for everyone (""), medium ("M") and large ("L") people.

    People of other areas are not evaluated, nor are predictions of other areas that nobody is matched to.
    """
    return _rank_in_areas(similarities, _AREAS, skips_empty_images)


def rank_poses(images: Sequence[MatchedImage]) -> Ranking:
    """Returns the ranking of the poses of some images."""
    return rank_predictions(join_images(images))


def _rank_in_areas(
    similarities: Similarities, areas: Mapping[str, tuple[float, float]], skips_empty_images: bool
) -> dict[str, Ranking]:
    low, high = np.array([*areas.values()]).T[..., None]
    counted_people = similarities.counted & (similarities.areas >= low) & (similarities.areas <= high)
    matches = match_people(similarities, OKS_THRESHOLDS, counted_people)
    in_range = (similarities.sizes >= low) & (similarities.sizes <= high)
    person_image = np.repeat(np.arange(len(similarities.people_of_image)), similarities.people_of_image)
    order = np.argsort(-similarities.scores, kind="stable")
    rankings = {}
    for row, name in enumerate(areas):
        people = np.bincount(person_image[counted_people[row]], minlength=len(similarities.people_of_image))
        correct = np.append(counted_people[row], False)[matches[row]]  # the appended entry is for NOBODY, -1
        counted = correct | ((matches[row] == NOBODY) & in_range[row])
        if skips_empty_images:
            counted &= people[similarities.images] > 0
        images = similarities.images[order]
        rankings[name] = Ranking(
            similarities.scores[order], images, correct[:, order], counted[:, order], people, similarities.levels
        )
    return rankings


def compute_precision_recall(ranking: Ranking, counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Computes precision and recall of resampled data sets.

    Args:
        ranking: The predictions.
        counts: (B, P) how often each image occurs in each resample; a row of ones is the data set itself.

    Returns:
        (B, 10, 101) the official tools' precision at each OKS threshold and recall of 0, 0.01, ... 1, the mean of which
        is the average precision; and (B, 10) the recall. NaN for resamples without evaluated people.
    """
    sparse = [_Hits.of(correct, counted) for correct, counted in zip(ranking.correct, ranking.counted, strict=True)]
    people = counts @ ranking.people
    precision = np.zeros((len(counts), len(OKS_THRESHOLDS), len(RECALLS)))
    recall = np.zeros((len(counts), len(OKS_THRESHOLDS)))
    step = max(1, _VALUES_PER_CHUNK // max(1, len(ranking.scores)))
    for first in range(0, len(counts), step):
        chunk = slice(first, first + step)
        occurrences = counts[chunk].astype(np.int32).take(ranking.images, 1)
        ranks = np.cumsum(occurrences, 1, np.int32)
        # How many correct predictions each recall needs.
        needed = [np.searchsorted(np.arange(total + 1) / total, RECALLS) if total else None for total in people[chunk]]
        for threshold, hits in enumerate(sparse):
            if not len(hits.correct):
                continue
            correct, envelope = hits.compute_envelope(occurrences, ranks)
            recall[chunk, threshold] = correct[:, -1] / np.maximum(people[chunk], 1)
            for resample, wanted in enumerate(needed):
                if wanted is not None:
                    reached = np.searchsorted(correct[resample], wanted)
                    precision[first + resample, threshold] = envelope[resample, reached]
    precision[people == 0], recall[people == 0] = np.nan, np.nan
    return precision, recall


@dataclass(frozen=True, eq=False)
class _Hits:
    """Where the correct predictions of a ranking are at one threshold; precision has its local maxima there.

    Attributes:
        correct: (H,) the ranks of the correct predictions.
        ignored: (I,) the ranks of the predictions that are not evaluated.
        ignored_before: (H,) the number of the latter before each of the former.
    """

    correct: NDArray[np.intp]
    ignored: NDArray[np.intp]
    ignored_before: NDArray[np.intp]

    @classmethod
    def of(cls, is_correct: NDArray[np.bool_], is_counted: NDArray[np.bool_]) -> _Hits:
        correct, ignored = np.flatnonzero(is_correct), np.flatnonzero(~is_counted)
        return cls(correct, ignored, np.searchsorted(ignored, correct))

    def compute_envelope(
        self, occurrences: NDArray[np.int32], ranks: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], Floats]:
        """Computes the precision that is still reached from each correct prediction on.

        Args:
            occurrences: (B, N) how often each prediction occurs in each resample.
            ranks: (B, N) its cumulative sum.

        Returns:
            (B, H) the cumulative number of correct predictions, and (B, H + 1) the highest precision from each on; the
            last column, for recalls that are not reached, is 0.
        """
        correct = np.cumsum(occurrences.take(self.correct, 1), 1, np.int32)
        counted = ranks.take(self.correct, 1)
        if len(self.ignored):
            ignored = np.cumsum(occurrences.take(self.ignored, 1), 1, np.int32)
            counted -= np.pad(ignored, ((0, 0), (1, 0))).take(self.ignored_before, 1)
        envelope = np.zeros((len(correct), correct.shape[1] + 1))
        np.divide(correct, np.maximum(counted, 1), out=envelope[:, :-1])
        backwards = envelope[:, -2::-1]
        np.maximum.accumulate(backwards, 1, out=backwards)
        return correct, envelope


def best_f1_threshold(ranking: Ranking) -> float:
    """Returns the score threshold at which poses reach the highest F1 at OKS 0.5.

    It is an operating point that depends on the order of the scores only, and is therefore fair to any tool.

    Returns:
        The lowest of equally good thresholds; infinity where no pose is correct.
    """
    counted, correct = np.cumsum(ranking.counted[0]), np.cumsum(ranking.correct[0])
    f1 = 2 * correct / np.maximum(counted + ranking.people.sum(), 1)
    last_of_score = np.append(np.diff(ranking.scores) != 0, True)[: len(f1)]
    best = np.where(last_of_score, f1, 0.0).max(initial=0.0)
    return float(ranking.scores[last_of_score & (f1 == best)][-1]) if best > 0 else float("inf")
