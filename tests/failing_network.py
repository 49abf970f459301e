"""A pose network that fails on some images."""

from pathlib import Path

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config_files import to_json


def write_failing_network(directory: Path) -> Path:
    """Writes a pose network that fails on crops with the value 255: their maximum indexes a table of 255 entries."""
    onnx = pytest.importorskip("onnx", reason="the network that fails is built with onnx")
    from onnx import TensorProto, helper, numpy_helper

    config = colour_config()
    (width, height), stride = config.crop.size_wh, config.crop.stride
    nodes = [
        helper.make_node("Cast", ["crops"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["highest"], keepdims=0),
        helper.make_node("Cast", ["highest"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["zero"]),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["pooled"], kernel_shape=[stride] * 2, strides=[stride] * 2),
        helper.make_node("Conv", ["pooled", "mix"], ["maps"]),
        helper.make_node("Add", ["maps", "zero"], ["target_heatmaps"]),
    ]
    shape = ["batch", 17, height // stride, width // stride]
    graph = helper.make_graph(
        nodes,
        "failing",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["batch", height, width, 3])],
        [helper.make_tensor_value_info("target_heatmaps", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(np.zeros(255, np.float32), "table"),
            numpy_helper.from_array(np.full((17, 3, 1, 1), 1 / 765, np.float32), "mix"),
        ],
    )
    directory.mkdir()
    (directory / "config.json").write_text(to_json(config))
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), directory / "model.onnx"
    )
    return directory
