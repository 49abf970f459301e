"""The Markdown of known metrics."""

from rsgnet.evaluation.intervals import PairedDifference, SeedMean
from rsgnet.reproduce.ablation import BenchmarkResult
from rsgnet.reproduce.ablation_table import ablation_markdown

RESULT = BenchmarkResult(
    "crowds", 300, 1935,
    {
        "plain": {"AP": SeedMean(0.5, 0.45, 0.55, (0.49, 0.51)), "swapped": SeedMean(0.1, 0.08, 0.12, (0.1, 0.1))},
        "trp": {"AP": SeedMean(0.52, 0.47, 0.57, (0.52, 0.52))},
    },
    {
        "trp": {
            "AP": PairedDifference(0.02, 0.01, 0.03, (0.03, 0.01)),
            "missed": PairedDifference(-0.01, -0.03, 0.01, (-0.03, 0.01)),
        }
    },
)  # fmt: skip


def test_percent_with_intervals_and_marks():
    lines = ablation_markdown("rsgnet-light", [], [RESULT]).splitlines()
    assert "## crowds: 300 images, 1935 people" in lines
    assert "|  | plain | trp |" in lines
    assert "| AP | 50.0 (45.0 to 55.0) | 52.0 (47.0 to 57.0) |" in lines
    assert "| swapped | 10.0 (8.0 to 12.0) | - |" in lines
    assert "| AP | +2.0 (+1.0 to +3.0) * |" in lines
    assert "| missed | -1.0 (-3.0 to +1.0) |" in lines
    assert "| AP, seed by seed | +3.0, +1.0 |" in lines
    assert "- trp: clear of zero in AP +2.0." in lines
