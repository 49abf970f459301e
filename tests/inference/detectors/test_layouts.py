"""Published detectors are told apart, from stubs of their exact inputs and outputs; what is ambiguous is refused."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from rsgnet.errors import WeightsError
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.detectors.formats import (
    DfineFormat,
    PicodetFormat,
    RfdetrFormat,
    RtmdetFormat,
    YoloxEndToEndFormat,
    YoloxFormat,
)
from rsgnet.inference.detectors.open_detector import open_detector

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
LOGITS = np.full((1, 1, 91), -9, np.float32)
LOGITS[0, 0, 1] = 2
GRID = np.zeros((1, 3549, 85), np.float32)
GRID[0, 53, :6] = 0, 0, np.log(13), np.log(13), 1, 0.9  # column 1 and row 1 of cells of 8 pixels
# Side of the input, further inputs, outputs, and part of a layer's name.
STUBS = {
    "yolox": (416, {}, {"output": GRID}, "head.cls_preds"),
    "yolox-end2end": (640, {}, {"dets": [[[8, 8, 72, 72, 0.9]]], "labels": [[0]]}, "bbox_head.multi_level_conv_cls.0"),
    "rtmdet": (320, {}, {"dets": [[[8, 8, 72, 72, 0.9]]], "labels": [[0]]}, "bbox_head.rtm_cls.0"),
    "picodet": (
        320,
        {"scale_factor": (FLOAT, [1, 2])},
        {"rows": [[0, 0.9, 8, 8, 72, 72]], "counts": [1]},
        "conv2d_1",
    ),
    "d-fine": (
        640,
        {"orig_target_sizes": (INT64, [1, 2])},
        {"labels": [[0]], "boxes": [[[8, 8, 72, 72]]], "scores": [[0.9]]},
        "decoder",
    ),
    "rf-detr": (560, {}, {"dets": [[[1 / 14, 1 / 14, 64 / 560, 64 / 560]]], "labels": LOGITS}, "class_embed"),
}
FORMATS = {
    "yolox": YoloxFormat,
    "yolox-end2end": YoloxEndToEndFormat,
    "rtmdet": RtmdetFormat,
    "picodet": PicodetFormat,
    "d-fine": DfineFormat,
    "rf-detr": RfdetrFormat,
}


def write_detector(path, name, layer=None):
    """Writes a detector that finds the person in (8, 8, 72, 72) of its input, in every image."""
    side, others, outputs, own_layer = STUBS[name]
    inputs = [helper.make_tensor_value_info("image", FLOAT, [1, 3, side, side])]
    inputs += [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in others.items()]
    nodes, constants, infos = [], [], []
    for key, value in outputs.items():
        whole = key in ("labels", "counts") and np.ndim(value) < 3
        array = np.asarray(value, np.int64 if whole else np.float32)
        constants.append(numpy_helper.from_array(array, f"{own_layer if layer is None else layer}.{key}"))
        nodes.append(helper.make_node("Identity", [constants[-1].name], [key]))
        infos.append(helper.make_tensor_value_info(key, INT64 if whole else FLOAT, array.shape))
    graph = helper.make_graph(nodes, "detector", inputs, infos, constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("name", STUBS)
def test_each_layout_is_recognised_and_its_boxes_are_in_the_image(tmp_path, name):
    detector = open_detector(f"onnx:{write_detector(tmp_path / 'detector.onnx', name)}")
    side = STUBS[name][0]
    assert type(detector.format) is FORMATS[name] and detector.format.size_wh == (side, side)
    # Twice as wide as high: fitted, it is scaled by one factor; stretched, by two.
    (found,) = detector.detect([LoadedImage(np.zeros((side, 2 * side, 3), np.uint8))])
    expected = np.array([8, 8, 72, 72]) * ([2, 2, 2, 2] if detector.format.keeps_ratio else [2, 1, 2, 1])
    if name == "yolox":
        expected = np.array([8 - 52, 8 - 52, 8 + 52, 8 + 52]).clip(0) * 2
    np.testing.assert_allclose(found.boxes_xyxy, [expected], atol=1e-3)
    assert 0.85 < found.scores[0] < 0.95


def test_dets_and_labels_without_known_layers_are_refused_and_can_be_named(tmp_path):
    path = write_detector(tmp_path / "detector.onnx", "rtmdet", layer="onnx::Conv_1")
    with pytest.raises(WeightsError, match=r"could be yolox-end2end or rtmdet.*--detector-layout yolox-end2end or "):
        open_detector(f"onnx:{path}")
    for name in ("yolox-end2end", "rtmdet"):
        assert type(open_detector(f"onnx:{path}@{name}").format) is FORMATS[name]


def test_a_named_layout_that_does_not_fit_is_refused(tmp_path, box_network):
    path = write_detector(tmp_path / "detector.onnx", "rf-detr")
    with pytest.raises(WeightsError, match=r"not the layout rtmdet; it takes image float32 .* gives dets \(1, 1, 4\)"):
        open_detector(f"onnx:{path}@rtmdet")
    with pytest.raises(WeightsError, match="no detector layout 'yolov8'; there are yolox, yolox-end2end, rtmdet"):
        open_detector(f"onnx:{path}@yolov8")
    with pytest.raises(WeightsError, match="a detector of this package; leave out --detector-layout rtmdet"):
        open_detector(f"onnx:{box_network([[0, 0, 9, 9]], [0.9])}@rtmdet")


def test_the_command_names_a_layout(rsgnet, tmp_path, pose_network):
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    path = write_detector(tmp_path / "detector.onnx", "rtmdet", layer="onnx::Conv_1")
    options = "predict", tmp_path / "a.png", "--out", tmp_path / "out", "--weights", pose_network()
    code, _, errors = rsgnet(*options, "--detector", f"onnx:{path}")
    assert code == 2 and "--detector-layout rtmdet" in errors[-1]
    code, _, errors = rsgnet(*options, "--detector", f"onnx:{path}", "--detector-layout", "rtmdet")
    assert code == 0 and any("1 people" in line for line in errors), errors
    code, _, errors = rsgnet(*options, "--detector", "full", "--detector-layout", "rtmdet")
    assert code == 2 and "--detector-layout rtmdet describes a file" in errors[-1]
