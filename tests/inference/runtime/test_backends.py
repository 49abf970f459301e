"""Network files give the same results in every back end."""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config_files import to_json
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.errors import RSGNetError, RSGNetWarning, WeightsError
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.inference.crops import cut_crop, predict_crops
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.detectors.open_detector import open_detector
from rsgnet.inference.runtime import backends
from rsgnet.inference.runtime.backends import PRECISIONS, check_backend, open_backend
from rsgnet.inference.runtime.open_network import open_network

CROPS = np.random.default_rng(0).integers(0, 256, (5, 64, 48, 3), np.uint8)


@pytest.fixture
def openvino():
    return pytest.importorskip("openvino", reason="back end openvino is an extra")


@pytest.fixture
def openvino_network(openvino, pose_network):
    """Converts a network of `pose_network` to OpenVINO's two files; returns the .xml."""

    def make(**options):
        path = pose_network(lone=True, **options)
        network = openvino.Core().read_model(path)
        openvino.save_model(network, path.with_suffix(".xml"), compress_to_fp16=False)
        return path.with_suffix(".xml")

    return make


class TestCheckBackend:
    @pytest.mark.parametrize(("backend", "precisions"), PRECISIONS.items())
    def test_known_combinations_pass(self, backend, precisions):
        for precision in precisions:
            check_backend(backend, "cpu", precision)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("caffe", "cpu", "float32"), "onnx, torch, openvino, not 'caffe'"),
            (("onnx", "cpu", "bf16"), "use --backend torch or openvino"),
            (("torch", "cpu", "int8"), "use --backend openvino"),
            (("openvino", "cpu", "float8"), "float32 or bf16 or int8, not 'float8'$"),
            (("openvino", "tpu", "float32"), "auto, cpu, cuda"),
        ],
    )
    def test_unknown_combinations_raise(self, arguments, message):
        with pytest.raises(RSGNetError, match=message):
            check_backend(*arguments)


class TestOpenVino:
    def test_missing_library_names_the_extra(self, pose_network, monkeypatch):
        monkeypatch.setitem(sys.modules, "openvino", None)
        with pytest.raises(RSGNetError, match=r"backend openvino needs openvino: pip install 'rsgnet\[openvino\]'"):
            open_network(pose_network(), backend="openvino")

    def test_cuda_raises(self, openvino, pose_network):
        with pytest.raises(RSGNetError, match="--device cpu"):
            open_network(pose_network(), backend="openvino", device="cuda")

    def test_bf16_without_support_raises(self, openvino, pose_network, monkeypatch):
        class Core(openvino.Core):
            def get_property(self, *_):
                return ["FP32"]

        monkeypatch.setattr(openvino, "Core", Core)
        with pytest.raises(RSGNetError, match="precision bf16: this processor"):
            open_network(pose_network(), backend="openvino", precision="bf16")

    @pytest.mark.parametrize("count", [0, 1, 2, 5])
    def test_onnx_and_xml_files_equal_onnx_runtime(self, pose_network, openvino_network, count):
        expected = open_network(pose_network(), device="cpu").run(CROPS[:count])
        for path in (pose_network(), openvino_network()):
            output = open_network(path, backend="openvino", device="cpu").run(CROPS[:count])
            assert output.target_heatmaps.shape == (count, 17, 16, 12)
            np.testing.assert_allclose(output.target_heatmaps, expected.target_heatmaps, atol=1e-5)

    def test_batch_size_may_change_between_runs(self, openvino, pose_network):
        one, other = (open_network(pose_network(), backend, "cpu") for backend in ("onnx", "openvino"))
        for count in (3, 1, 4, 0, 2):
            crops = CROPS[:count]
            np.testing.assert_allclose(one.run(crops).target_heatmaps, other.run(crops).target_heatmaps, atol=1e-5)

    def test_threads_can_share_a_network(self, openvino, pose_network):
        network = open_network(pose_network(), backend="openvino", device="cpu")
        batches = [CROPS[start : start + 2] for start in (0, 1, 2, 3)] * 8
        expected = [network.run(batch).target_heatmaps for batch in batches]
        with ThreadPoolExecutor(4) as pool:
            for output, heatmaps in zip(pool.map(network.run, batches), expected, strict=True):
                assert np.array_equal(output.target_heatmaps, heatmaps)

    def test_bf16_is_close_to_float32(self, openvino, pose_network):
        if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this processor has no bf16")
        float32, bf16 = (
            open_network(pose_network(), "openvino", "cpu", precision=name).run(CROPS).target_heatmaps
            for name in ("float32", "bf16")
        )
        assert 0 < np.abs(float32 - bf16).max() < 0.02

    def test_xml_files_carry_the_config(self, openvino_network):
        network = open_network(openvino_network(), backend="openvino")
        assert network.config == colour_config() and network.path.suffix == ".xml"

    def test_directory_prefers_the_xml_file(self, pose_network, openvino_network):
        directory = pose_network()
        assert open_network(directory, backend="openvino").path.name == "model.onnx"
        for suffix in (".xml", ".bin"):
            openvino_network().with_suffix(suffix).rename(directory / f"model{suffix}")
        assert open_network(directory, backend="openvino").path.name == "model.xml"
        assert open_network(directory).path.name == "model.onnx"

    def test_thread_limit_is_used(self, openvino, pose_network, monkeypatch):
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        backend = open_backend(pose_network() / "model.onnx", "cpu", "openvino")
        assert backend._network.get_property("INFERENCE_NUM_THREADS") == 1
        assert backend._network.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32

    @pytest.mark.parametrize(("suffix", "left"), [(".xml", 0), (".xml", 300), (".bin", 0), (".bin", 40)])
    def test_truncated_file_raises(self, openvino_network, suffix, left):
        path = openvino_network()
        content = path.with_suffix(suffix).read_bytes()
        path.with_suffix(suffix).write_bytes(content[:left])
        with pytest.raises(WeightsError, match=r"colours\.xml: not a network that OpenVINO can read .*truncated"):
            open_network(path, backend="openvino")

    def test_xml_file_in_onnx_runtime_raises(self, openvino_network):
        with pytest.raises(WeightsError, match=r"colours\.xml.*--backend openvino"):
            open_network(openvino_network())

    def test_int8_without_a_file_raises(self, openvino, pose_network):
        with pytest.raises(WeightsError, match=r"model-int8\.xml: no such file; `rsgnet export` writes it"):
            open_network(pose_network(), backend="openvino", precision="int8")

    def test_int8_of_a_float32_file_raises(self, openvino_network):
        with pytest.raises(WeightsError, match=r"colours\.xml: its network is not quantised"):
            open_network(openvino_network(), backend="openvino", precision="int8")

    def test_config_of_another_crop_size_raises(self, openvino, pose_network):
        directory = pose_network()
        (directory / "config.json").write_text(to_json(colour_config()).replace("48", "96"))
        with pytest.raises(WeightsError, match=r"uint8 \[any, 64, 48, 3\], expected uint8 \[any, 64, 96, 3\]"):
            open_network(directory, backend="openvino")

    def test_detectors_run_in_openvino_too(self, openvino, box_network):
        boxes, scores = [[8, 8, 40, 56], [0, 0, 16, 16]], [0.9, 0.6]
        images = [LoadedImage(np.zeros((64, width, 3), np.uint8)) for width in (64, 128, 32)]
        spec = f"onnx:{box_network(boxes, scores)}"
        one, other = (open_detector(spec, "cpu", backend=backend) for backend in ("onnx", "openvino"))
        assert "OpenVino" in type(other._backend).__name__
        for expected, found in zip(one.detect(images), other.detect(images), strict=True):
            assert expected.boxes_xyxy.tolist() == found.boxes_xyxy.tolist() and len(expected) == 2


