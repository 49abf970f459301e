"""Every variant gets the same, runs are done once, and what was begun otherwise is not gone on with."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from filelock import FileLock

from rsgnet.annotations.catalog import labels_and_images
from rsgnet.checkpoint import build, save_model
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.reproduce import synthetic_data
from rsgnet.reproduce.ablation import Ablation, Benchmark, measure_runs, tensors_taken, train_runs
from rsgnet.reproduce.ablation_table import as_json, markdown, variant_row
from rsgnet.reproduce.variants import ARMS, PLAIN, variant_config, variants_named
from rsgnet.training.checkpoints import whole_checkpoint
from rsgnet.training.run import train

SETTINGS = tuple(synthetic_data.tiny_settings("nano"))


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A model directory of the plain variant."""
    directory = tmp_path_factory.mktemp("start")
    config = variant_config("nano", [*SETTINGS, *PLAIN.settings])
    save_model(build(config), config, directory)
    return directory


@pytest.fixture(scope="module")
def done(tmp_path_factory, start):
    """An ablation of two variants and one seed, trained; and what it was told."""
    root = tmp_path_factory.mktemp("ablation")
    sets = synthetic_data.write_crowd_sets(root / "data")
    told = []
    ablation = Ablation(
        "nano",
        SETTINGS,
        variants_named("plain,trp"),
        1,
        (sets["train"],),
        root / "out",
        start,
        workers=0,
        tell=told.append,
    )
    train_runs(ablation)
    return ablation, Benchmark("crowds", tuple(labels_and_images(sets[name]) for name in ("easy", "hard"))), told


def test_whatever_fits_is_taken(tmp_path, start):
    ablation = Ablation("nano", SETTINGS, tuple(ARMS.values()), 1, (), tmp_path, start)
    network = build(ablation.config_of(PLAIN))
    names = set(network.state_dict())
    assert tensors_taken(ablation, PLAIN) == (len(names), len(names))
    for variant in (ARMS["trp"], ARMS["dense"]):
        everyones_head = 2  # weight and bias, from the target's
        assert tensors_taken(ablation, variant)[0] == len(names) + everyones_head
    backbone = sum(name.startswith("backbone.") for name in names)
    heads_fresh = replace(ablation, start_from=None, backbone_from=start)
    assert tensors_taken(heads_fresh, PLAIN) == (backbone, len(names))
    assert tensors_taken(replace(ablation, start_from=None), PLAIN) == (0, len(names))


def test_another_backbone_is_refused(tmp_path, start):
    other = Ablation("nano", (*SETTINGS, "model.neck.width=32"), (PLAIN,), 1, (), tmp_path, start)
    with pytest.raises(WeightsError, match="backbone does not fit"):
        tensors_taken(other, PLAIN)


def test_weights_come_from_one_place(tmp_path):
    with pytest.raises(RSGNetError, match="exclude each other"):
        Ablation("nano", (), (PLAIN,), 1, (), tmp_path, tmp_path, tmp_path)


def test_seeds_count_on_from_the_presets(tmp_path):
    ablation = Ablation("nano", ("training.seed=5",), (PLAIN,), 2, (), tmp_path)
    assert [ablation.config_of(PLAIN, seed).training.seed for seed in (0, 1)] == [5, 6]


def test_runs_and_poses_are_done_once(done):
    ablation, benchmark, told = done
    first = measure_runs(ablation, benchmark, resamples=20)
    assert [line for line in told if line.startswith("training")] == [
        f"training {name} -> {ablation.out / 'runs' / name}" for name in ("plain-seed0", "trp-seed0")
    ]
    assert sum("poses on" in line for line in told) == 4
    told.clear()
    assert train_runs(ablation)
    assert measure_runs(ablation, benchmark, resamples=20) == first
    assert told == []
    assert first.images == 4 and {"AP", "AP_easy", "AP_hard"} <= first.differences["trp"].keys()


