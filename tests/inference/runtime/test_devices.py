"""Names of devices, and what each back end makes of them, without any GPU."""

import pytest

from rsgnet.errors import RSGNetError
from rsgnet.inference.runtime import backends


def test_onnx_runtime_gets_the_number_of_the_gpu(monkeypatch):
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: both)
    cuda = [("CUDAExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"]
    assert backends._onnx_providers("auto") == backends._onnx_providers("cuda") == cuda
    assert backends._onnx_providers("cuda:3")[0] == ("CUDAExecutionProvider", {"device_id": 3})
    assert backends._onnx_providers("cpu") == ["CPUExecutionProvider"]


class TestPyTorch:
    @pytest.fixture
    def find(self, monkeypatch):
        torch = pytest.importorskip("torch")
        from rsgnet.inference.runtime.torch_network import pytorch_device

        def find(device, gpus=0, has_mps=False):
            monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
            monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
            monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)
            return pytorch_device(device)

        return find

    @pytest.mark.parametrize(
        ("device", "gpus", "expected"),
        [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda"), ("cuda:1", 2, "cuda:1")],
    )
    def test_devices(self, find, device, gpus, expected):
        assert find(device, gpus) == expected

    def test_mps(self, find):
        assert find("mps", has_mps=True) == "mps"

    @pytest.mark.parametrize(
        ("device", "gpus", "message"),
        [
            ("cuda", 0, "device cuda: PyTorch finds no GPU"),
            ("cuda:2", 2, "device cuda:2: PyTorch finds only cuda:0, cuda:1"),
            ("mps", 0, "device mps: PyTorch finds no Apple GPU"),
        ],
    )
    def test_devices_that_are_not_there(self, find, device, gpus, message):
        with pytest.raises(RSGNetError, match=message):
            find(device, gpus)


def test_a_detector_in_an_onnx_file_runs_on_the_processor_beside_mps(box_network, monkeypatch):
    from rsgnet.inference.detectors.open_detector import open_detector

    assert open_detector(f"onnx:{box_network([[0, 0, 9, 9]], [0.9])}", "mps").name.startswith("onnx:")
