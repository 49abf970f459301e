"""The performance page tells what the file of figures holds, and the README no other."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def report():
    spec = importlib.util.spec_from_file_location("report", ROOT / "benchmarks" / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def figures():
    return json.loads((ROOT / "docs" / "performance.json").read_text())


def test_the_page_is_made_of_the_file(report, figures):
    page = (ROOT / "docs" / "performance.md").read_text()
    assert report.page_with(figures, page) == page
    assert {"candidate_cost", "backends", "whole_line", "evaluation_speed"} <= figures.keys()


def test_every_benchmark_of_the_make_target_is_in_the_file(figures):
    target = (ROOT / "Makefile").read_text().partition("\nbench:")[2].partition("\n\n")[0]
    named = set(re.findall(r"\$\(BENCH\)/(\w+)\.py.*\$\(RESULT\)", target))
    assert named == {name.partition("_cpu")[0] for name in figures}


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (1234.4, "1,234"), (100, "100"), (1.2345, "1.23"), (0.05, "0.05"), (4.37e-4, "4.4e-04")],
)
def test_numbers(report, value, told):
    assert report.number(value) == told


def test_the_readme_quotes_the_file(report, figures):
    readme = (ROOT / "README.md").read_text()
    assert len(re.findall(r"\d <!-- \w+: .+? -->", readme)) >= 4
    assert report.page_with(figures, readme) == readme


def test_a_quotation_takes_the_figure_that_it_names(report):
    spread = {"median": 1.5, "low": 1.0, "high": 2.0}
    figures = {"speed": {"figures": [{"what": "a: b", "value": spread}]}}
    assert report.page_with(figures, "It is 9,9 <!-- speed: a: b --> times.") == "It is 1.5 <!-- speed: a: b --> times."
    with pytest.raises(ValueError, match="not enough values"):
        report.page_with(figures, "It is 9 <!-- speed: c -->.")
