"""The full evaluation of one results file: official metrics with intervals, error types, calibration, a comparison."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import Annotations
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.average_precision import compute_level_metrics, compute_overall_metrics, compute_part_metrics
from rsgnet.evaluation.calibration import ReliabilityCurve, collect_keypoint_scores, compute_reliability
from rsgnet.evaluation.error_types import ErrorCounts, compute_metrics_without_errors, count_image_errors
from rsgnet.evaluation.intervals import (
    Difference,
    Interval,
    bootstrap_counts,
    bootstrap_metrics,
    compute_differences,
    compute_intervals,
)
from rsgnet.evaluation.matching import MatchedImage, split_images
from rsgnet.evaluation.protocol import OksProtocol, choose_protocol, group_by_level
from rsgnet.evaluation.ranking import Ranking, best_f1_threshold, compute_precision_recall, rank_by_area
from rsgnet.evaluation.results import Results
from rsgnet.evaluation.similarity import compare_poses
from rsgnet.geometry import Floats


@dataclass(frozen=True)
class Settings:
    """The inputs and options of an evaluation.

    Attributes:
        annotations: The annotation file.
        results: The results file.
        found_by: How the results were made, "" where unknown.
        protocol: The name of the rules.
        skeleton: The name of the evaluated skeleton.
        images: The number of annotated images.
        people: The number of people evaluated in them.
        poses: The number of poses in the results.
        images_with_poses: The number of images that have a pose.
        resamples: The number of bootstrap resamples of the images.
        seed: The random seed of the resamples.
        errors_from_score: Errors are counted among poses with at least this score, at which F1 at OKS 0.5 is highest;
            None where no pose is correct.
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
    """The comparison with another results file on the same images.

    Attributes:
        results: The other results file.
        metrics: Its metrics, by the names of `evaluate_keypoints`.
        differences: By metric, the assessed file's minus the other's.
        errors: Its errors on all images.
    """

    results: str
    metrics: dict[str, float]
    differences: dict[str, Difference]
    errors: ErrorCounts


