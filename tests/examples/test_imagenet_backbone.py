"""Weights of the same layers under other names start nano's backbone; others are refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rsgnet.checkpoint import build, load_pose_model
from rsgnet.config_files import with_settings
from rsgnet.presets import nano

EXAMPLE = Path(__file__).parents[2] / "examples" / "imagenet_backbone.py"


def run(weights, out, *settings):
    return subprocess.run(
        [sys.executable, EXAMPLE, weights, out, *settings], capture_output=True, text=True, check=False
    )


@pytest.fixture(params=["model.neck.deepest_stride=16", "model.neck.deepest_stride=32"])
def setting(request):
    """nano's own stages, and those of its detector and of small."""
    return request.param


@pytest.fixture
def theirs(setting):
    """nano's encoder, its norms not at their start."""
    encoder = build(with_settings(nano(), [setting])).backbone.encoder
    for name, value in encoder.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            value.copy_(torch.rand(len(value)) + 0.5)
    return encoder.eval()


@pytest.fixture
def published(theirs):
    """Its weights as another library names them, with a classifier behind it."""
    state = theirs.state_dict()
    renamed = {f"_layer{index}.{name.rpartition('.')[2]}": value for index, (name, value) in enumerate(state.items())}
    return {**renamed, "_fc.weight": torch.zeros(10, 8)}


def test_the_backbone_sees_in_our_pixels_what_it_saw_in_theirs(theirs, published, setting, tmp_path):
    torch.save(published, tmp_path / "weights.pth")
    done = run(tmp_path / "weights.pth", tmp_path / "out", setting)
    assert done.returncode == 0, done.stderr
    ours = load_pose_model(tmp_path / "out").eval().backbone.encoder
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    pixels, crop = 255 * torch.rand(1, 3, 128, 96), nano().crop
    mean, std = (torch.tensor(each)[:, None, None] for each in (crop.mean, crop.std))
    with torch.no_grad():
        wanted, seen = theirs((pixels - 127) / 128)[0], ours((pixels / 255 - mean) / std)[0]
    middle = (..., slice(8, -8), slice(8, -8))  # what lies beyond the border is 0 in both, which is not the same colour
    assert wanted.std() > 0.1
    assert torch.allclose(seen[middle], wanted[middle], atol=1e-4 * float(wanted.abs().max()))


def test_other_layers_are_named(published, tmp_path):
    published["_layer0.weight"] = torch.zeros(3, 3)
    torch.save(published, tmp_path / "weights.pth")
    done = run(tmp_path / "weights.pth", tmp_path / "out")
    assert done.returncode == 1
    assert "_layer0.weight (3, 3) does not fit conv_stem.weight" in done.stderr
    assert not (tmp_path / "out").exists()
