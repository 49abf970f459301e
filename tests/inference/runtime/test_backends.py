"""Which library runs a network, and that it does not matter which."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config_files import to_json
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.inference.crop_poses import find_in_crops
from rsgnet.inference.crops import cut
from rsgnet.inference.detectors.boxes import LoadedImage
from rsgnet.inference.detectors.detector import open_detector
from rsgnet.inference.runtime.backends import PRECISIONS, check_backend, open_backend
from rsgnet.inference.runtime.network import open_runner

CROPS = np.random.default_rng(0).integers(0, 256, (5, 64, 48, 3), np.uint8)


@pytest.fixture
def openvino():
    return pytest.importorskip("openvino", reason="back end openvino is an extra")


@pytest.fixture
def openvino_network(openvino, pose_network):
    """A network of `pose_network` in OpenVINO's two files: the .xml."""

    def make(**options):
        path = pose_network(lone=True, **options)
        network = openvino.Core().read_model(path)
        openvino.save_model(network, path.with_suffix(".xml"), compress_to_fp16=False)
        return path.with_suffix(".xml")

    return make


class TestWhatThereIs:
    @pytest.mark.parametrize(("backend", "precisions"), PRECISIONS.items())
    def test_passes(self, backend, precisions):
        for precision in precisions:
            check_backend(backend, "cpu", precision)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("caffe", "cpu", "float32"), "onnx, torch, openvino, not 'caffe'"),
            (("onnx", "cpu", "bf16"), "use --backend torch or openvino"),
            (("torch", "cpu", "int8"), "use --backend openvino"),
            (("openvino", "cpu", "float8"), "float32 or bf16 or int8, not 'float8'$"),
            (("openvino", "tpu", "float32"), "auto, cpu, cuda"),
        ],
    )
    def test_what_there_is_not(self, arguments, says):
        with pytest.raises(RSGNetError, match=says):
            check_backend(*arguments)

    def test_openvino_is_an_extra(self, pose_network, monkeypatch):
        monkeypatch.setitem(sys.modules, "openvino", None)
        with pytest.raises(RSGNetError, match=r"backend openvino needs openvino: pip install 'rsgnet\[openvino\]'"):
            open_runner(pose_network(), backend="openvino")

    def test_openvino_runs_on_the_processor(self, openvino, pose_network):
        with pytest.raises(RSGNetError, match="--device cpu"):
            open_runner(pose_network(), backend="openvino", device="cuda")

    def test_bf16_where_the_processor_has_none(self, openvino, pose_network, monkeypatch):
        class Core(openvino.Core):
            def get_property(self, *_):
                return ["FP32"]

        monkeypatch.setattr(openvino, "Core", Core)
        with pytest.raises(RSGNetError, match="precision bf16: this processor"):
            open_runner(pose_network(), backend="openvino", precision="bf16")


