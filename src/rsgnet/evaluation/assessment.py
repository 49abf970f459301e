"""All there is to say about one results file: official figures, how sure they are, and what stands behind them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.readers import Annotations
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.average_precision import Ranking, best_f1_threshold, keypoint_figures, precision_recall, rank
from rsgnet.evaluation.calibration import Reliability, keypoint_claims, reliability
from rsgnet.evaluation.error_types import ErrorCounts, count_errors, figures_repaired
from rsgnet.evaluation.intervals import Difference, Interval, bootstrap_indices, differences, drawn_figures, intervals
from rsgnet.evaluation.matching import MatchedImage, read_scenes
from rsgnet.evaluation.official import official_evaluator
from rsgnet.evaluation.protocol import by_level, is_crowdpose
from rsgnet.evaluation.results import Results
from rsgnet.geometry import Floats


@dataclass(frozen=True)
class Settings:
    """What was held to what, and how.

    Attributes:
        annotations: The truth's file.
        results: The results' file.
        found_by: How the results came about, where that is known.
        protocol: coco or crowdpose.
        skeleton: The keypoints that were compared.
        images: How many images the truth has.
        people: How many people count in them.
        poses: How many poses the results hold.
        images_with_poses: In how many images they were found.
        resamples: How many times the images were drawn anew.
        seed: What the draws began with.
        errors_from_score: Mistakes were counted among poses of at least this score, where F1 at OKS 0.5 is highest.
    """

    annotations: str
    results: str
    found_by: str
    protocol: str
    skeleton: str
    images: int
    people: int
    poses: int
    images_with_poses: int
    resamples: int
    seed: int
    errors_from_score: float | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Another results file on the same images.

    Attributes:
        results: The other results' file.
        figures: Its figures, as `evaluate_keypoints` names them.
        differences: By figure, this file's less the other's.
        errors: Its mistakes on all images.
    """

    results: str
    figures: dict[str, float]
    differences: dict[str, Difference]
    errors: ErrorCounts


@dataclass(frozen=True, eq=False)
class Assessment:
    """What one results file is worth.

    Attributes:
        settings: What was held to what, and how.
        figures: As `evaluate_keypoints` names them.
        intervals: The 95 % interval of each figure that has one.
        precision: (10, 101) precision at each OKS threshold from 0.5 to 0.95, at recalls 0, 0.01, ... 1; NaN where
            there is nobody to measure on.
        errors: Mistakes on all images ("all") and by level.
        repaired: By kind of mistake, the figures were every such keypoint at its place.
        calibration: Keypoint scores, cut to 0..1, against whether the keypoints are right.
        scores_out_of_range: The share of keypoint scores that had to be cut.
        comparison: Another results file, where one was given.
    """

    settings: Settings
    figures: dict[str, float]
    intervals: dict[str, Interval]
    precision: Floats
    errors: dict[str, ErrorCounts]
    repaired: dict[str, dict[str, float]]
    calibration: Reliability
    scores_out_of_range: float
    comparison: Comparison | None

    def metrics(self) -> dict[str, Any]:
        """All of it as JSON takes it: the figures by their names, the rest below one key each."""
        curves = np.nan_to_num(self.precision, nan=-1.0)
        other = self.comparison
        return {
            **self.figures,
            "intervals": {name: asdict(interval) for name, interval in self.intervals.items()},
            "errors": {level: _errors(counts) for level, counts in self.errors.items()},
            "repaired": self.repaired,
            "calibration": {
                "keypoint_ece": self.calibration.expected_calibration_error,
                "probabilities": self.calibration.probabilities.tolist(),
                "frequencies": self.calibration.frequencies.tolist(),
                "counts": self.calibration.counts.tolist(),
                "scores_out_of_range": self.scores_out_of_range,
            },
            "precision_at_recall": {"oks50": curves[0].tolist(), "oks75": curves[5].tolist()},
            "comparison": other
            and {
                "results": other.results,
                "figures": other.figures,
                "differences": {name: asdict(difference) for name, difference in other.differences.items()},
                "errors": _errors(other.errors),
            },
            "settings": asdict(self.settings),
        }


def assess(
    truth: Annotations,
    results: Results,
    protocol: str = "auto",
    other: Results | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
    found_by: str = "",
) -> Assessment:
    """Evaluates poses, with intervals, mistakes and calibration, and compares them with others if there are any.

    Args:
        truth: The annotated people.
        results: The poses.
        protocol: As for `evaluate_keypoints`.
        other: Other poses of the same images to compare them with.
        resamples: How many times the images are drawn anew for the intervals.
        seed: What the draws begin with.
        found_by: How the poses came about, to be told in the report.

    Raises:
        RSGNetError: There is no such protocol, it does not fit the truth, or `resamples` is below 1.
    """
    if resamples < 1:
        raise RSGNetError(f"expected at least one resample, got {resamples}")
    crowdpose = is_crowdpose(truth, protocol)
    measured = _measure(truth, results, crowdpose)
    draws = bootstrap_indices(len(truth.images), resamples, seed)
    scores, right = keypoint_claims(measured.scenes, truth.skeleton)
    return Assessment(
        settings=Settings(
            annotations=str(truth.path),
            results=results.origin,
            found_by=found_by,
            protocol="crowdpose" if crowdpose else "coco",
            skeleton=truth.skeleton.name,
            images=len(truth.images),
            people=int(measured.ranking.people.sum()),
            poses=len(results),
            images_with_poses=len(set(results.image_ids.tolist())),
            resamples=resamples,
            seed=seed,
            errors_from_score=measured.cut if np.isfinite(measured.cut) else None,
        ),
        figures=measured.figures,
        intervals=intervals(drawn_figures(measured.ranking, draws)),
        precision=precision_recall(measured.ranking, np.ones((1, len(truth.images)), np.int64))[0][0],
        errors=measured.errors,
        repaired=figures_repaired(truth, measured.scenes, crowdpose),
        calibration=reliability(scores.clip(0, 1), right),
        scores_out_of_range=float((scores != scores.clip(0, 1)).mean()) if scores.size else 0.0,
        comparison=None if other is None else _compare(measured, truth, other, crowdpose, draws),
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """One results file, matched and measured."""

    scenes: tuple[MatchedImage, ...]
    ranking: Ranking
    figures: dict[str, float]
    cut: float
    errors: dict[str, ErrorCounts]


def _measure(truth: Annotations, results: Results, crowdpose: bool) -> _Measured:
    scenes = read_scenes(truth, results, crowdpose)
    ranking = rank(scenes)
    cut = best_f1_threshold(ranking)
    levels = {"all": list(range(len(scenes))), **by_level(ranking.levels)}
    errors = {level: count_errors([scenes[row] for row in rows], truth.skeleton, cut) for level, rows in levels.items()}
    figures = keypoint_figures(official_evaluator(truth, results, "keypoints", crowdpose), truth)
    return _Measured(scenes, ranking, figures, cut, errors)


def _compare(
    measured: _Measured, truth: Annotations, other: Results, crowdpose: bool, draws: NDArray[np.int64]
) -> Comparison:
    others = _measure(truth, other, crowdpose)
    apart = differences(measured.ranking, others.ranking, draws)
    return Comparison(other.origin, others.figures, apart, others.errors["all"])


def _errors(counts: ErrorCounts) -> dict[str, Any]:
    shares = {"keypoint_shares": counts.keypoint_shares(), "people_shares": counts.people_shares()}
    return {**asdict(counts), **shares}
