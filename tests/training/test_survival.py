"""Runs that are resumed, finished or split between processes end with the same weights. tests/soak kills runs."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rsgnet.checkpoint import build, load_pose_model, save_model
from rsgnet.config_files import with_settings
from rsgnet.data.dataset import PoseDataset, Sample
from rsgnet.model.layers import normalise
from rsgnet.presets import rsgnet_light
from rsgnet.training.run import train
from rsgnet.training.sources import parse_source
from rsgnet.training.task import PoseTask

quiet_train = partial(train, workers=0, progress=False)

TINY = [
    "crop.size_wh=64,64", "model.relation.clue_dim=8", "training.batch_size=4", "training.epoch_samples=8",
    "training.precision=32-true", "training.warmup_steps=0", "training.pretrained=false",
]  # fmt: skip
STILL_NORMS = Path(__file__).with_name("still_norms.py")


def go_on(crowd, run, epochs):
    settings = [*TINY, f"training.epochs={epochs}"]
    model = quiet_train(
        with_settings(rsgnet_light(), settings),
        [str(crowd)],
        run,
        validation=str(crowd),
        resume=True,
    )
    return load_file(model / "model.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_random_numbers_are_the_same_in_a_resumed_run(crowd, tmp_path, monkeypatch):
    """Every step of this network draws from PyTorch's own randomness, as dropout would."""
    step, steps = PoseTask.training_step, []

    def by_chance(task, batch, index):
        if len(steps) == break_at:
            raise RuntimeError("broken off")
        steps.append(index)
        return step(task, batch, index) * (0.5 + torch.rand(()))

    monkeypatch.setattr(PoseTask, "training_step", by_chance)
    break_at = None
    whole = go_on(crowd, tmp_path / "whole", 3)
    break_at = len(steps) + 3  # in the second epoch
    with pytest.raises(RuntimeError, match="broken off"):
        go_on(crowd, tmp_path / "broken", 3)
    break_at = None
    torch.rand(7)  # nor does it matter what was drawn before
    assert same(go_on(crowd, tmp_path / "broken", 3), whole)


def test_a_finished_run_that_is_resumed_keeps_its_averaged_weights(crowd, tmp_path):
    whole = go_on(crowd, tmp_path, 1)
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["current_model_state"]
    assert not same({name.removeprefix("model."): value for name, value in last.items()}, whole)
    assert same(go_on(crowd, tmp_path, 1), whole)


@pytest.fixture(scope="module")
def start(crowd, tmp_path_factory):
    """A model directory: random weights, with batch norms that know the crops."""
    config = with_settings(rsgnet_light(), TINY)
    torch.manual_seed(0)
    model = build(config)
    crops = PoseDataset([parse_source(str(crowd))], config, augmented=False)
    batch = Sample.stack([crops[index] for index in range(8)])
    with torch.no_grad():
        for _ in range(20):
            model(normalise(batch.crop, config.crop.mean, config.crop.std))
    save_model(model, config, folder := tmp_path_factory.mktemp("start"))
    return folder


def run_of(crowd, start, out, batch_size):
    """With all five losses from the first step on, and an optimizer that does not blow up what is nearly nothing."""
    settings = [
        *TINY, f"training.batch_size={batch_size}", "training.epoch_samples=16", "training.epochs=2",
        "training.optimizer=sgd", "training.learning_rate=1e-3", "training.ema_decay=0.9",
        "model.relation.candidate_threshold=0",
    ]  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    return [
        STILL_NORMS, "train", "rsgnet-light", "--data", crowd, "--out", out, "--workers", "0",
        "--start-from", start, *words,
    ]  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_as_one_with_twice_the_batch(crowd, start, tmp_path):
    """The same draws, but for the order in which numbers are added; batch norms stand still (see still_norms.py)."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, launcher, batch_size in (("two", torchrun, 4), ("one", [], 8)):
        command = [sys.executable, *launcher, *run_of(crowd, start, tmp_path / name, batch_size)]
        done = subprocess.run(
            list(map(str, command)), check=False, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True) for name in ("one", "two"))
    assert one["global_step"] == two["global_step"] == 4
    assert load_pose_model(tmp_path / "two" / "model")
    before = load_file(start / "model.safetensors")
    for state in ("state_dict", "current_model_state"):  # averaged and not
        weights = {name: value for name, value in one[state].items() if value.is_floating_point()}
        moved = max((value - before[name.removeprefix("model.")]).abs().max() for name, value in weights.items())
        apart = max((value - two[state][name]).abs().max() for name, value in weights.items())
        assert moved > 1e-4 and apart < 1e-3 * moved


class TestResume:
    """--resume goes by the run's own settings, and names what contradicts them."""

    @pytest.fixture
    def run(self, crowd, tmp_path, rsgnet):
        out = tmp_path / "run"
        settings = [each for setting in [*TINY, "training.epochs=1"] for each in ("--set", setting)]

        def train_again(*arguments, network="rsgnet-light", settings=()):
            given = ["train", network, "--data", crowd, "--out", out, "--workers", 0, *settings]
            return rsgnet(*given, *arguments)

        code, _, errors = train_again(settings=settings)
        assert code == 0 and any(line.startswith("epoch 1/1, loss") for line in errors), errors
        return train_again

    def test_settings_need_not_be_repeated(self, run, tmp_path, recwarn):
        code, _, errors = run("--resume", "--set", "training.epochs=2")
        warning, progress = errors
        assert code == 0 and warning.startswith("warning: in 4 steps the average") and progress.startswith("epoch 2/2,")
        assert [str(each.message) for each in recwarn if "lightning" in each.filename] == []
        assert '"batch_size": 4' in (tmp_path / "run/config.json").read_text()

    def test_contradictions_are_named(self, run):
        code, _, errors = run("--resume", "--set", "training.batch_size=8")
        assert code == 2 and len(errors) == 1
        assert "has training.batch_size=4, which --set training.batch_size=8 contradicts" in errors[0]
        code, _, errors = run("--resume", network="small")
        assert code == 2 and len(errors) == 1 and "holds a run of rsgnet-light, not of small" in errors[0]