@pytest.mark.parametrize("flip_test", [False, True])
def test_shipped_network_is_equal_in_all_back_ends(openvino, flip_test):
    pytest.importorskip("torch")
    networks = [open_network("nano", backend, "cpu") for backend in ("torch", "onnx", "openvino")]
    scene = simulate_crowd(0)
    boxes = xywh_to_xyxy([person["bbox"] for person in scene.annotations["annotations"]])[:3]
    crops = [cut_crop(scene.image, box, networks[0].config.crop) for box in boxes]
    outputs = [network.run(np.stack([crop.pixels for crop in crops])) for network in networks]
    predictions = [predict_crops(network, crops, flip_test, with_features=True) for network in networks]
    is_found = predictions[0].scores > 0.01
    assert is_found.mean() > 0.5
    for output, found in zip(outputs[1:], predictions[1:], strict=True):
        np.testing.assert_allclose(output.target_heatmaps, outputs[0].target_heatmaps, atol=1e-4)
        np.testing.assert_allclose(found.keypoints_xy[is_found], predictions[0].keypoints_xy[is_found], atol=0.1)
        np.testing.assert_allclose(found.scores, predictions[0].scores, atol=1e-4)
        np.testing.assert_allclose(found.features[is_found], predictions[0].features[is_found], atol=0.01)


class TestFallbackToTheProcessor:
    @pytest.mark.parametrize(
        ("device", "gpu", "warned"), [("auto", True, True), ("auto", False, False), ("cpu", True, False)]
    )
    def test_a_gpu_that_is_not_used_is_said(self, pose_network, monkeypatch, device, gpu, warned):
        if "CUDAExecutionProvider" in backends.onnxruntime.get_available_providers():
            pytest.skip("this ONNX Runtime uses the GPU")
        monkeypatch.setattr(backends, "gpu_is_visible", lambda: gpu)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            open_backend(pose_network(lone=True), device)
        assert [each.category for each in caught] == [RSGNetWarning] * warned
        assert not warned or "pip install onnxruntime-gpu" in str(caught[0].message)

    @pytest.mark.parametrize("hidden", ["", "-1"])
    def test_a_hidden_gpu_is_not_visible(self, monkeypatch, hidden):
        monkeypatch.setattr(backends.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        assert backends.gpu_is_visible()
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not backends.gpu_is_visible()
