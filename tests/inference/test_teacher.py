"""Teachers are opened from files of other projects and from weights of this package."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rsgnet.checkpoint import build, save_model
from rsgnet.config import ExportOptions
from rsgnet.config_files import with_settings
from rsgnet.errors import WeightsError
from rsgnet.export.directory import export_onnx
from rsgnet.inference.teacher import open_teacher
from rsgnet.presets import nano


def write_foreign_network(path, keypoints=17, size_hw=(64, 48), channels=3):
    """Writes an ONNX file whose heatmaps hold the mean of the crop's red channel everywhere; returns its path."""
    shapes = [1, channels, *size_hw], [1, keypoints, size_hw[0] // 4, size_hw[1] // 4]
    image, maps = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip("im", shapes, strict=True))
    constants = [
        helper.make_tensor(name, TensorProto.INT64, [len(value)], value)
        for name, value in {"axes": [2, 3], "shape": shapes[1], "zero": [0]}.items()
    ]
    nodes = [
        helper.make_node("ReduceMean", ["i", "axes"], ["means"], keepdims=1),
        helper.make_node("Gather", ["means", "zero"], ["red"], axis=1),
        helper.make_node("Expand", ["red", "shape"], ["m"]),
    ]
    graph = helper.make_graph(nodes, "teacher", [image], [maps], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return str(path)


def test_crops_are_normalised_as_imagenet_for_a_foreign_network(tmp_path):
    teacher = open_teacher(write_foreign_network(tmp_path / "theirs.onnx"))
    assert teacher.config.crop.size_wh == (48, 64)
    assert teacher.config.crop.heatmap_shape_hw == (16, 12)
    crops = np.zeros((2, 64, 48, 3), np.uint8)
    crops[1, ..., 0] = 255
    heatmaps = teacher(crops)
    assert heatmaps.shape == (2, 17, 16, 12)
    np.testing.assert_allclose(heatmaps[0], -0.485 / 0.229, rtol=1e-5)
    np.testing.assert_allclose(heatmaps[1], (1 - 0.485) / 0.229, rtol=1e-5)


def test_shipped_weights_give_heatmaps():
    teacher = open_teacher("nano")
    width, height = teacher.config.crop.size_wh
    assert teacher(np.zeros((1, height, width, 3), np.uint8)).shape == (1, 19, height // 4, width // 4)


@pytest.mark.parametrize("shape", [{"keypoints": 14}, {"channels": 1}])
def test_a_foreign_network_of_other_shapes_raises(tmp_path, shape):
    path = write_foreign_network(tmp_path / "theirs.onnx", **shape)
    with pytest.raises(WeightsError, match=r"theirs\.onnx: takes .* a teacher takes"):
        open_teacher(path)


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
