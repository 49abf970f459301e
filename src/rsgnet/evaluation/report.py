"""The HTML report of an assessment: metrics, plots and settings in one file that loads nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from html import escape

import numpy as np

from rsgnet.evaluation.assessment import Assessment, Comparison
from rsgnet.evaluation.error_types import KEYPOINT_KINDS, ErrorCounts
from rsgnet.evaluation.plots import (
    IntervalRow,
    Line,
    render_intervals,
    render_lines,
    render_page,
    render_section,
    render_stacked_bars,
    render_table,
)
from rsgnet.evaluation.ranking import RECALLS

FEW_IMAGES = 10  # below it, a bootstrap interval says little

_METRICS_NOTE = (
    "AP and AR: average precision and recall over OKS from 0.5 to 0.95. M and L: medium people (32² to 96² pixels) and "
    "large ones. easy, medium and hard: crowd index below 0.2, below 0.8, and from 0.8 on."
)


def render_report(assessment: Assessment) -> str:
    """Returns the report as one HTML page."""
    sections = [
        _metrics(assessment),
        *([] if assessment.comparison is None else [_comparison(assessment, assessment.comparison)]),
        _keypoint_errors(assessment),
        _error_costs(assessment),
        _people_errors(assessment),
        _precision_recall(assessment),
        _calibration(assessment),
        _settings(assessment),
    ]
    subject = f"{assessment.settings.results} on {assessment.settings.annotations}"
    return render_page(subject, "Pose evaluation", subject, sections)


def _metrics(assessment: Assessment) -> str:
    rows, plotted = [], []
    for name, value in assessment.metrics.items():
        interval = assessment.intervals.get(name)
        bounds = "" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
        rows.append([name, _format_metric(value), bounds])
        if interval is not None:
            plotted.append(IntervalRow(name, value, interval.low, interval.high))
    resamples = assessment.settings.resamples
    note = f"{_METRICS_NOTE} Intervals contain 95 % of {resamples} bootstrap resamples of the images."
    warning = warn_of_few_images(assessment)
    alert = f'<p class="warning">{escape(warning)}</p>' if warning else ""
    table = render_table(["", "", "95 % interval"], rows)
    plot = render_intervals(plotted, "Metrics with their intervals") if plotted else ""
    return render_section("Official metrics", note, alert, plot, table)


def warn_of_few_images(assessment: Assessment) -> str:
    """Returns a sentence about the metrics that rest on fewer than FEW_IMAGES images; "" where none does."""
    few = [f"{name} ({count})" for name, count in assessment.images_behind.items() if 0 < count < FEW_IMAGES]
    if not few:
        return ""
    return f"On fewer than {FEW_IMAGES} images, so that the intervals mean little: {', '.join(few)}."


def _comparison(assessment: Assessment, other: Comparison) -> str:
    rows, plotted = [], []
    for name, difference in other.differences.items():
        bounds = f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
        both = [_format_metric(assessment.metrics[name]), _format_metric(other.metrics[name])]
        rows.append([name, *both, bounds, f"{difference.better:.0%}"])
        plotted.append(IntervalRow(name, difference.value, difference.low, difference.high))
    shares, other_shares = assessment.errors["all"].keypoint_shares(), other.errors.keypoint_shares()
    kinds = [[kind, f"{shares[kind]:.1%}", f"{other_shares[kind]:.1%}"] for kind in KEYPOINT_KINDS]
    note = (
        f"Minus {other.results}, in the same resamples of the images. If an interval excludes 0, the results differ. "
        '"better" is the share of resamples in which these results score higher.'
    )
    table = render_table(["", "this", "other", "difference (95 % interval)", "better"], rows)
    plot = render_intervals(plotted, "Differences with their intervals", zero=True)
    return render_section("Comparison", note, plot, table, render_table(["keypoints", "this", "other"], kinds))


def _keypoint_errors(assessment: Assessment) -> str:
    shares = {level: counts.keypoint_shares() for level, counts in _disjoint_levels(assessment).items()}
    rows = [
        [kind, *(getattr(counts, kind) for counts in assessment.errors.values())]
        for kind in (*KEYPOINT_KINDS, "keypoints")
    ]
    note = (
        "Labelled keypoints of people with a pose: good or jittered at their position, inverted to the other side of "
        "the same person, swapped to another person, or missed."
    )
    plot = render_stacked_bars(shares, KEYPOINT_KINDS, "Keypoints by kind of error and crowd level")
    return render_section("Keypoint errors", note, plot, render_table(["", *_spaced(assessment.errors)], rows))


def _error_costs(assessment: Assessment) -> str:
    names = [name for name in assessment.metrics if name == "AP" or name.startswith("AP_")]
    rows = [
        [kind, *(_format_gain(metrics[name], assessment.metrics[name]) for name in names)]
        for kind, metrics in assessment.metrics_without_errors.items()
    ]
    note = (
        "How much AP would gain, on all images and by crowd level, if every keypoint with one kind of error were right."
    )
    levels = _spaced(name.removeprefix("AP_").replace("AP", "all") for name in names)
    return render_section("Cost of keypoint errors", note, render_table(["", *levels], rows))


def _spaced(names: Iterable[str]) -> list[str]:
    return [name.replace("_", " + ") for name in names]


def _people_errors(assessment: Assessment) -> str:
    rows = [
        [level, counts.matched_people, counts.missed_people, counts.duplicate_people, counts.false_people]
        for level, counts in zip(_spaced(assessment.errors), assessment.errors.values(), strict=True)
    ]
    min_score = assessment.settings.errors_from_score
    note = "People without a pose, further poses of the same person, and poses of nobody" + (
        "." if min_score is None else f", among poses with a score of at least {min_score:.3f} (highest F1 at OKS 0.5)."
    )
    return render_section(
        "People errors", note, render_table(["", "with a pose", "missed", "duplicate", "false"], rows)
    )


def _precision_recall(assessment: Assessment) -> str:
    precision = np.nan_to_num(assessment.precision)
    lines = [Line(f"OKS {oks}", RECALLS.tolist(), precision[row].tolist()) for oks, row in (("0.50", 0), ("0.75", 5))]
    note = "The share of correct poses against the share of people found, as the score threshold decreases."
    return render_section("Precision and recall", note, render_lines(lines, "recall", "precision"))


def _calibration(assessment: Assessment) -> str:
    curve = assessment.calibration
    note = (
        "Keypoint scores against the share of correct keypoints (similarity of at least 0.5), in bins of equal counts. "
        "On the dashed line scores equal probabilities; the expected calibration error is "
        f"{curve.expected_calibration_error:.3f}."
    )
    if assessment.scores_out_of_range:
        note += f" {assessment.scores_out_of_range:.1%} of the scores were outside 0 to 1 and clipped."
    line = Line("keypoints", curve.probabilities.tolist(), curve.frequencies.tolist())
    return render_section("Calibration", note, render_lines([line], "score", "share correct", diagonal=True, dots=True))


def _settings(assessment: Assessment) -> str:
    settings = {**asdict(assessment.settings), "errors_from_score": assessment.settings.errors_from_score or 0.0}
    rows = [
        [name.replace("_", " "), f"{value:.3f}" if isinstance(value, float) else value]
        for name, value in settings.items()
        if value != ""
    ]
    return render_section("Settings", "", f'<div class="texts">{render_table(["", ""], rows)}</div>')


def _disjoint_levels(assessment: Assessment) -> dict[str, ErrorCounts]:
    return {level: counts for level, counts in assessment.errors.items() if level != "medium_hard"}


def _format_metric(value: float) -> str:
    return "" if value < 0 else f"{value:.3f}"


def _format_gain(value: float, baseline: float) -> str:
    return "" if baseline < 0 else f"{value - baseline:+.3f}"
