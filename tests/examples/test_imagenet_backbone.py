"""Weights of the same layers under other names start nano's backbone; others are refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rsgnet.checkpoint import build, load_pose_model
from rsgnet.presets import nano

EXAMPLE = Path(__file__).parents[2] / "examples" / "imagenet_backbone.py"


def run(weights, out):
    return subprocess.run([sys.executable, EXAMPLE, weights, out], capture_output=True, text=True, check=False)


@pytest.fixture
def published():
    """nano's encoder as another library names it, with a classifier behind it."""
    state = build(nano()).backbone.encoder.state_dict()
    renamed = {f"_layer{index}.{name.rpartition('.')[2]}": value for index, (name, value) in enumerate(state.items())}
    return {**renamed, "_fc.weight": torch.zeros(10, 8)}


def test_the_backbone_takes_the_files_weights(published, tmp_path):
    torch.save(published, tmp_path / "weights.pth")
    done = run(tmp_path / "weights.pth", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    taken = load_pose_model(tmp_path / "out").backbone.encoder.state_dict()
    for value, wanted in zip(taken.values(), published.values(), strict=False):
        assert torch.equal(value, wanted)


def test_other_layers_are_named(published, tmp_path):
    published["_layer0.weight"] = torch.zeros(3, 3)
    torch.save(published, tmp_path / "weights.pth")
    done = run(tmp_path / "weights.pth", tmp_path / "out")
    assert done.returncode == 1
    assert "_layer0.weight (3, 3) does not fit conv_stem.weight" in done.stderr
    assert not (tmp_path / "out").exists()
