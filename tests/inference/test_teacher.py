"""Teachers are opened from files of other projects and from weights of this package."""

import numpy as np
import pytest
from tests.published_networks import write_network

from rsgnet.checkpoint import build, save_model
from rsgnet.config import ExportOptions
from rsgnet.config_files import with_settings
from rsgnet.errors import WeightsError
from rsgnet.export.directory import export_onnx
from rsgnet.inference.teacher import open_teacher
from rsgnet.presets import nano


def test_a_published_network_teaches_heatmaps(tmp_path):
    path = write_network(tmp_path / "hrnet.onnx", "heatmaps", 17, (48, 64))
    teacher = open_teacher(f"onnx:{path}")
    assert teacher.config.crop.size_wh == (48, 64)
    assert teacher.config.crop.heatmap_shape_hw == (16, 12)
    crops = np.zeros((2, 64, 48, 3), np.uint8)
    crops[1, ..., 0] = 255
    heatmaps = teacher(crops)
    assert heatmaps.shape == (2, 17, 16, 12)
    np.testing.assert_allclose(heatmaps[:, 1], np.stack([np.zeros((16, 12)), np.ones((16, 12))]), atol=1e-5)


def test_simcc_scores_are_taught_as_heatmaps(tmp_path, colours):
    path = write_network(tmp_path / "rtmpose.onnx", "simcc", 17, (48, 64))
    crop = colours((48, 64), (20, 30), (40, 50), (8, 8))
    heatmaps = open_teacher(f"onnx:{path}")(crop[None])
    assert heatmaps.shape == (1, 17, 16, 12)
    assert np.unravel_index(heatmaps[0, 1].argmax(), (16, 12)) == (30 // 4, 20 // 4)


def test_shipped_weights_give_heatmaps():
    teacher = open_teacher("nano")
    width, height = teacher.config.crop.size_wh
    assert teacher(np.zeros((1, height, width, 3), np.uint8)).shape == (1, 17, height // 4, width // 4)


def test_a_file_of_another_project_names_its_back_end(tmp_path):
    path = write_network(tmp_path / "hrnet.onnx", "heatmaps", 17, (48, 64))
    with pytest.raises(WeightsError, match="a network of another project is named onnx:FILE or openvino:FILE"):
        open_teacher(str(path))


def test_weights_that_decode_inside_raise(tmp_path):
    config = with_settings(nano(), ["crop.size_wh=64,64", "model.backbone=test_efficientnet", "model.neck.width=8"])
    save_model(build(config), config, tmp_path / "model")
    export_onnx(tmp_path / "model", ExportOptions(decoding=True))
    with pytest.raises(WeightsError, match="gives no heatmaps to learn from"):
        open_teacher(str(tmp_path / "model"))


def test_a_broken_or_missing_file_is_named(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"a\.onnx"):
        open_teacher(str(tmp_path / "a.onnx"))
    with pytest.raises(WeightsError, match="nothing"):
        open_teacher(str(tmp_path / "nothing"))
