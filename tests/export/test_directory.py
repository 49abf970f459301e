"""The ONNX files say what PyTorch says."""

import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from rsgnet.checkpoint import build, load_model, save_model
from rsgnet.config import ONNX_CONFIG_PROPERTY, ONNX_OWNERSHIP_PROPERTY
from rsgnet.errors import WeightsError
from rsgnet.export.directory import export_onnx, publish
from rsgnet.export.graphs import DetectorGraph, PoseGraph
from rsgnet.inference.weights import SHIPPED
from rsgnet.presets import detector_nano, nano, paper
from rsgnet.settings import network_config, with_settings


def compare(directory, batches=(1, 3)):
    """The largest differences between ONNX Runtime and PyTorch, output by output."""
    model, config = load_model(directory)
    graph = (PoseGraph if hasattr(config, "crop") else DetectorGraph)(model, config).eval()
    session = onnxruntime.InferenceSession(directory / "model.onnx")
    assert network_config(session.get_modelmeta().custom_metadata_map[ONNX_CONFIG_PROPERTY], "x") == config
    random = np.random.default_rng(0)
    worst = []
    for batch in batches:
        # Smooth noise: white noise is nothing a detector has ever seen, and its peaks tie.
        coarse = random.integers(0, 256, (batch, 3, 8, 8)).astype(np.float32)
        width, height = graph.size_wh
        smooth = torch.nn.functional.interpolate(torch.from_numpy(coarse), (height, width), mode="bicubic")
        pixels = smooth.clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)
        with torch.no_grad():
            wanted = graph(pixels)
        found = session.run(graph.output_names, {graph.input_name: pixels.numpy()})
        worst.append([float(np.abs(one - other.numpy()).max()) for one, other in zip(found, wanted, strict=True)])
    return np.max(worst, axis=0)


def test_a_pose_network_with_candidates_exports(tmp_path):
    torch.manual_seed(0)
    config = with_settings(nano(), ["crop.size_wh=64,64", "model.clue_width=8"])
    model = build(config)
    torch.nn.init.normal_(model.candidate_head.weight, std=0.2)
    output = model(torch.randn(2, 3, 64, 64))
    assert output.candidates.mask.any()
    save_model(model, config, tmp_path)
    export_onnx(tmp_path)
    assert compare(tmp_path).max() < 1e-3


def test_the_released_form_exports(tmp_path):
    torch.manual_seed(0)
    small = ["crop.size_wh=64,96", "model.backbone=hrnet_w8_modules111_blocks1", "model.word_width=12"]
    config = with_settings(paper("dense", 32, (192, 256), "coco"), small)
    save_model(build(config), config, tmp_path)
    export_onnx(tmp_path)
    assert compare(tmp_path).max() < 1e-3


def test_a_plain_network_exports_its_one_output(tmp_path):
    config = with_settings(
        paper("hrnet", 32, (192, 256), "coco"), ["crop.size_wh=64,64", "model.backbone=hrnet_w18_small"]
    )
    save_model(build(config), config, tmp_path)
    export_onnx(tmp_path)
    assert compare(tmp_path).shape == (1,)


@pytest.mark.parametrize("name", ["nano", "detector-nano"])
def test_the_shipped_onnx_files_equal_the_shipped_weights(name):
    worst = compare(SHIPPED / name)
    assert worst.max() < (1e-3 if name == "nano" else 0.05)  # heatmap heights; box edges in pixels


def test_shipped_weights_stay_small():
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*.*")) < 20e6


def test_a_folder_without_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"name": "d"}')
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        export_onnx(tmp_path)
    assert not (tmp_path / "model.onnx").exists()


def test_detector_and_pose_presets_build_their_graphs():
    assert DetectorGraph(build(detector_nano()), detector_nano()).output_names == ["boxes_xyxy", "scores"]


def test_the_command_writes_a_directory_of_half_the_size_that_predicts_the_same(tmp_path):
    config = with_settings(nano(), ["crop.size_wh=64,64", "model.clue_width=8"])
    torch.manual_seed(0)
    save_model(build(config), config, tmp_path / "model")
    command = [sys.executable, "-m", "rsgnet", "export", str(tmp_path / "model"), "--out", str(tmp_path / "small")]
    subprocess.run(command, check=True, capture_output=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("model", "small")]
    assert sizes[1] < 0.6 * sizes[0]
    assert compare(tmp_path / "small").max() < 1e-3


def test_an_ownership_fit_goes_where_its_weights_go_and_no_further(tmp_path):
    config = with_settings(nano(), ["crop.size_wh=64,64", "model.clue_width=8"])
    save_model(build(config), config, tmp_path / "model")
    text = (SHIPPED / "nano" / "ownership.json").read_text()
    (tmp_path / "model" / "ownership.json").write_text(text)
    publish(tmp_path / "model", tmp_path / "small")
    assert (tmp_path / "small" / "ownership.json").read_text() == text
    export_onnx(tmp_path / "small")
    session = onnxruntime.InferenceSession(tmp_path / "small" / "model.onnx")
    inside = session.get_modelmeta().custom_metadata_map
    assert inside[ONNX_OWNERSHIP_PROPERTY] == text and ONNX_CONFIG_PROPERTY in inside
    save_model(build(config), config, tmp_path / "small")  # other weights
    assert not (tmp_path / "small" / "ownership.json").exists()


def test_the_shipped_onnx_file_carries_the_shipped_fit():
    session = onnxruntime.InferenceSession(SHIPPED / "nano" / "model.onnx")
    text = (SHIPPED / "nano" / "ownership.json").read_text()
    assert session.get_modelmeta().custom_metadata_map[ONNX_OWNERSHIP_PROPERTY] == text
