"""Pose networks are opened from directories and files, and broken or foreign weights are refused."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config import CropConfig, PoseConfig
from rsgnet.config_files import to_json
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.runtime.backends import open_backend
from rsgnet.inference.runtime.open_network import open_network

CROPS = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), np.uint8)


@pytest.mark.parametrize("lone", [False, True])
def test_an_onnx_network_gives_its_target_heatmaps(pose_network, lone):
    network = open_network(pose_network(lone=lone), device="cpu")
    assert network.config == colour_config()
    heatmaps = network.run(CROPS).target_heatmaps
    means = CROPS.reshape(3, 16, 4, 12, 4, 3).mean((2, 4)) / 255
    assert heatmaps.shape == (3, 17, 16, 12) and heatmaps.dtype == np.float32
    for keypoint, channel in ((0, 1), (5, 0), (6, 2)):
        np.testing.assert_allclose(heatmaps[:, keypoint], means[..., channel], atol=1e-5)


def test_an_empty_batch_gives_no_heatmaps(pose_network):
    assert open_network(pose_network()).run(CROPS[:0]).target_heatmaps.shape == (0, 17, 16, 12)


class TestBrokenWeights:
    @pytest.mark.parametrize("left", [0, 10, 200, -20])
    def test_truncated_file(self, pose_network, left):
        directory = pose_network()
        content = (directory / "model.onnx").read_bytes()
        (directory / "model.onnx").write_bytes(content[:left])
        with pytest.raises(WeightsError, match=r"model\.onnx"):
            open_network(directory)

    def test_missing_file(self, pose_network):
        directory = pose_network()
        (directory / "model.onnx").unlink()
        with pytest.raises(WeightsError, match=r"model\.onnx: no such file"):
            open_network(directory)

    @pytest.mark.parametrize("lone", [False, True])
    def test_detector(self, box_network, lone):
        with pytest.raises(WeightsError, match="not the weights of a pose network"):
            open_network(box_network([[0, 0, 9, 9]], [0.9], lone=lone))

    def test_detector_with_a_pose_config(self, box_network):
        directory = box_network([[0, 0, 9, 9]], [0.9])
        (directory / "config.json").write_text(to_json(colour_config()))
        with pytest.raises(WeightsError, match="its input is"):
            open_network(directory)

    def test_foreign_onnx_file(self, shared):
        with pytest.raises(WeightsError, match="carries no rsgnet config"):
            open_network(shared("detectors/yolox_nano.onnx"))

    def test_config_of_another_crop_size(self, pose_network):
        directory = pose_network()
        (directory / "config.json").write_text(to_json(PoseConfig("p", crop=CropConfig(size_wh=(96, 128)))))
        with pytest.raises(WeightsError, match=r"expected uint8 \[any, 128, 96, 3\]"):
            open_network(directory)

    def test_config_of_another_number_of_keypoints(self, pose_network):
        directory = pose_network()
        (directory / "config.json").write_text(to_json(colour_config("crowdpose14")))
        with pytest.raises(WeightsError, match=r"\(3, 17, 16, 12\), its config promises \(3, 14, 16, 12\)"):
            open_network(directory).run(CROPS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "tensorflow"}, "onnx, torch, openvino"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"device": "cpu:1"}, "auto, cpu, cuda, cuda:NUMBER, mps, not 'cpu:1'"),
        ({"device": "cuda:"}, "cuda:NUMBER"),
        ({"device": "cuda:one"}, "cuda:NUMBER"),
        ({"device": "mps"}, "only PyTorch runs on it"),
        ({"backend": "openvino", "device": "mps"}, "runs on the processor"),
        ({"backend": "torch", "device": "tpu"}, "auto, cpu, cuda"),
    ],
)
def test_unknown_backend_or_device_raises(pose_network, options, message):
    with pytest.raises(RSGNetError, match=message):
        open_network(pose_network(), **options)


def test_missing_cuda_names_the_package(pose_network, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(RSGNetError, match="onnxruntime-gpu"):
        open_network(pose_network(), device="cuda")


def test_thread_limit_is_used(pose_network, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    backend = open_backend(pose_network() / "model.onnx", "cpu")
    assert backend._session.get_session_options().intra_op_num_threads == 1


class TestTorch:
    @pytest.fixture
    def open_stub(self, pose_network, monkeypatch):
        """Opens a network whose PyTorch model is a function from images to target heatmaps."""
        torch = pytest.importorskip("torch")
        checkpoint = pytest.importorskip("rsgnet.checkpoint")

        class Model(torch.nn.Module):
            def __init__(self, compute):
                super().__init__()
                self.compute = compute

            def forward(self, images):
                return SimpleNamespace(target_heatmaps=self.compute(images), candidates=None)

        def open_model(compute, config=None):
            directory = pose_network(config)
            monkeypatch.setattr(
                checkpoint, "load_pose_model", lambda path: Model(compute) if path == directory else None
            )
            return open_network(directory, backend="torch", device="cpu")

        return open_model

    def test_a_lone_onnx_file_raises(self, pose_network):
        with pytest.raises(WeightsError, match="model directory"):
            open_network(pose_network(lone=True), backend="torch")

    def test_normalises_crops_and_gives_target_heatmaps(self, open_stub):
        torch = pytest.importorskip("torch")
        config = replace(colour_config(), crop=replace(colour_config().crop, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1)))
        inputs = []

        def compute(images):
            inputs.append(images.numpy())
            return torch.ones(len(images), 17, 16, 12, dtype=torch.bfloat16)

        heatmaps = open_stub(compute, config).run(CROPS).target_heatmaps
        assert heatmaps.dtype == np.float32 and (heatmaps == 1).all()
        expected = (CROPS / 255 - config.crop.mean) / config.crop.std
        np.testing.assert_allclose(inputs[0], expected.transpose(0, 3, 1, 2), atol=1e-5)

    def test_heatmaps_that_are_not_finite_raise(self, open_stub):
        torch = pytest.importorskip("torch")
        network = open_stub(lambda images: torch.full((len(images), 17, 16, 12), torch.nan))
        with pytest.raises(WeightsError, match="not finite"):
            network.run(CROPS)
