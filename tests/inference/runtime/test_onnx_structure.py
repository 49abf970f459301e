"""Tensors in other files are found wherever ONNX allows them, and in whatever way protobuf can write them."""

import numpy as np
import pytest
from tests.failing_network import write_failing_network

from rsgnet.errors import NetworkError, WeightsError
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.runtime.backends import open_backend
from rsgnet.inference.runtime.onnx_structure import check_tensors_inside

onnx = pytest.importorskip("onnx", reason="needs rsgnet[train]")

TensorProto, helper = onnx.TensorProto, onnx.helper


def external(name="w"):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret.bin")
    return tensor


def inside(name="w"):
    return helper.make_tensor(name, TensorProto.FLOAT, [4], [1.0, 2, 3, 4])


def make_graph(nodes=(), tensors=()):
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    return helper.make_graph(list(nodes) or [helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [output], tensors)


def initializer(tensor):
    return helper.make_model(make_graph(tensors=[tensor]))


def constant(tensor):
    return helper.make_model(make_graph([helper.make_node("Constant", [], ["y"], value=tensor)]))


def branch(tensor):
    inner = make_graph([helper.make_node("Constant", [], ["y"], value=tensor)])
    return helper.make_model(make_graph([helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)]))


def function(tensor):
    body = [helper.make_node("Constant", [], ["y"], value=tensor)]
    return helper.make_model(
        make_graph(), functions=[helper.make_function("d", "f", [], ["y"], body, [helper.make_opsetid("", 17)])]
    )


def sparse(tensor):
    model = helper.make_model(make_graph())
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    return model


def training(tensor):
    model = helper.make_model(make_graph())
    model.training_info.add().algorithm.CopyFrom(make_graph(tensors=[tensor]))
    return model


def attribute_list(tensor):
    node = helper.make_node("Add", ["x", "w"], ["y"])
    node.attribute.add(name="many", type=onnx.AttributeProto.TENSORS).tensors.add().CopyFrom(tensor)
    return helper.make_model(make_graph([node]))


PLACES = [initializer, constant, branch, function, sparse, training, attribute_list]


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_in_another_file(place, tmp_path):
    (tmp_path / "a.onnx").write_bytes(place(inside()).SerializeToString())
    check_tensors_inside(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes(place(external()).SerializeToString())
    with pytest.raises(WeightsError, match=r"b\.onnx: keeps tensors in other files"):
        check_tensors_inside(tmp_path / "b.onnx")


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_no_back_end_reads_it(backend, tmp_path):
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    (tmp_path / "secret.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "a.onnx"
    path.write_bytes(initializer(external()).SerializeToString())
    with pytest.raises(WeightsError, match="keeps tensors in other files"):
        open_backend(path, "cpu", backend)


def test_a_number_of_more_bytes_than_needed(tmp_path):
    """The key of the graph, 7 << 3 | 2, in two bytes and in five, which protobuf accepts as well."""
    graph = initializer(external()).graph.SerializeToString()
    for key in (b"\xba\x00", b"\xba\x80\x80\x80\x00"):
        content = key + b"%b" % bytes([0x80 | len(graph) & 0x7F, len(graph) >> 7]) + graph
        assert onnx.ModelProto.FromString(content).graph.initializer[0].external_data
        (tmp_path / "a.onnx").write_bytes(content)
        with pytest.raises(WeightsError, match="keeps tensors in other files"):
            check_tensors_inside(tmp_path / "a.onnx")


@pytest.mark.parametrize("content", [b"", b"\x3a", b"\x3a\x05a", b"\xff" * 20, b"\x3b", b"text is no network"])
def test_not_onnx(content, tmp_path):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.onnx: not an ONNX network that can be read"):
        check_tensors_inside(tmp_path / "a.onnx")


def test_the_shipped_networks_pass():
    from rsgnet.config_files import SHIPPED

    for path in SHIPPED.glob("*/model.onnx"):
        check_tensors_inside(path)


def test_a_network_that_fails_is_named(tmp_path):
    estimator = PoseEstimator(write_failing_network(tmp_path / "failing"), "full", device="cpu")
    white = LoadedImage(np.full((64, 64, 3), 255, np.uint8), "white")
    with pytest.raises(NetworkError, match=r"failing/model\.onnx: the network failed \("):
        list(estimator.stream([white]))
