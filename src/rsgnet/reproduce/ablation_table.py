"""The results of an ablation as Markdown and JSON: cost and metrics of each variant, and its differences to plain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rsgnet.evaluation.intervals import PairedDifference, SeedMean
from rsgnet.model.cost import Cost
from rsgnet.reproduce.ablation import Ablation, BenchmarkResult, count_loaded_tensors
from rsgnet.reproduce.measure import compute_cost
from rsgnet.reproduce.table_output import markdown_table
from rsgnet.reproduce.variants import PLAIN, Variant

_METRICS = (
    "AP", "AP_easy", "AP_medium", "AP_hard", "AP_medium_hard",
    "swapped", "swapped_easy", "swapped_medium", "swapped_hard", "inverted", "missed",
)  # fmt: skip
_CLEAR_MARK = " *"


@dataclass(frozen=True)
class VariantSummary:
    """One variant of an ablation, its cost and the state of its training.

    Attributes:
        variant: The variant.
        cost: The size and computation of its network.
        loaded_tensors: How many of its tensors start from given weights.
        tensors: How many tensors it has.
        trained_seeds: The seeds of which the training is finished.
    """

    variant: Variant
    cost: Cost
    loaded_tensors: int
    tensors: int
    trained_seeds: tuple[int, ...]


def summarise_variant(ablation: Ablation, variant: Variant) -> VariantSummary:
    """Summarises a variant: its cost, its starting weights and its finished runs.

    Raises:
        WeightsError: The weights that it is to start from do not fit.
    """
    cost = compute_cost(ablation.run_config(variant))
    loaded, tensors = count_loaded_tensors(ablation, variant)
    return VariantSummary(variant, cost, loaded, tensors, tuple(ablation.trained_seeds(variant)))


def ablation_json(
    title: str, summaries: Sequence[VariantSummary], results: Sequence[BenchmarkResult]
) -> dict[str, Any]:
    """Returns the ablation as JSON content; metrics are fractions of 1."""
    return {
        "title": title,
        "variants": [
            {
                "name": each.variant.name, "title": each.variant.title, "settings": each.variant.settings,
                "parameters": each.cost.parameters, "multiply_adds": each.cost.macs,
                "tensors": each.tensors, "tensors_taken": each.loaded_tensors, "seeds": each.trained_seeds,
            }
            for each in summaries
        ],
        "benchmarks": [
            {
                "name": result.name, "images": result.images, "people": result.people,
                "means": {
                    name: {metric: asdict(mean) for metric, mean in means.items()}
                    for name, means in result.means.items()
                },
                "less_plain": {
                    name: {metric: {**asdict(each), "clear": each.is_clear} for metric, each in differences.items()}
                    for name, differences in result.differences.items()
                },
            }
            for result in results
        ],
    }  # fmt: skip


def ablation_markdown(title: str, summaries: Sequence[VariantSummary], results: Sequence[BenchmarkResult]) -> str:
    """Returns the ablation as Markdown text; metrics are in percent."""
    lines = [f"# Ablation: {title}", "", *_variants_table(summaries)]
    for result in results:
        lines += ["", *_means_section(result), "", *_differences_section(result)]
    return "\n".join(lines) + "\n"


def _variants_table(summaries: Sequence[VariantSummary]) -> list[str]:
    return markdown_table(
        ["variant", "what it is", "parameters (M)", "multiply-adds (M)", "weights given", "seeds trained"],
        [
            [
                each.variant.name, each.variant.title, f"{each.cost.parameters / 1e6:.3f}",
                f"{each.cost.macs / 1e6:.0f}", f"{each.loaded_tensors} of {each.tensors} tensors",
                f"{len(each.trained_seeds)}",
            ]
            for each in summaries
        ],
    )  # fmt: skip


def _means_section(result: BenchmarkResult) -> list[str]:
    rows = [
        [metric, *(_format_interval(means.get(metric), ".1f") for means in result.means.values())]
        for metric in _known_metrics(result.means.values())
    ]
    return [
        f"## {result.name}: {result.images} images, {result.people} people",
        "",
        "In percent: the mean over the seeds, with the interval of 95 % of resamples of images and seeds.",
        "",
        *markdown_table(["", *result.means], rows),
    ]


def _differences_section(result: BenchmarkResult) -> list[str]:
    """Returns the table of differences, with clear ones marked, and one line per variant that lists the clear ones."""
    by_variant = result.differences
    rows = [
        [metric, *(_format_interval(each.get(metric), "+.1f") for each in by_variant.values())]
        for metric in _known_metrics(by_variant.values())
    ]
    seeds = [", ".join(f"{100 * seed:+.1f}" for seed in each["AP"].seeds) for each in by_variant.values()]
    clear = {
        name: [f"{key} {100 * each[key].value:+.1f}" for key in _METRICS if key in each and each[key].is_clear]
        for name, each in by_variant.items()
    }
    return [
        f"Less {PLAIN.name}, paired by seed and image;{_CLEAR_MARK} marks differences clear of zero: the interval "
        "excludes zero and all seeds, two or more, agree. Higher is better for AP, lower for the others.",
        "",
        *markdown_table([f"less {PLAIN.name}", *by_variant], [*rows, ["AP, seed by seed", *seeds]]),
        "",
        *(f"- {name}: clear of zero in {', '.join(found) or 'nothing'}." for name, found in clear.items()),
    ]


def _known_metrics(by_variant: Iterable[Mapping[str, SeedMean]]) -> list[str]:
    known = {metric for metrics in by_variant for metric in metrics}
    return [metric for metric in _METRICS if metric in known]


def _format_interval(mean: SeedMean | None, spec: str) -> str:
    if mean is None:
        return "-"
    value, low, high = (format(100 * each, spec) for each in (mean.value, mean.low, mean.high))
    mark = _CLEAR_MARK if isinstance(mean, PairedDifference) and mean.is_clear else ""
    return f"{value} ({low} to {high}){mark}"
