"""The arithmetic of the benchmark of the relation's worth."""

from pathlib import Path

import numpy as np
import pytest
from tests.conftest import load_script

FILE = Path(__file__).parents[2] / "benchmarks" / "relation_ladder.py"


@pytest.fixture(scope="module")
def benchmark():
    load_script(FILE.with_name("relation_accuracy.py"))  # which it imports
    return load_script(FILE)


def test_recall_and_its_interval(benchmark):
    scores, others = np.array([0.97, 0.76, 0.3]), np.array([0.97, 0.49, 0.3])
    assert benchmark.recall(scores).tolist() == pytest.approx([1, 0.6, 0])
    low, difference, high = benchmark.interval(scores, others)
    assert difference == pytest.approx(0.2) and low == 0 and high == pytest.approx(0.6, abs=0.21)
