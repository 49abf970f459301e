"""Quantised networks."""

import numpy as np
import pytest
import torch

from rsgnet.checkpoint import build, save_model
from rsgnet.config import ExportOptions
from rsgnet.config_files import with_settings
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.export import quantise
from rsgnet.export.quantise import read_calibration_crops
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.presets import rsgnet_light

TINY = ["crop.size_wh=64,64", "model.relation.clue_dim=8", "model.backbone=test_efficientnet", "model.neck.width=8"]
CONFIG = with_settings(rsgnet_light(), TINY)


def test_crops_show_the_labelled_people(people_set, monkeypatch):
    labels, images = people_set
    crops = read_calibration_crops([f"{labels}:{images}"], CONFIG)
    assert crops.shape == (6, 64, 64, 3) and crops.dtype == np.uint8
    assert len(np.unique(crops[:, 32, 32], axis=0)) == 6  # every person has another colour
    monkeypatch.setattr(quantise, "MAX_CROPS", 4)
    assert len(read_calibration_crops([f"{labels}:{images}"], CONFIG)) == 4


def test_labels_that_are_missing_or_empty_raise(tmp_path):
    with pytest.raises(RSGNetError, match=r"--calibrate .*none\.json"):
        read_calibration_crops([str(tmp_path / "none.json")], CONFIG)
    (tmp_path / "empty.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(AnnotationError, match=r"empty\.json"):
        read_calibration_crops([f"{tmp_path / 'empty.json'}:{tmp_path}"], CONFIG)


def test_command_writes_an_8_bit_network_with_similar_outputs(rsgnet, people_set, tmp_path):
    pytest.importorskip("openvino")
    pytest.importorskip("nncf", reason="quantisation is an extra")
    labels, images = people_set
    torch.manual_seed(0)
    save_model(build(CONFIG), CONFIG, tmp_path / "model")
    arguments = ["--to", "openvino", "--with-flip", "--calibrate", f"{labels}:{images}"]
    code, printed, errors = rsgnet("export", tmp_path / "model", *arguments)
    assert code == 0, errors
    assert "--backend openvino --precision int8" in printed
    sizes = [(tmp_path / "model" / f"model{kind}.bin").stat().st_size for kind in ("", "-int8")]
    assert sizes[1] < 0.6 * sizes[0]
    exact, quantised = (open_network(tmp_path / "model", "openvino", "cpu", precision=p) for p in ("float32", "int8"))
    assert exact.capabilities.export_options == ExportOptions(flip_test=True)
    assert quantised.capabilities.export_options == ExportOptions(flip_test=True, int8=True)
    assert quantised.config == CONFIG and quantised.path.name == "model-int8.xml"
    crops = read_calibration_crops([f"{labels}:{images}"], CONFIG)
    for count in (6, 1):
        expected, found = (network.run(crops[:count]).target_heatmaps for network in (exact, quantised))
        difference = np.abs(expected - found).mean() / np.abs(expected - expected.mean()).mean()
        assert 0 < difference < 0.3
    lone = open_network(tmp_path / "model" / "model-int8.xml", "openvino", "cpu")
    assert lone.capabilities.export_options.int8
    assert np.array_equal(lone.run(crops).target_heatmaps, quantised.run(crops).target_heatmaps)


def test_without_nncf_the_error_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(RSGNetError, match=r"quantisation needs nncf: pip install 'rsgnet\[int8\]'"):
        quantise.quantise_network(None, np.zeros((1, 64, 64, 3), np.uint8))
