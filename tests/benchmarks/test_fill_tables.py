"""The README and the documentation hold the values of docs/accuracy.json and docs/performance.json."""

import json
import re
from pathlib import Path

import pytest
import torch
from tests.conftest import load_script

from rsgnet.checkpoint import build, read_config
from rsgnet.inference.weights import SHIPPED
from rsgnet.model.cost import count_cost

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def fill_tables():
    return load_script(ROOT / "benchmarks" / "fill_tables.py")


@pytest.fixture(scope="module")
def performance():
    return json.loads((ROOT / "docs" / "performance.json").read_text())


@pytest.fixture(scope="module")
def accuracy():
    return json.loads((ROOT / "docs" / "accuracy.json").read_text())


def test_every_table_is_in_one_page_and_up_to_date(fill_tables):
    pages = {name: (ROOT / name).read_text() for name in fill_tables.PAGES}
    assert {name: fill_tables.fill(page, fill_tables.read_tables()) for name, page in pages.items()} == pages
    named = re.findall(r"<!-- begin (\w+): ", "".join(pages.values()))
    assert sorted(named) == sorted(fill_tables.read_tables())


def test_the_file_holds_benchmarks_of_the_make_target_by_kind_of_processor(fill_tables, performance):
    target = (ROOT / "Makefile").read_text().partition("\nbench:")[2].partition("\n\n")[0]
    named = set(re.findall(r"\$\(BENCH\)/(\w+)\.py.*\$\(RESULT\)", target))
    assert set(performance) <= set(fill_tables.KINDS)
    for benchmarks in performance.values():
        assert {re.sub("_(cpu|cuda).*", "", name) for name in benchmarks} <= named


def test_engine_table_has_a_row_for_each_network_and_kind(fill_tables):
    speeds = {"eager PyTorch": 10.0, "onnx float32": 15.0}
    measurements = [
        {"name": f"small, batch 8: crops per second, {engine}", "value": {"median": speed}}
        for engine, speed in speeds.items()
    ]
    measurements.append({"name": "small, batch 8: onnx float32 relative to eager PyTorch", "value": {"median": 1.5}})
    other = [{"name": "small, batch 8: crops per second, eager PyTorch", "value": {"median": 4.0}}]
    performance = {
        "avx512": {"backend_speed": {"measurements": measurements}, "footprint": {"measurements": []}},
        "avx2": {"backend_speed": {"measurements": other}},
    }
    assert fill_tables.engine_table(performance).splitlines()[2:] == [
        "| `small` | AVX-512 | 8 | 10 (1.00) | 15 (1.50) |",
        "| `small` | AVX2 | 8 | 4 (1.00) |  |",
    ]


def test_model_sizes_are_those_of_the_weights(accuracy):
    for model in accuracy["models"]:
        config = read_config(SHIPPED / model["weights"])
        size_wh = config.crop.size_wh if model["task"] == "pose" else config.size_wh
        assert model["input"] == f"{size_wh[1]}x{size_wh[0]}"
        with torch.device("meta"):
            cost = count_cost(build(config), size_wh)
        assert model["parameters_millions"] == round(cost.parameters / 1e6, 2)
        assert model["multiply_adds_billions"] == round(cost.macs / 1e9, 2)
    shipped = {path.name for path in SHIPPED.iterdir() if path.is_dir()}
    assert {model["weights"] for model in accuracy["models"]} == shipped


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (1234.4, "1,234"), (100, "100"), (1.2345, "1.23"), (0.05, "0.05"), (4.37e-4, "4.4e-04")],
)
def test_format_number(fill_tables, value, expected):
    assert fill_tables.format_number(value) == expected


def test_fill_replaces_the_marked_table_only(fill_tables):
    page = "a\n<!-- begin one: filled by x -->\nold\n<!-- end one -->\nb\n"
    assert (
        fill_tables.fill(page, {"one": "new\n"}) == "a\n<!-- begin one: filled by x -->\n\nnew\n\n<!-- end one -->\nb\n"
    )
    with pytest.raises(KeyError, match="one"):
        fill_tables.fill(page, {"other": ""})


def test_model_table_leaves_cells_empty_that_do_not_apply(fill_tables):
    accuracy = {
        "models": [{"weights": "a", "input": "8x6", "parameters_millions": 1.5, "multiply_adds_billions": 0.25}],
        "poses": [{"weights": "a", "images": "coco_val", "boxes": "ground truth", "flip_test": True, "AP": 0.5}],
        "boxes": [],
    }
    row = fill_tables.model_table(accuracy).splitlines()[2]
    assert row == "| [`a`](src/rsgnet/weights/a/README.md) | 8x6 | 1.50 M | 0.25 G | 0.500 |  |  |"
