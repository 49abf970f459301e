"""An ablation as Markdown and as JSON: what each arm costs, what it reaches, and what it is ahead of the plain one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rsgnet.evaluation.paired_runs import PairedDifference, SeedMean
from rsgnet.model.cost import Cost
from rsgnet.reproduce.ablation import Ablation, Outcome, cost_of_arm, tensors_taken
from rsgnet.reproduce.arms import PLAIN, Arm
from rsgnet.reproduce.show import table_line

_FIGURES = (
    "AP", "AP_easy", "AP_medium", "AP_hard", "AP_medium_hard",
    "swapped", "swapped_easy", "swapped_medium", "swapped_hard", "inverted", "missed",
)  # fmt: skip
_CLEAR = " *"


@dataclass(frozen=True)
class ArmRow:
    """What is known of an arm before it is measured.

    Attributes:
        arm: The arm.
        cost: Its network's.
        taken: How many of its tensors it starts from given weights.
        tensors: How many it has.
        seeds: Which seeds are trained.
    """

    arm: Arm
    cost: Cost
    taken: int
    tensors: int
    seeds: tuple[int, ...]

    @property
    def macs(self) -> int:
        """Multiply-adds, of layers and of other products."""
        return self.cost.macs


def arm_row(ablation: Ablation, arm: Arm) -> ArmRow:
    """What is known of an arm: its cost, what it starts from, what is trained.

    Raises:
        WeightsError: The weights that it is to start from do not fit.
    """
    return ArmRow(arm, cost_of_arm(ablation, arm), *tensors_taken(ablation, arm), tuple(ablation.seeds_done(arm)))


def markdown(title: str, rows: Sequence[ArmRow], outcomes: Sequence[Outcome]) -> str:
    """The ablation for people.

    Args:
        title: What was compared.
        rows: The arms.
        outcomes: What came out on each benchmark.
    """
    lines = [f"# Ablation: {title}", "", *_arms(rows)]
    for outcome in outcomes:
        lines += ["", *_means(outcome), "", *_differences(outcome)]
    return "\n".join(lines) + "\n"


def as_json(title: str, rows: Sequence[ArmRow], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The ablation for programs: shares of 1, every figure, every seed."""
    return {
        "title": title,
        "arms": [
            {
                "name": row.arm.name, "title": row.arm.title, "settings": row.arm.settings,
                "parameters": row.cost.parameters, "multiply_adds": row.macs,
                "tensors": row.tensors, "tensors_taken": row.taken, "seeds": row.seeds,
            }
            for row in rows
        ],
        "benchmarks": [
            {
                "name": outcome.name, "images": outcome.images, "people": outcome.people,
                "means": {arm: {key: asdict(at) for key, at in by.items()} for arm, by in outcome.means.items()},
                "less_plain": {
                    arm: {key: {**asdict(at), "clear": at.is_clear} for key, at in by.items()}
                    for arm, by in outcome.differences.items()
                },
            }
            for outcome in outcomes
        ],
    }  # fmt: skip


def _arms(rows: Sequence[ArmRow]) -> list[str]:
    return _table(
        ["arm", "what it is", "parameters (M)", "multiply-adds (M)", "weights given", "seeds trained"],
        [
            [
                row.arm.name, row.arm.title, f"{row.cost.parameters / 1e6:.3f}", f"{row.macs / 1e6:.0f}",
                f"{row.taken} of {row.tensors} tensors", f"{len(row.seeds)}",
            ]
            for row in rows
        ],
    )  # fmt: skip


def _means(outcome: Outcome) -> list[str]:
    rows = [
        [name, *(_interval(means.get(name), ".1f") for means in outcome.means.values())]
        for name in _told(outcome.means)
    ]
    heading = f"## {outcome.name}: {outcome.images} images, {outcome.people} people"
    note = "In percent: the mean over the seeds, with the interval of 95 % of draws of images and seeds."
    return [heading, "", note, "", *_table(["", *outcome.means], rows)]


def _differences(outcome: Outcome) -> list[str]:
    """Differences with what is clear of zero marked, each seed's average precision, and a line an arm."""
    by_arm = outcome.differences
    rows = [
        [name, *(_interval(by.get(name), "+.1f") + _mark(by.get(name)) for by in by_arm.values())]
        for name in _told(by_arm)
    ]
    rows += [
        ["AP, seed by seed", *(", ".join(f"{100 * seed:+.1f}" for seed in by["AP"].seeds) for by in by_arm.values())]
    ]
    note = (
        f"Less {PLAIN.name}, paired by seed and image;{_CLEAR} where it is clear of zero: the interval leaves it out "
        "and all seeds, two or more, agree. Higher is better for AP, lower for the others."
    )
    return [note, "", *_table([f"less {PLAIN.name}", *by_arm], rows), "", *_clear(outcome)]


def _told(by_arm: Mapping[str, Mapping[str, SeedMean]]) -> list[str]:
    return [name for name in _FIGURES if any(name in figures for figures in by_arm.values())]


def _interval(at: SeedMean | None, form: str) -> str:
    if at is None:
        return "-"
    value, low, high = (format(100 * each, form) for each in (at.value, at.low, at.high))
    return f"{value} ({low} to {high})"


def _mark(at: PairedDifference | None) -> str:
    return _CLEAR if at is not None and at.is_clear else ""


def _clear(outcome: Outcome) -> list[str]:
    found = {
        arm: [f"{name} {100 * by[name].value:+.1f}" for name in _FIGURES if name in by and by[name].is_clear]
        for arm, by in outcome.differences.items()
    }
    return [f"- {arm}: clear of zero in {', '.join(names) or 'nothing'}." for arm, names in found.items()]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [table_line(headings), table_line(["---"] * len(headings)), *(table_line(row) for row in rows)]
