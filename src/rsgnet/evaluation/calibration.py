"""Whether scores can be believed: of keypoints scored 0.8, are 80 % right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.errors import RSGNetError
from rsgnet.evaluation.error_types import MATCH_OKS, NEAR_SIMILARITY
from rsgnet.evaluation.matching import MatchedImage, keypoint_similarity, match, matched_people
from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability curve.

    Attributes:
        probabilities: (B,) the mean of what was claimed, in each bin, ascending.
        frequencies: (B,) how often it came true.
        counts: (B,) how many claims are in it.
    """

    probabilities: Floats
    frequencies: Floats
    counts: NDArray[np.int64]

    @property
    def expected_calibration_error(self) -> float:
        """The mean distance of claim and truth, bins weighted by their counts (Guo et al., ICML 2017); 0 is best."""
        apart = np.abs(self.probabilities - self.frequencies)
        return float((apart * self.counts).sum() / max(self.counts.sum(), 1))


def reliability(probabilities: ArrayLike, outcomes: ArrayLike, bins: int = 10) -> Reliability:
    """Compares probabilities with what came true.

    Bins hold equally many claims, not equally wide ranges: scores crowd together, and a bin of a few would tell noise.
    Equal claims share a bin, so there may be fewer bins than asked for.

    Args:
        probabilities: (N,) claims in 0..1.
        outcomes: (N,) whether each came true.
        bins: How many bins at most, at least 1.

    Raises:
        RSGNetError: The lengths differ, a probability is not in 0..1, or there is no bin.
    """
    claimed, true = np.asarray(probabilities, np.float64), np.asarray(outcomes, bool)
    if claimed.ndim != 1 or claimed.shape != true.shape:
        raise RSGNetError(f"expected as many outcomes as probabilities, got {true.shape} and {claimed.shape}")
    if bins < 1 or not ((claimed >= 0) & (claimed <= 1)).all():
        raise RSGNetError(f"expected probabilities in 0..1 and at least one bin, got {bins} bins")
    if not len(claimed):
        return Reliability(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    ends = np.unique(np.quantile(claimed, np.linspace(0, 1, bins + 1)[1:], method="inverted_cdf"))
    places = np.searchsorted(ends, claimed)
    counts = np.bincount(places)
    return Reliability(
        np.bincount(places, claimed) / counts, np.bincount(places, true) / counts, counts.astype(np.int64)
    )


def keypoint_claims(scenes: Sequence[MatchedImage], skeleton: Skeleton) -> tuple[Floats, NDArray[np.bool_]]:
    """Every labelled keypoint of a matched person: what its score claims, and whether it is right.

    Right is a keypoint similarity (a term of OKS) of at least 0.5, at which COCO begins to count. Poses are matched as
    in `error_types.count_errors`, whatever they score.

    Args:
        scenes: The images.
        skeleton: The keypoints of their people.

    Returns:
        (N,) scores as the results give them, and (N,) whether the keypoint is right.
    """
    scores, right = [np.zeros(0)], [np.zeros(0, bool)]
    for scene in scenes:
        for index, person in matched_people(scene, match(scene, [MATCH_OKS])[0]):
            pose = scene.poses[index]
            places, area = scene.people[person], float(scene.areas[person])
            similarity = keypoint_similarity(pose[:, :2], places[:, :2], area, skeleton.sigmas)
            labelled = places[:, 2] > 0
            scores.append(pose[labelled, 2])
            right.append(similarity[labelled] >= NEAR_SIMILARITY)
    return np.concatenate(scores), np.concatenate(right)
