"""Batch sizes that are used often get a network of their own, with the same outputs."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rsgnet.config_files import ONNX_FILE, SHIPPED
from rsgnet.errors import WeightsError
from rsgnet.inference.runtime import fixed_batches
from rsgnet.inference.runtime.backends import open_backend
from rsgnet.inference.runtime.fixed_batches import FixedBatches
from rsgnet.inference.runtime.open_network import open_network


def test_a_size_that_is_used_often_gets_a_network_of_its_own(monkeypatch):
    monkeypatch.setattr(fixed_batches, "_USES_UNTIL_FIXED", 3)
    compiled = []
    fixed = FixedBatches(lambda size: compiled.append(size) or f"network of {size}")
    found = [fixed.find(size) for size in (4, 1, 4, 4, 0, 0, 0, 4, 1, 1, 2, 2, 2)]
    four, one = "network of 4", "network of 1"
    assert found == [None, None, None, four, None, None, None, four, None, one, None, None, None]  # 2 at most
    assert compiled == [4, 1]


def test_a_network_that_cannot_be_compiled_is_tried_once(monkeypatch):
    monkeypatch.setattr(fixed_batches, "_USES_UNTIL_FIXED", 1)
    tried = []
    fixed = FixedBatches(lambda size: tried.append(size) or 1 / 0)
    assert [fixed.find(2), fixed.find(2), fixed.find(3)] == [None, None, None] and tried == [2]


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
@pytest.mark.parametrize("name", ["nano", "detector-nano"])
def test_outputs_are_those_of_any_size(monkeypatch, backend, name):
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
    path = SHIPPED / name / ONNX_FILE
    free = open_backend(path, "cpu", backend)
    free._fixed = FixedBatches(None)
    monkeypatch.setattr(fixed_batches, "_USES_UNTIL_FIXED", 2)
    fixed = open_backend(path, "cpu", backend)
    names = [output.name for output in free.outputs]
    images = np.random.default_rng(0).integers(0, 256, (3, *free.input.shape[1:]), np.uint8)
    for size in (3, 1, 3, 0, 3, 2, 1, 1):
        for wanted, found in zip(free.run(names, images[:size]), fixed.run(names, images[:size]), strict=True):
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert sorted(fixed._fixed._networks) == [1, 3]


def test_several_threads_may_use_it(monkeypatch):
    monkeypatch.setattr(fixed_batches, "_USES_UNTIL_FIXED", 4)
    network = open_backend(SHIPPED / "nano" / ONNX_FILE, "cpu")
    crops = np.random.default_rng(0).integers(0, 256, (2, *network.input.shape[1:]), np.uint8)
    wanted = network.run(["target_heatmaps"], crops)[0]
    with ThreadPoolExecutor(4) as pool:
        for (found,) in pool.map(lambda _: network.run(["target_heatmaps"], crops), range(16)):
            np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert list(network._fixed._networks) == [2]


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_network_whose_input_is_one_number_is_refused_as_any_other(tmp_path, backend):
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
    onnx = pytest.importorskip("onnx")
    number = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, []) for name in ("in", "out")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["in"], ["out"])], "number", number[:1], number[1:]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / ONNX_FILE)
    with pytest.raises(WeightsError):
        open_network(tmp_path / ONNX_FILE, backend, "cpu")
