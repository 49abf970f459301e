"""Stub ONNX files of the shapes of published pose networks, whose answers are known: they find colours.

Keypoint k of a person is where the crop is red for odd k, green for k = 0 and blue else, as in `conftest.pose_network`.
The file gets what the published network's would, normalised RGB, so that a wrong mean or order of colours is seen.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# Name, kind, keypoints, width and height: exact shapes of the published files.
NETWORKS = {
    "vitpose-s": ("heatmaps", 17, (192, 256)),
    "vitpose-b": ("heatmaps", 17, (192, 256)),
    "hrnet-w32": ("heatmaps", 17, (192, 256)),
    "rtmpose-m": ("simcc", 17, (192, 256)),
    "rtmpose-halpe26": ("simcc", 26, (192, 256)),
    "dwpose-133": ("simcc", 133, (288, 384)),
}


def write_network(path: Path, kind: str, keypoints: int, size_wh=(192, 256), batch="batch", stride=4, ratio=2) -> Path:
    """Writes a network that takes (batch, 3, H, W) and gives heatmaps, or `simcc_x` and `simcc_y`."""
    width, height = size_wh
    mix = np.zeros((keypoints, 3, 1, 1), np.float32)
    channels = [1 if k == 0 else 0 if k % 2 else 2 for k in range(keypoints)]
    mix[np.arange(keypoints), channels] = STD[channels, None, None]
    colour = [helper.make_node("Conv", ["input", "mix", "bias"], ["colours"])]
    constants = [numpy_helper.from_array(mix, "mix"), numpy_helper.from_array(np.float32(MEAN[channels]), "bias")]
    if kind == "heatmaps":
        nodes = [
            *colour,
            helper.make_node("AveragePool", ["colours"], ["output"], kernel_shape=[1, 1], strides=[stride] * 2),
        ]
        outputs = {"output": [batch, keypoints, height // stride, width // stride]}
    else:
        nodes = list(colour)
        for axis, name, scales in ((2, "simcc_x", [1, 1, 1, ratio]), (3, "simcc_y", [1, 1, ratio, 1])):
            nodes += [
                helper.make_node("ReduceMax", ["colours", f"axis{axis}"], [f"max{axis}"], keepdims=1),
                helper.make_node(
                    "Resize",
                    [f"max{axis}", "", f"scales{axis}"],
                    [f"long{axis}"],
                    mode="nearest",
                    nearest_mode="floor",
                    coordinate_transformation_mode="asymmetric",
                ),
                helper.make_node("Squeeze", [f"long{axis}", f"axis{axis}"], [name]),
            ]
            constants.append(numpy_helper.from_array(np.array([axis], np.int64), f"axis{axis}"))
            constants.append(numpy_helper.from_array(np.array(scales, np.float32), f"scales{axis}"))
        outputs = {"simcc_x": [batch, keypoints, ratio * width], "simcc_y": [batch, keypoints, ratio * height]}
    return write_graph(path, nodes, [batch, 3, height, width], outputs, constants)


def write_constant_network(path: Path, heatmaps: np.ndarray, size_wh, batch=1) -> Path:
    """Writes a network that gives the same (K, h, w) heatmaps for every crop."""
    shape = [batch, *heatmaps.shape]
    nodes = [
        helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["zeros"]),
        helper.make_node("Add", ["zeros", "heatmaps"], ["output"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes"),
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(heatmaps[None].astype(np.float32), "heatmaps"),
    ]
    return write_graph(path, nodes, [batch, 3, size_wh[1], size_wh[0]], {"output": shape}, constants)


def write_graph(path: Path, nodes, input_shape, outputs, constants=(), input_type=TensorProto.FLOAT) -> Path:
    """Writes a graph with one input, `input`."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", input_type, input_shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        list(constants),
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def write_published(folder: Path, name: str, **options) -> Path:
    """Writes the stub of one of NETWORKS into a folder; returns its path."""
    kind, keypoints, size_wh = NETWORKS[name]
    return write_network(folder / f"{name}.onnx", kind, keypoints, size_wh, **options)
