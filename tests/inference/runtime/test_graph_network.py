"""A processor gets a few crops at a time, which changes no result."""

import numpy as np
import pytest

from rsgnet.inference.runtime import graph_network
from rsgnet.inference.runtime.open_network import open_network

RANDOM = np.random.default_rng(0)


class Counting:
    """A back end that notes how many crops each run gets."""

    def __init__(self, backend, is_on_processor=True):
        self.backend, self.is_on_processor, self.counts = backend, is_on_processor, []

    def __getattr__(self, name):
        return getattr(self.backend, name)

    def run(self, names, crops):
        self.counts.append(len(crops))
        return self.backend.run(names, crops)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
@pytest.mark.parametrize(
    ("count", "is_on_processor", "runs"),
    [(0, True, [0]), (1, True, [1]), (4, True, [4]), (5, True, [4, 1]), (11, True, [4, 4, 3]), (11, False, [11])],
)
def test_crops_in_pieces_equal_all_crops_at_once(monkeypatch, pose_network, backend, count, is_on_processor, runs):
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(graph_network, "_PIXELS_AT_ONCE", 3 * 64 * 48)
    monkeypatch.setattr(graph_network, "_PIXELS_PER_THREAD", 2 * 64 * 48)
    network = open_network(pose_network(), backend, "cpu")
    crops = RANDOM.integers(0, 256, (count, 64, 48, 3), np.uint8)
    (expected,) = network._backend.run(["target_heatmaps"], crops)
    network._backend = counting = Counting(network._backend, is_on_processor)
    found = network.run(crops).target_heatmaps
    assert counting.counts == runs
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_nano_in_pieces_equals_nano_at_once(monkeypatch):
    crops = RANDOM.integers(0, 256, (3, 128, 96, 3), np.uint8)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = open_network("nano", device="cpu").run(crops).target_heatmaps
    monkeypatch.setattr(graph_network, "_PIXELS_AT_ONCE", 1)
    monkeypatch.setattr(graph_network, "_PIXELS_PER_THREAD", 1)  # one crop at a time
    pieces = open_network("nano", device="cpu").run(crops).target_heatmaps
    np.testing.assert_allclose(pieces, whole, atol=1e-5)