@dataclass(frozen=True, eq=False)
class Assessment:
    """The evaluation of one results file.

    Attributes:
        settings: The inputs and options.
        metrics: By the names of `evaluate_keypoints`.
        intervals: The 95 % interval of each metric that has one; none where it rests on a single image.
        images_behind: The number of images with evaluated people that each metric with an interval rests on.
        precision: (10, 101) precision at each OKS threshold from 0.5 to 0.95 and recall of 0, 0.01, ... 1; NaN without
            evaluated people.
        errors: Errors on all images ("all") and by crowd level.
        metrics_without_errors: By kind of error, the metrics if all keypoints of that kind were at their labels.
        calibration: Keypoint scores, clipped to 0..1, against the correctness of the keypoints.
        scores_out_of_range: The share of keypoint scores that were clipped.
        comparison: The comparison with another results file, where one was given.
    """

    settings: Settings
    metrics: dict[str, float]
    intervals: dict[str, Interval]
    images_behind: dict[str, int]
    precision: Floats
    errors: dict[str, ErrorCounts]
    metrics_without_errors: dict[str, dict[str, float]]
    calibration: ReliabilityCurve
    scores_out_of_range: float
    comparison: Comparison | None

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of metrics.json: each metric under its name, everything else under one key each."""
        precision = np.nan_to_num(self.precision, nan=-1.0)
        other = self.comparison
        return {
            **self.metrics,
            "intervals": {name: asdict(interval) for name, interval in self.intervals.items()},
            "images_behind": self.images_behind,
            "errors": {level: _errors_dict(counts) for level, counts in self.errors.items()},
            "repaired": self.metrics_without_errors,
            "calibration": {
                "keypoint_ece": self.calibration.expected_calibration_error,
                "probabilities": self.calibration.probabilities.tolist(),
                "frequencies": self.calibration.frequencies.tolist(),
                "counts": self.calibration.counts.tolist(),
                "scores_out_of_range": self.scores_out_of_range,
            },
            "precision_at_recall": {"oks50": precision[0].tolist(), "oks75": precision[5].tolist()},
            "comparison": other
            and {
                "results": other.results,
                "figures": other.metrics,
                "differences": {name: asdict(difference) for name, difference in other.differences.items()},
                "errors": _errors_dict(other.errors),
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
    """Evaluates poses with intervals, error types and calibration, and compares them with other poses if given.

    Args:
        truth: The annotated people.
        results: The predicted poses.
        protocol: As in `evaluate_keypoints`.
        other: Other poses in the same images, to compare with.
        resamples: The number of bootstrap resamples for the intervals.
        seed: The random seed of the resamples.
        found_by: How the poses were made, for the report.

    Raises:
        RSGNetError: There is no such protocol, it does not fit the annotations, or `resamples` is below 1.
    """
    if resamples < 1:
        raise RSGNetError(f"expected at least one resample, got {resamples}")
    rules = choose_protocol(truth, protocol)
    measured = _measure(truth, results, rules)
    counts = bootstrap_counts(len(truth.images), resamples, seed)
    intervals = compute_intervals(bootstrap_metrics(measured.ranking, counts))
    images_behind = {name: _count_images(measured.ranking, name) for name in intervals}
    scores, correct = collect_keypoint_scores(measured.images, truth.skeleton)
    return Assessment(
        settings=Settings(
            annotations=str(truth.path),
            results=results.origin,
            found_by=found_by,
            protocol=rules.name,
            skeleton=truth.skeleton.name,
            images=len(truth.images),
            people=int(measured.ranking.people.sum()),
            poses=len(results),
            images_with_poses=len(set(results.image_ids.tolist())),
            resamples=resamples,
            seed=seed,
            errors_from_score=measured.min_score if np.isfinite(measured.min_score) else None,
        ),
        metrics=measured.metrics,
        intervals={name: interval for name, interval in intervals.items() if images_behind[name] > 1},
        images_behind=images_behind,
        precision=compute_precision_recall(measured.ranking, np.ones((1, len(truth.images)), np.int64))[0][0],
        errors=measured.errors,
        metrics_without_errors=compute_metrics_without_errors(truth, measured.images, rules),
        calibration=compute_reliability(scores.clip(0, 1), correct),
        scores_out_of_range=float((scores != scores.clip(0, 1)).mean()) if scores.size else 0.0,
        comparison=None if other is None else _compare(measured, truth, other, rules, counts),
    )


def _count_images(ranking: Ranking, metric: str) -> int:
    """Returns the number of images with evaluated people of the crowd level that a metric is about."""
    levels = group_by_level(ranking.levels)
    rows = levels[metric.removeprefix("AP_")] if metric.startswith("AP_") else range(len(ranking.levels))
    return int((ranking.people[list(rows)] > 0).sum())


@dataclass(frozen=True, eq=False)
class _Measured:
    """One results file, matched and measured."""

    images: tuple[MatchedImage, ...]
    ranking: Ranking
    metrics: dict[str, float]
    min_score: float
    errors: dict[str, ErrorCounts]


def _measure(truth: Annotations, results: Results, protocol: OksProtocol) -> _Measured:
    similarities = compare_poses(truth, results, protocol, protocol.part)
    images = split_images(truth, results, similarities)
    rankings = rank_by_area(similarities, protocol.skips_empty_images)
    ranking = rankings[""]
    min_score = best_f1_threshold(ranking)
    levels = {"all": list(range(len(images))), **group_by_level(ranking.levels)}
    counts = count_image_errors(images, truth.skeleton, min_score)
    errors = {level: sum((counts[row] for row in rows), ErrorCounts()) for level, rows in levels.items()}
    metrics = {
        **compute_overall_metrics(rankings),
        **compute_level_metrics(ranking),
        **compute_part_metrics(truth, results, protocol),
    }
    return _Measured(images, ranking, metrics, min_score, errors)


def _compare(
    measured: _Measured, truth: Annotations, other: Results, protocol: OksProtocol, counts: NDArray[np.int64]
) -> Comparison:
    measured_other = _measure(truth, other, protocol)
    differences = {
        name: difference
        for name, difference in compute_differences(measured.ranking, measured_other.ranking, counts).items()
        if _count_images(measured.ranking, name) > 1
    }
    return Comparison(other.origin, measured_other.metrics, differences, measured_other.errors["all"])


def _errors_dict(counts: ErrorCounts) -> dict[str, Any]:
    return {
        **asdict(counts),
        "keypoint_shares": counts.keypoint_shares(),
        "people_shares": counts.people_shares(),
    }
