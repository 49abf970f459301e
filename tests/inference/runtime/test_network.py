from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config import CropConfig, PoseConfig
from rsgnet.config_files import to_json
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.runtime.backends import open_backend
from rsgnet.inference.runtime.network import open_runner

CROPS = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), np.uint8)


@pytest.mark.parametrize("lone", [False, True])
def test_an_onnx_network_gives_its_target_heatmaps(pose_network, lone):
    runner = open_runner(pose_network(lone=lone), device="cpu")
    assert runner.config == colour_config()
    heatmaps = runner(CROPS)
    means = CROPS.reshape(3, 16, 4, 12, 4, 3).mean((2, 4)) / 255
    assert heatmaps.shape == (3, 17, 16, 12) and heatmaps.dtype == np.float32
    for keypoint, channel in ((0, 1), (5, 0), (6, 2)):
        np.testing.assert_allclose(heatmaps[:, keypoint], means[..., channel], atol=1e-5)


def test_of_no_crops_there_are_no_heatmaps(pose_network):
    assert open_runner(pose_network())(CROPS[:0]).shape == (0, 17, 16, 12)


class TestWeightsOfTheWrongKind:
    @pytest.mark.parametrize("left", [0, 10, 200, -20])
    def test_truncated(self, pose_network, left):
        directory = pose_network()
        whole = (directory / "model.onnx").read_bytes()
        (directory / "model.onnx").write_bytes(whole[:left])
        with pytest.raises(WeightsError, match=r"model\.onnx"):
            open_runner(directory)

    def test_missing(self, pose_network):
        directory = pose_network()
        (directory / "model.onnx").unlink()
        with pytest.raises(WeightsError, match=r"model\.onnx: no such file"):
            open_runner(directory)

    @pytest.mark.parametrize("lone", [False, True])
    def test_a_detector(self, box_network, lone):
        with pytest.raises(WeightsError, match="not the weights of a pose network"):
            open_runner(box_network([[0, 0, 9, 9]], [0.9], lone=lone))

    def test_a_detector_with_a_pose_config(self, box_network):
        directory = box_network([[0, 0, 9, 9]], [0.9])
        (directory / "config.json").write_text(to_json(colour_config()))
        with pytest.raises(WeightsError, match="its input is"):
            open_runner(directory)

    def test_an_onnx_file_of_someone_else(self, shared):
        with pytest.raises(WeightsError, match="carries no rsgnet config"):
            open_runner(shared("detectors/yolox_nano.onnx"))

    def test_crops_of_another_size(self, pose_network):
        directory = pose_network()
        (directory / "config.json").write_text(to_json(PoseConfig("p", crop=CropConfig(size_wh=(96, 128)))))
        with pytest.raises(WeightsError, match=r"expected uint8 \[any, 128, 96, 3\]"):
            open_runner(directory)

    def test_another_number_of_keypoints(self, pose_network):
        directory = pose_network()
        (directory / "config.json").write_text(to_json(colour_config("crowdpose14")))
        with pytest.raises(WeightsError, match=r"\(3, 17, 16, 12\), its config promises \(3, 14, 16, 12\)"):
            open_runner(directory)(CROPS)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"backend": "tensorflow"}, "onnx, torch, openvino"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"backend": "torch", "device": "tpu"}, "auto, cpu, cuda"),
    ],
)
def test_no_such_backend_or_device(pose_network, options, says):
    with pytest.raises(RSGNetError, match=says):
        open_runner(pose_network(), **options)


def test_cuda_where_there_is_none(pose_network, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(RSGNetError, match="onnxruntime-gpu"):
        open_runner(pose_network(), device="cuda")


def test_a_session_uses_the_threads_it_is_given(pose_network, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    session = open_backend(pose_network() / "model.onnx", "cpu")
    assert session._session.get_session_options().intra_op_num_threads == 1


class TestTorch:
    def test_a_lone_onnx_file_is_no_torch_model(self, pose_network):
        with pytest.raises(WeightsError, match="model directory"):
            open_runner(pose_network(lone=True), backend="torch")

    def test_normalises_and_gives_target_heatmaps(self, pose_network, monkeypatch):
        torch = pytest.importorskip("torch")
        checkpoint = pytest.importorskip("rsgnet.checkpoint")
        config = replace(colour_config(), crop=replace(colour_config().crop, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1)))
        directory = pose_network(config)
        seen = []

        class Network(torch.nn.Module):
            def forward(self, images):
                seen.append(images.numpy())
                return SimpleNamespace(target_heatmaps=torch.ones(len(images), 17, 16, 12, dtype=torch.bfloat16))

        monkeypatch.setattr(checkpoint, "load_pose_model", lambda path: Network() if path == directory else None)
        heatmaps = open_runner(directory, backend="torch", device="cpu")(CROPS)
        assert heatmaps.dtype == np.float32 and (heatmaps == 1).all()
        expected = (CROPS / 255 - config.crop.mean) / config.crop.std
        np.testing.assert_allclose(seen[0], expected.transpose(0, 3, 1, 2), atol=1e-5)

    def test_numbers_that_are_not_finite(self, pose_network, monkeypatch):
        torch = pytest.importorskip("torch")
        checkpoint = pytest.importorskip("rsgnet.checkpoint")

        class Network(torch.nn.Module):
            def forward(self, images):
                return SimpleNamespace(target_heatmaps=torch.full((len(images), 17, 16, 12), torch.nan))

        monkeypatch.setattr(checkpoint, "load_pose_model", lambda path: Network())
        with pytest.raises(WeightsError, match="not finite"):
            open_runner(pose_network(), backend="torch", device="cpu")(CROPS)
