"""An ablation as Markdown and as JSON: the cost and figures of each variant, and its lead over the plain one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rsgnet.evaluation.intervals import PairedDifference, SeedMean
from rsgnet.model.cost import Cost
from rsgnet.reproduce.ablation import Ablation, Outcome, cost_of_variant, tensors_taken
from rsgnet.reproduce.tables import table_line
from rsgnet.reproduce.variants import PLAIN, Variant

_FIGURES = (
    "AP", "AP_easy", "AP_medium", "AP_hard", "AP_medium_hard",
    "swapped", "swapped_easy", "swapped_medium", "swapped_hard", "inverted", "missed",
)  # fmt: skip
_CLEAR = " *"


@dataclass(frozen=True)
class VariantRow:
    """What is known of an variant before it is measured.

    Attributes:
        variant: The variant.
        cost: Its network's.
        taken: How many of its tensors it starts from given weights.
        tensors: How many it has.
        seeds: Which seeds are trained.
    """

    variant: Variant
    cost: Cost
    taken: int
    tensors: int
    seeds: tuple[int, ...]

    @property
    def macs(self) -> int:
        """Multiply-adds, of layers and of other products."""
        return self.cost.macs


def variant_row(ablation: Ablation, variant: Variant) -> VariantRow:
    """What is known of an variant: its cost, what it starts from, what is trained.

    Raises:
        WeightsError: The weights that it is to start from do not fit.
    """
    return VariantRow(
        variant,
        cost_of_variant(ablation, variant),
        *tensors_taken(ablation, variant),
        tuple(ablation.seeds_done(variant)),
    )


def markdown(title: str, rows: Sequence[VariantRow], outcomes: Sequence[Outcome]) -> str:
    """The ablation for people.

    Args:
        title: What was compared.
        rows: The variants.
        outcomes: What came out on each benchmark.
    """
    lines = [f"# Ablation: {title}", "", *_variants(rows)]
    for outcome in outcomes:
        lines += ["", *_means(outcome), "", *_differences(outcome)]
    return "\n".join(lines) + "\n"


def as_json(title: str, rows: Sequence[VariantRow], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The ablation for programs: shares of 1, every figure, every seed."""
    return {
        "title": title,
        "variants": [
            {
                "name": row.variant.name, "title": row.variant.title, "settings": row.variant.settings,
                "parameters": row.cost.parameters, "multiply_adds": row.macs,
                "tensors": row.tensors, "tensors_taken": row.taken, "seeds": row.seeds,
            }
            for row in rows
        ],
        "benchmarks": [
            {
                "name": outcome.name, "images": outcome.images, "people": outcome.people,
                "means": {name: {key: asdict(at) for key, at in by.items()} for name, by in outcome.means.items()},
                "less_plain": {
                    variant: {key: {**asdict(at), "clear": at.is_clear} for key, at in by.items()}
                    for variant, by in outcome.differences.items()
                },
            }
            for outcome in outcomes
        ],
    }  # fmt: skip


def _variants(rows: Sequence[VariantRow]) -> list[str]:
    return _table(
        ["variant", "what it is", "parameters (M)", "multiply-adds (M)", "weights given", "seeds trained"],
        [
            [
                row.variant.name, row.variant.title, f"{row.cost.parameters / 1e6:.3f}", f"{row.macs / 1e6:.0f}",
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
    """Differences with what is clear of zero marked, each seed's average precision, and a line an variant."""
    by_variant = outcome.differences
    rows = [
        [name, *(_interval(by.get(name), "+.1f") + _mark(by.get(name)) for by in by_variant.values())]
        for name in _told(by_variant)
    ]
    rows += [
        [
            "AP, seed by seed",
            *(", ".join(f"{100 * seed:+.1f}" for seed in by["AP"].seeds) for by in by_variant.values()),
        ]
    ]
    note = (
        f"Less {PLAIN.name}, paired by seed and image;{_CLEAR} where it is clear of zero: the interval leaves it out "
        "and all seeds, two or more, agree. Higher is better for AP, lower for the others."
    )
    return [note, "", *_table([f"less {PLAIN.name}", *by_variant], rows), "", *_clear(outcome)]


def _told(by_variant: Mapping[str, Mapping[str, SeedMean]]) -> list[str]:
    return [name for name in _FIGURES if any(name in figures for figures in by_variant.values())]


def _interval(at: SeedMean | None, form: str) -> str:
    if at is None:
        return "-"
    value, low, high = (format(100 * each, form) for each in (at.value, at.low, at.high))
    return f"{value} ({low} to {high})"


def _mark(at: PairedDifference | None) -> str:
    return _CLEAR if at is not None and at.is_clear else ""


def _clear(outcome: Outcome) -> list[str]:
    found = {
        variant: [f"{name} {100 * by[name].value:+.1f}" for name in _FIGURES if name in by and by[name].is_clear]
        for variant, by in outcome.differences.items()
    }
    return [f"- {variant}: clear of zero in {', '.join(names) or 'nothing'}." for variant, names in found.items()]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [table_line(headings), table_line(["---"] * len(headings)), *(table_line(row) for row in rows)]
