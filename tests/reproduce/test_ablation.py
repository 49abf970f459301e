"""Variants start equally, runs and poses are made once, and runs with other settings are refused."""

import json
import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch

from rsgnet.annotations.catalog import resolve_labels_and_images
from rsgnet.checkpoint import build, save_model
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.reproduce import synthetic_data
from rsgnet.reproduce.ablation import Ablation, Benchmark, count_loaded_tensors, measure_runs, train_runs
from rsgnet.reproduce.ablation_table import ablation_json, ablation_markdown, summarise_variant
from rsgnet.reproduce.variants import PLAIN, VARIANTS, variant_config, variants_named
from rsgnet.training.checkpoints import find_intact_checkpoint
from rsgnet.training.run import train

quiet_train = partial(train, workers=0, progress=False)

SETTINGS = tuple(synthetic_data.tiny_settings("rsgnet-light"))


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Returns a model directory of the plain variant."""
    directory = tmp_path_factory.mktemp("start")
    config = variant_config("rsgnet-light", [*SETTINGS, *PLAIN.settings])
    save_model(build(config), config, directory)
    return directory


@pytest.fixture(scope="module")
def trained(tmp_path_factory, start):
    """Returns a trained ablation of two variants and one seed, a benchmark, and the log."""
    root = tmp_path_factory.mktemp("ablation")
    sets = synthetic_data.write_crowd_sets(root / "data")
    lines = []
    ablation = Ablation(
        "rsgnet-light", SETTINGS, variants_named("plain,trp"), 1, (sets["train"],), root / "out", start,
        workers=0, log=lines.append,
    )  # fmt: skip
    train_runs(ablation)
    benchmark = Benchmark("crowds", tuple(resolve_labels_and_images(sets[name]) for name in ("easy", "hard")))
    return ablation, benchmark, lines


def test_all_fitting_tensors_are_loaded(tmp_path, start):
    ablation = Ablation("rsgnet-light", SETTINGS, tuple(VARIANTS.values()), 1, (), tmp_path, start)
    network = build(ablation.run_config(PLAIN))
    names = set(network.state_dict())
    assert count_loaded_tensors(ablation, PLAIN) == (len(names), len(names))
    for variant in (VARIANTS["trp"], VARIANTS["dense"]):
        candidate_head = 2  # weight and bias, loaded from the target head
        assert count_loaded_tensors(ablation, variant)[0] == len(names) + candidate_head
    backbone = sum(name.startswith("backbone.") for name in names)
    new_heads = replace(ablation, start_from=None, backbone_from=start)
    assert count_loaded_tensors(new_heads, PLAIN) == (backbone, len(names))
    assert count_loaded_tensors(replace(ablation, start_from=None), PLAIN) == (0, len(names))


def test_another_backbone_raises(tmp_path, start):
    other = Ablation("rsgnet-light", (*SETTINGS, "model.neck.width=32"), (PLAIN,), 1, (), tmp_path, start)
    with pytest.raises(WeightsError, match="backbone does not fit"):
        count_loaded_tensors(other, PLAIN)


def test_start_options_are_exclusive(tmp_path):
    with pytest.raises(RSGNetError, match="exclude each other"):
        Ablation("rsgnet-light", (), (PLAIN,), 1, (), tmp_path, tmp_path, tmp_path)


def test_seeds_count_from_the_preset_seed(tmp_path):
    ablation = Ablation("rsgnet-light", ("training.seed=5",), (PLAIN,), 2, (), tmp_path)
    assert [ablation.run_config(PLAIN, seed).training.seed for seed in (0, 1)] == [5, 6]


def test_runs_and_poses_are_made_once(trained):
    ablation, benchmark, lines = trained
    first = measure_runs(ablation, benchmark, resamples=20)
    assert [line for line in lines if line.startswith("training")] == [
        f"training {name} -> {ablation.out / 'runs' / name}" for name in ("plain-seed0", "trp-seed0")
    ]
    assert sum("poses on" in line for line in lines) == 4
    lines.clear()
    train_runs(ablation)
    assert measure_runs(ablation, benchmark, resamples=20) == first
    assert lines == []
    assert first.images == 4 and {"AP", "AP_easy", "AP_hard"} <= first.differences["trp"].keys()


def test_a_changed_benchmark_is_measured_again(trained, tmp_path):
    ablation, benchmark, lines = trained
    measure_runs(ablation, benchmark, resamples=5)
    files = benchmark.files[0]
    moved = tmp_path / files.annotations.parent.name / files.annotations.name  # another file of the same name
    moved.parent.mkdir()
    shutil.copy(files.annotations, moved)
    lines.clear()
    measure_runs(ablation, Benchmark("same", (replace(files, annotations=moved),)), resamples=5)
    assert lines == []
    moved.write_text(json.dumps(json.loads(moved.read_bytes()), indent=1))
    measure_runs(ablation, Benchmark("other", (replace(files, annotations=moved),)), resamples=5)
    assert len(lines) == 2


def test_a_folder_of_other_runs_raises(trained):
    ablation, _, _ = trained
    with pytest.raises(RSGNetError, match=r"plan.json: was begun with other"):
        train_runs(replace(ablation, settings=(*SETTINGS, "training.learning_rate=0.1")))
    with pytest.raises(RSGNetError, match=r"plan.json: was begun with other"):
        train_runs(replace(ablation, start_from=None))


def test_without_plain_runs_measuring_raises(tmp_path, trained):
    ablation, benchmark, _ = trained
    with pytest.raises(RSGNetError, match="no run of the variant 'plain'"):
        measure_runs(replace(ablation, out=tmp_path), benchmark)


def test_markdown_and_json(trained):
    ablation, benchmark, _ = trained
    result = measure_runs(ablation, benchmark, resamples=5)
    summaries = [summarise_variant(ablation, variant) for variant in ablation.variants]
    text = ablation_markdown("rsgnet-light", summaries, [result])
    assert "## crowds: 4 images" in text and "| less plain | trp |" in text and "- trp: clear of zero in" in text
    document = ablation_json("rsgnet-light", summaries, [result])
    assert [variant["name"] for variant in document["variants"]] == ["plain", "trp"]
    assert document["variants"][0]["parameters"] < document["variants"][1]["parameters"]
    (measured,) = document["benchmarks"]
    assert measured["less_plain"]["trp"]["AP"]["clear"] in (True, False)
    json.dumps(document)


def test_an_interrupted_run_is_resumed(tmp_path, trained):
    ablation, _, _ = trained
    lines = []
    longer = replace(
        ablation, settings=(*SETTINGS, "training.epochs=2"), variants=(PLAIN,), out=tmp_path, log=lines.append
    )
    run = longer.run_folder(PLAIN, 0)
    settings = [*longer.run_settings(PLAIN, 0), "training.epochs=1"]
    quiet_train(variant_config("rsgnet-light", settings), longer.data, run, fitting_from=longer.start_from)
    assert longer.trained_seeds(PLAIN) == []
    train_runs(longer)
    assert lines == [f"training plain-seed0 -> {run}"]
    assert longer.trained_seeds(PLAIN) == [0]
    assert torch.load(find_intact_checkpoint(run), weights_only=True)["epoch"] == 1


def test_weights_that_favour_a_variant_are_logged(tmp_path, trained):
    ablation, _, _ = trained
    lines = []
    trp = ablation.run_folder(VARIANTS["trp"], 0) / "model"
    other = replace(ablation, variants=(PLAIN,), out=tmp_path, log=lines.append)
    train_runs(replace(other, start_from=trp))
    assert "is no plain network: variants like it begin trained" in lines[0]
    lines.clear()
    train_runs(replace(other, out=tmp_path / "fair", start_from=None, backbone_from=trp))
    assert len(lines) == 1