class TestOpenVino:
    @pytest.mark.parametrize("count", [0, 1, 2, 5])
    def test_runs_onnx_files_and_its_own_as_onnx_runtime_does(self, pose_network, openvino_network, count):
        wanted = open_runner(pose_network(), device="cpu").maps(CROPS[:count])
        for path in (pose_network(), openvino_network()):
            found = open_runner(path, backend="openvino", device="cpu").maps(CROPS[:count])
            assert found.target_heatmaps.shape == (count, 17, 16, 12)
            np.testing.assert_allclose(found.target_heatmaps, wanted.target_heatmaps, atol=1e-5)

    def test_any_number_of_crops_after_any_other(self, openvino, pose_network):
        one, other = (open_runner(pose_network(), backend, "cpu") for backend in ("onnx", "openvino"))
        for count in (3, 1, 4, 0, 2):
            np.testing.assert_allclose(one(CROPS[:count]), other(CROPS[:count]), atol=1e-5)

    def test_threads_may_share_it(self, openvino, pose_network):
        runner = open_runner(pose_network(), backend="openvino", device="cpu")
        batches = [CROPS[start : start + 2] for start in (0, 1, 2, 3)] * 8
        wanted = [runner(batch) for batch in batches]
        with ThreadPoolExecutor(4) as pool:
            for one, other in zip(pool.map(runner, batches), wanted, strict=True):
                assert np.array_equal(one, other)

    def test_bf16_is_near(self, openvino, pose_network):
        if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this processor has no bf16")
        exact, near = (
            open_runner(pose_network(), "openvino", "cpu", precision=name)(CROPS) for name in ("float32", "bf16")
        )
        assert 0 < np.abs(exact - near).max() < 0.02

    def test_its_files_carry_the_config(self, openvino_network):
        runner = open_runner(openvino_network(), backend="openvino")
        assert runner.config == colour_config() and runner.path.suffix == ".xml"

    def test_in_a_directory_its_own_file_is_preferred(self, pose_network, openvino_network):
        directory = pose_network()
        assert open_runner(directory, backend="openvino").path.name == "model.onnx"
        for suffix in (".xml", ".bin"):
            openvino_network().with_suffix(suffix).rename(directory / f"model{suffix}")
        assert open_runner(directory, backend="openvino").path.name == "model.xml"
        assert open_runner(directory).path.name == "model.onnx"

    def test_a_session_uses_the_threads_it_is_given(self, openvino, pose_network, monkeypatch):
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        session = open_backend(pose_network() / "model.onnx", "cpu", "openvino")
        assert session._network.get_property("INFERENCE_NUM_THREADS") == 1
        assert session._network.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32

    @pytest.mark.parametrize(("suffix", "left"), [(".xml", 0), (".xml", 300), (".bin", 0), (".bin", 40)])
    def test_truncated(self, openvino_network, suffix, left):
        path = openvino_network()
        whole = path.with_suffix(suffix).read_bytes()
        path.with_suffix(suffix).write_bytes(whole[:left])
        with pytest.raises(WeightsError, match=r"colours\.xml: not a network that OpenVINO can read .*truncated"):
            open_runner(path, backend="openvino")

    def test_its_files_are_not_for_onnx_runtime(self, openvino_network):
        with pytest.raises(WeightsError, match=r"colours\.xml.*--backend openvino"):
            open_runner(openvino_network())

    def test_int8_that_was_never_exported(self, openvino, pose_network):
        with pytest.raises(WeightsError, match=r"model-int8\.xml: no such file; `rsgnet export` writes it"):
            open_runner(pose_network(), backend="openvino", precision="int8")

    def test_int8_of_a_file_that_is_not(self, openvino_network):
        with pytest.raises(WeightsError, match=r"colours\.xml: its network is not quantised"):
            open_runner(openvino_network(), backend="openvino", precision="int8")

    def test_crops_of_another_size(self, openvino, pose_network):
        directory = pose_network()
        (directory / "config.json").write_text(to_json(colour_config()).replace("48", "96"))
        with pytest.raises(WeightsError, match=r"uint8 \[any, 64, 48, 3\], expected uint8 \[any, 64, 96, 3\]"):
            open_runner(directory, backend="openvino")

    def test_detectors_run_in_it_too(self, openvino, box_network):
        boxes, scores = [[8, 8, 40, 56], [0, 0, 16, 16]], [0.9, 0.6]
        photos = [LoadedImage(np.zeros((64, width, 3), np.uint8)) for width in (64, 128, 32)]
        spec = f"onnx:{box_network(boxes, scores)}"
        one, other = (open_detector(spec, "cpu", backend=backend) for backend in ("onnx", "openvino"))
        assert "OpenVino" in type(other._session).__name__
        for wanted, found in zip(one.detect(photos), other.detect(photos), strict=True):
            assert wanted.boxes_xyxy.tolist() == found.boxes_xyxy.tolist() and len(wanted) == 2


@pytest.mark.parametrize("flip_test", [False, True])
def test_the_shipped_network_is_the_same_in_all_of_them(openvino, flip_test):
    pytest.importorskip("torch")
    runners = [open_runner("nano", backend, "cpu") for backend in ("torch", "onnx", "openvino")]
    config, scene = runners[0].config, simulate_crowd(0)
    boxes = xywh_to_xyxy([person["bbox"] for person in scene.annotations["annotations"]])[:3]
    crops = [cut(scene.image, box, config.crop) for box in boxes]
    maps = [runner.maps(np.stack([crop.pixels for crop in crops])) for runner in runners]
    found = [find_in_crops(runner, config, crops, flip_test, evidence=True) for runner in runners]
    sure = found[0].scores > 0.01
    assert sure.mean() > 0.5
    for other_maps, other in zip(maps[1:], found[1:], strict=True):
        np.testing.assert_allclose(other_maps.target_heatmaps, maps[0].target_heatmaps, atol=1e-4)
        np.testing.assert_allclose(other.keypoints_xy[sure], found[0].keypoints_xy[sure], atol=0.1)
        np.testing.assert_allclose(other.scores, found[0].scores, atol=1e-4)
        np.testing.assert_allclose(other.evidence[sure], found[0].evidence[sure], atol=0.01)
