"""Weights of the same layers under other names become nano's backbone; other layers are refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rsgnet.checkpoint import build, load_pose_model
from rsgnet.config_files import with_settings
from rsgnet.presets import rsgnet_light

EXAMPLE = Path(__file__).parents[2] / "examples" / "imagenet_backbone.py"


def run(weights, out, *settings):
    return subprocess.run(
        [sys.executable, EXAMPLE, weights, out, *settings], capture_output=True, text=True, check=False
    )


@pytest.fixture(params=["model.neck.deepest_stride=16", "model.neck.deepest_stride=32"])
def setting(request):
    """The stages of nano, and those of its detector and of small."""
    return request.param


@pytest.fixture
def original(setting):
    """nano's encoder with random statistics in its norms."""
    encoder = build(with_settings(rsgnet_light(), [setting])).backbone.encoder
    for name, value in encoder.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            value.copy_(torch.rand(len(value)) + 0.5)
    return encoder.eval()


@pytest.fixture
def published(original):
    """The weights of that encoder under other names, with those of a classifier at the end."""
    state = original.state_dict()
    renamed = {f"_layer{index}.{name.rpartition('.')[2]}": value for index, (name, value) in enumerate(state.items())}
    return {**renamed, "_fc.weight": torch.zeros(10, 8)}


def test_the_backbone_gives_the_same_features_of_the_same_pixels(original, published, setting, tmp_path):
    torch.save(published, tmp_path / "weights.pth")
    process = run(tmp_path / "weights.pth", tmp_path / "out", setting)
    assert process.returncode == 0, process.stderr
    converted = load_pose_model(tmp_path / "out").eval().backbone.encoder
    for module in original.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    pixels, crop = 255 * torch.rand(1, 3, 128, 96), rsgnet_light().crop
    mean, std = (torch.tensor(each)[:, None, None] for each in (crop.mean, crop.std))
    with torch.no_grad():
        expected, found = original((pixels - 127) / 128)[0], converted((pixels / 255 - mean) / std)[0]
    inner = (..., slice(8, -8), slice(8, -8))  # the zero padding is another colour in each
    assert expected.std() > 0.1
    assert torch.allclose(found[inner], expected[inner], atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("setting", ["model.neck.deepest_stride=16"], indirect=True)
def test_layers_that_do_not_fit_are_named(published, tmp_path):
    published["_layer0.weight"] = torch.zeros(3, 3)
    torch.save(published, tmp_path / "weights.pth")
    process = run(tmp_path / "weights.pth", tmp_path / "out")
    assert process.returncode == 1
    assert "_layer0.weight (3, 3) does not fit conv_stem.weight" in process.stderr
    assert not (tmp_path / "out").exists()
