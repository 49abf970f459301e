"""One HTML file that tells what an assessment found: figures, plots and settings, with nothing to load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape

import numpy as np

from rsgnet.evaluation.assessment import Assessment, Comparison
from rsgnet.evaluation.average_precision import RECALLS
from rsgnet.evaluation.error_types import KEYPOINT_KINDS, ErrorCounts
from rsgnet.evaluation.plots import PLOT_STYLE, Line, Whisker, line_plot, stacked_bars, whiskers

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem;
  background: Canvas; color: CanvasText; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 0 0 .25rem; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 2rem; }
section { min-width: 0; overflow-x: auto; } p { margin: .25rem 0 .5rem; } .note { opacity: .75; font-size: .9rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; width: 100%; }
th, td { text-align: right; padding: .15rem .3rem; border-bottom: 1px solid rgb(128 128 128 / .3); }
th:first-child, td:first-child { text-align: left; padding-left: 0; } td { white-space: nowrap; }
td:last-child { white-space: normal; }
.legend { font-size: .85rem; } .legend span { margin-right: .75rem; white-space: nowrap; }
"""

_NAMES = {
    "AP": "average precision, mean over OKS 0.5 to 0.95",
    "AR": "average recall",
    "APM": "medium people (32² to 96² pixels)",
    "APL": "large people",
    "AP_easy": "crowd index below 0.2",
    "AP_medium": "crowd index below 0.8",
    "AP_hard": "crowd index from 0.8",
}


def report_html(assessment: Assessment) -> str:
    """The report as one HTML page.

    Args:
        assessment: What to tell.
    """
    sections = [
        _figures(assessment),
        *([] if assessment.comparison is None else [_comparison(assessment, assessment.comparison)]),
        _keypoint_errors(assessment),
        _repaired(assessment),
        _people_errors(assessment),
        _precision_recall(assessment),
        _calibration(assessment),
        _settings(assessment),
    ]
    settings = assessment.settings
    heading = f"{settings.results} on {settings.annotations}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{_STYLE}{PLOT_STYLE}</style></head>"
        f'<body><h1>Pose evaluation</h1><p class="note">{escape(heading)}</p>'
        f"<main>{''.join(sections)}</main></body></html>"
    )


def _figures(assessment: Assessment) -> str:
    rows, shown = [], []
    for name, value in assessment.figures.items():
        interval = assessment.intervals.get(name)
        told = "" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
        rows.append([name, _value(value), told, _NAMES.get(name, "")])
        if interval is not None:
            shown.append(Whisker(name, value, interval.low, interval.high))
    note = f"With the interval that 95 % of {assessment.settings.resamples} draws of the images fall into."
    table = _table(["", "", "95 % interval", ""], rows)
    return _section("Official figures", note, whiskers(shown, "Figures with their intervals"), table)


def _comparison(assessment: Assessment, other: Comparison) -> str:
    rows, shown = [], []
    for name, apart in other.differences.items():
        told = f"{apart.low:+.3f} to {apart.high:+.3f}"
        both = [_value(assessment.figures[name]), _value(other.figures[name])]
        rows.append([name, *both, f"{apart.value:+.3f}", told, f"{apart.better:.0%}"])
        shown.append(Whisker(name, apart.value, apart.low, apart.high))
    here, there = assessment.errors["all"].keypoint_shares(), other.errors.keypoint_shares()
    kinds = [[kind, f"{here[kind]:.1%}", f"{there[kind]:.1%}"] for kind in KEYPOINT_KINDS]
    note = (
        f"Less {other.results}, the same images drawn for both. An interval without 0 tells the two apart; "
        "better is the share of draws in which these results score higher."
    )
    table = _table(["", "this", "other", "difference", "95 % interval", "better"], rows)
    plot = whiskers(shown, "Differences with their intervals", zero=True)
    return _section("Compared", note, plot, table, _table(["keypoints", "this", "other"], kinds))


def _keypoint_errors(assessment: Assessment) -> str:
    shares = {level: counts.keypoint_shares() for level, counts in _levels(assessment).items()}
    rows = [
        [level, *(f"{getattr(counts, kind)}" for kind in KEYPOINT_KINDS), f"{counts.keypoints}"]
        for level, counts in assessment.errors.items()
    ]
    note = (
        "Labelled keypoints of people with a pose: good or jittered at their place, inverted on the other side of the "
        "same person, swapped to another person, or missed."
    )
    plot = stacked_bars(shares, KEYPOINT_KINDS, "Keypoints by kind of error and level of crowding")
    return _section("Keypoint errors", note, plot, _table(["", *KEYPOINT_KINDS, "all"], rows))


def _repaired(assessment: Assessment) -> str:
    names = [name for name in assessment.figures if name == "AP" or name.startswith("AP_")]
    rows = [
        [kind, *(_gain(figures[name], assessment.figures[name]) for name in names)]
        for kind, figures in assessment.repaired.items()
    ]
    note = "What the figures would gain, were every keypoint of one kind of error at its place and all else as it is."
    return _section("What keypoint errors cost", note, _table(["", *names], rows))


def _people_errors(assessment: Assessment) -> str:
    rows = [
        [level, counts.matched_people, counts.missed_people, counts.duplicate_people, counts.false_people]
        for level, counts in assessment.errors.items()
    ]
    cut = assessment.settings.errors_from_score
    note = "People without a pose, second poses of one person, and poses of nobody" + (
        "." if cut is None else f", among poses that score at least {cut:.3f}, where F1 at OKS 0.5 is highest."
    )
    return _section("People errors", note, _table(["", "with a pose", "missed", "duplicate", "false"], rows))


def _precision_recall(assessment: Assessment) -> str:
    curves = np.nan_to_num(assessment.precision)
    lines = [Line(f"OKS {oks}", RECALLS.tolist(), curves[row].tolist()) for oks, row in (("0.50", 0), ("0.75", 5))]
    note = "How many poses are right, over how many people have been found, as the score asked for falls."
    return _section("Precision and recall", note, line_plot(lines, "recall", "precision"))


def _calibration(assessment: Assessment) -> str:
    curve = assessment.calibration
    note = (
        "Keypoint scores against how often the keypoint is right (similarity of at least 0.5), in bins of equally "
        "many. On the dashed line scores can be believed; the expected calibration error is "
        f"{curve.expected_calibration_error:.3f}."
    )
    if assessment.scores_out_of_range:
        note += f" {assessment.scores_out_of_range:.1%} of the scores were outside 0 to 1 and cut to it."
    line = Line("keypoints", curve.probabilities.tolist(), curve.frequencies.tolist())
    return _section("Calibration", note, line_plot([line], "score", "share right", diagonal=True, dots=True))


def _settings(assessment: Assessment) -> str:
    rows = [[name.replace("_", " "), value] for name, value in asdict(assessment.settings).items() if value != ""]
    return _section("Settings", "", _table(["", ""], rows))


def _levels(assessment: Assessment) -> dict[str, ErrorCounts]:
    """Everyone and the levels that do not overlap."""
    return {level: counts for level, counts in assessment.errors.items() if level != "medium_hard"}


def _section(title: str, note: str, *parts: str) -> str:
    return f'<section><h2>{escape(title)}</h2><p class="note">{escape(note)}</p>{"".join(parts)}</section>'


def _table(header: Iterable[str], rows: Sequence[Sequence[object]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _value(figure: float) -> str:
    return "" if figure < 0 else f"{figure:.3f}"


def _gain(figure: float, over: float) -> str:
    return "" if over < 0 else f"{figure - over:+.3f}"