def test_what_another_process_trains_is_passed_over(tmp_path, done):
    of_all = replace(done[0], variants=variants_named("plain"), out=tmp_path, tell=pytest.fail)
    held = of_all.run_of(PLAIN, 0)
    held.mkdir(parents=True)
    with FileLock(held / "lock"):
        assert not train_runs(of_all)
    assert not (held / "model").exists()


def test_a_benchmark_that_changed_is_measured_anew(done, tmp_path):
    ablation, benchmark, told = done
    measure_runs(ablation, benchmark, resamples=5)
    files = benchmark.files[0]
    moved = tmp_path / files.annotations.parent.name / files.annotations.name  # another file of the same name
    moved.parent.mkdir()
    shutil.copy(files.annotations, moved)
    told.clear()
    measure_runs(ablation, Benchmark("same", (replace(files, annotations=moved),)), resamples=5)
    assert told == []
    moved.write_text(json.dumps(json.loads(moved.read_bytes()), indent=1))
    measure_runs(ablation, Benchmark("other", (replace(files, annotations=moved),)), resamples=5)
    assert len(told) == 2


def test_what_was_begun_otherwise_is_refused(done):
    ablation, _, _ = done
    with pytest.raises(RSGNetError, match=r"plan.json: was begun with other"):
        train_runs(replace(ablation, settings=(*SETTINGS, "training.learning_rate=0.1")))
    with pytest.raises(RSGNetError, match=r"plan.json: was begun with other"):
        train_runs(replace(ablation, start_from=None))


def test_without_the_plain_arm_nothing_is_compared(tmp_path, done):
    ablation, benchmark, _ = done
    with pytest.raises(RSGNetError, match="no run of the variant 'plain'"):
        measure_runs(replace(ablation, out=tmp_path), benchmark)


def test_documents(done):
    ablation, benchmark, _ = done
    outcome = measure_runs(ablation, benchmark, resamples=5)
    rows = [variant_row(ablation, variant) for variant in ablation.variants]
    text = markdown("nano", rows, [outcome])
    assert "## crowds: 4 images" in text and "| less plain | trp |" in text and "- trp: clear of zero in" in text
    document = as_json("nano", rows, [outcome])
    assert [variant["name"] for variant in document["variants"]] == ["plain", "trp"]
    assert document["variants"][0]["parameters"] < document["variants"][1]["parameters"]
    (measured,) = document["benchmarks"]
    assert measured["less_plain"]["trp"]["AP"]["clear"] in (True, False)
    json.dumps(document)


def test_a_run_that_was_broken_off_goes_on(tmp_path, done):
    ablation, _, _ = done
    told = []
    longer = replace(
        ablation, settings=(*SETTINGS, "training.epochs=2"), variants=(PLAIN,), out=tmp_path, tell=told.append
    )
    run = longer.run_of(PLAIN, 0)
    settings = [*longer.settings_of(PLAIN, 0), "training.epochs=1"]
    train("nano", settings, longer.data, run, fitting_from=longer.start_from, workers=0, progress=False)
    assert longer.seeds_done(PLAIN) == []
    train_runs(longer)
    assert told == [f"training plain-seed0 -> {run}"]
    assert longer.seeds_done(PLAIN) == [0]
    assert torch.load(whole_checkpoint(run), weights_only=True)["epoch"] == 1


def test_weights_that_favour_an_arm_are_told(tmp_path, done):
    ablation, _, _ = done
    told = []
    trp = ablation.run_of(ARMS["trp"], 0) / "model"
    other = replace(ablation, variants=(PLAIN,), out=tmp_path, tell=told.append)
    train_runs(replace(other, start_from=trp))
    assert "is no plain network: variants like it begin trained" in told[0]
    told.clear()
    train_runs(replace(other, out=tmp_path / "fair", start_from=None, backbone_from=trp))
    assert len(told) == 1
