"""Networks in 8 bits."""

import numpy as np
import pytest
import torch

from rsgnet.checkpoint import build, save_model
from rsgnet.config import ExportOptions
from rsgnet.config_files import with_settings
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.export import quantise
from rsgnet.export.quantise import calibration_crops
from rsgnet.inference.runtime.network import open_runner
from rsgnet.presets import nano

TINY = ["crop.size_wh=64,64", "model.relation.clue_dim=8", "model.backbone=test_efficientnet", "model.neck.width=8"]
CONFIG = with_settings(nano(), TINY)


def test_crops_are_of_the_labelled_people(people_set, monkeypatch):
    labels, images = people_set
    crops = calibration_crops([f"{labels}:{images}"], CONFIG)
    assert crops.shape == (6, 64, 64, 3) and crops.dtype == np.uint8
    assert len(np.unique(crops[:, 32, 32], axis=0)) == 6  # everyone has a colour of their own
    monkeypatch.setattr(quantise, "CROPS", 4)
    assert len(calibration_crops([f"{labels}:{images}"], CONFIG)) == 4


def test_labels_that_do_not_exist_or_hold_nobody(tmp_path):
    with pytest.raises(RSGNetError, match=r"--calibrate .*none\.json"):
        calibration_crops([str(tmp_path / "none.json")], CONFIG)
    (tmp_path / "empty.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(AnnotationError, match=r"empty\.json"):
        calibration_crops([f"{tmp_path / 'empty.json'}:{tmp_path}"], CONFIG)


def test_the_command_writes_a_network_in_8_bits_that_predicts_nearly_the_same(rsgnet, people_set, tmp_path):
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
    exact, small = (open_runner(tmp_path / "model", "openvino", "cpu", precision=p) for p in ("float32", "int8"))
    assert (exact.form, small.form) == (ExportOptions(flip_test=True), ExportOptions(flip_test=True, int8=True))
    assert small.config == CONFIG and small.path.name == "model-int8.xml"
    crops = calibration_crops([f"{labels}:{images}"], CONFIG)
    for count in (6, 1):
        wanted, found = exact(crops[:count]), small(crops[:count])
        apart = np.abs(wanted - found).mean() / np.abs(wanted - wanted.mean()).mean()
        assert 0 < apart < 0.3
    lone = open_runner(tmp_path / "model" / "model-int8.xml", "openvino", "cpu")
    assert lone.form.int8 and np.array_equal(lone(crops), small(crops))


def test_without_nncf(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(RSGNetError, match=r"quantisation needs nncf: pip install 'rsgnet\[int8\]'"):
        quantise.quantised(None, np.zeros((1, 64, 64, 3), np.uint8))
