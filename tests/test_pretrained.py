"""Networks of others to start from: equality with the published one, and files that hold another or are broken."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rsgnet.config import DetectorConfig, ModelConfig
from rsgnet.errors import WeightsError
from rsgnet.model import PersonDetector, RSGNet
from rsgnet.model.folded_norms import folded_convolutions
from rsgnet.pretrained import start_detector, start_pose_network

BACKBONE = "lite_hrnet_w8_modules111"
DETECTOR = DetectorConfig("tiny", width_multiple=0.125, size_wh=(64, 64))


def pose_network(backbone=BACKBONE, skeleton="coco17"):
    torch.manual_seed(1)
    return RSGNet(ModelConfig(backbone=backbone, skeleton=skeleton, skeleton_graph=False))


def published_tensors():
    """The file of a published pose network: a weight and a bias of each convolution."""
    network = pose_network()
    layers = [layer for layer, _ in folded_convolutions(network.backbone.encoder, "depth_first")]
    torch.manual_seed(2)
    return {
        f"conv{index:04}.{part}": torch.randn(shape)
        for index, layer in enumerate([*layers, network.target_head])
        for part, shape in (("weight", layer.weight.shape), ("bias", layer.weight.shape[:1]))
    }


@pytest.fixture
def published(tmp_path):
    """Writes the file of a published pose network, changed by a function, and returns its path."""

    def write(change=lambda tensors: None):
        tensors = published_tensors()
        change(tensors)
        save_file(tensors, tmp_path / "published.safetensors")
        return tmp_path / "published.safetensors"

    return write


def crops(count=4):
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def assert_nothing_is_loaded(model, path, message, start=start_pose_network):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=message) as raised:
        start(model, path, crops())
    assert str(path) in str(raised.value)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_pose_network_computes_what_the_published_file_says(published):
    """The first convolution and the head, worked out from the tensors of the file."""
    path, images = published(), crops()
    model = pose_network()
    start_pose_network(model, path, images)
    tensors = load_file(path)
    stem = model.eval().backbone.encoder.stem[0]
    with torch.no_grad():
        first = nn.functional.conv2d(images, tensors["conv0000.weight"], tensors["conv0000.bias"], 2, 1).relu()
        torch.testing.assert_close(stem(images), first, atol=1e-4, rtol=1e-4)
        head = f"conv{len(tensors) // 2 - 1:04}"
        for layer in (model.target_head, model.candidate_head):
            assert torch.equal(layer.weight, tensors[f"{head}.weight"])
            assert torch.equal(layer.bias, tensors[f"{head}.bias"])


@pytest.mark.parametrize(("name", "size_wh"), [("tinypose_128x96", (96, 128)), ("tinypose_256x192", (192, 256))])
def test_it_is_the_published_network(shared, name, size_wh):
    golden = np.load(shared(f"pretrained/{name}.golden.npz"))
    config = ModelConfig(backbone="lite_hrnet_w40", relation=None, skeleton_graph=False)
    model = RSGNet(config).eval()
    torch.manual_seed(0)
    start_pose_network(model, shared(f"pretrained/{name}.safetensors"), torch.randn(4, 3, size_wh[1], size_wh[0]))
    with torch.no_grad():
        heatmaps = model(torch.from_numpy(golden["input"])).target_heatmaps.numpy()
    np.testing.assert_allclose(heatmaps, golden["heatmaps"], atol=1e-4)


def test_a_file_of_another_width_is_refused(published):
    message = r"another network: conv\d+\.weight is .* and not .* and \d+ more"
    assert_nothing_is_loaded(pose_network("lite_hrnet_w16_modules111"), published(), message)


def test_a_file_of_another_depth_is_refused(published):
    message = r"holds \d+ convolutions; the network has \d+"
    assert_nothing_is_loaded(pose_network("lite_hrnet_w8_modules121"), published(), message)


def test_a_file_of_another_number_of_keypoints_is_refused(published):
    message = r"weight is \[17, 8, 1, 1\] and not \[14, 8, 1, 1\]; conv\d+\.bias is \[17\] and not \[14\]$"
    assert_nothing_is_loaded(pose_network(skeleton="crowdpose14"), published(), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("conv0003.bias"), r"not a folded network.*'conv0003\.bias'"),
        (lambda tensors: tensors.pop("conv0003.weight"), r"not a folded network.*'conv0003\.weight'"),
        (lambda tensors: tensors.update({"conv0003.mean": torch.zeros(1)}), r"'conv0003\.mean'"),
        (lambda tensors: tensors.update({"epoch": torch.zeros(1)}), r"not a folded network.*'epoch'"),
        (
            lambda tensors: tensors.update({"conv0003.bias": torch.zeros(99)}),
            r"another network: conv0003\.bias is \[99\] and not",
        ),
        (
            lambda tensors: [tensors.pop(f"conv0003.{part}") for part in ("weight", "bias")],
            r"holds \d+ convolutions; the network has \d+",
        ),
        (
            lambda tensors: tensors.update(
                {"conv9999.weight": torch.zeros(1, 1, 1, 1), "conv9999.bias": torch.zeros(1)}
            ),
            r"holds \d+ convolutions; the network has \d+",
        ),
    ],
)
def test_files_with_missing_or_extra_tensors_are_refused(published, change, message):
    assert_nothing_is_loaded(pose_network(), published(change), message)


def test_files_that_cannot_be_read_are_refused(published, tmp_path):
    path = published()
    path.write_bytes(path.read_bytes()[:-100])
    assert_nothing_is_loaded(pose_network(), path, "cannot be read as safetensors .* is it truncated")
    path.write_bytes(b"no safetensors")
    assert_nothing_is_loaded(pose_network(), path, "cannot be read as safetensors")
    assert_nothing_is_loaded(pose_network(), tmp_path / "absent.safetensors", "No such file")
    assert_nothing_is_loaded(pose_network(), tmp_path, "cannot be read as safetensors")


@pytest.fixture
def detector_file(tmp_path):
    """Writes the convolutions of a detector of a width into an ONNX file and returns its path."""
    onnx = pytest.importorskip("onnx")

    def write(width_multiple=DETECTOR.width_multiple, biases=True):
        detector = PersonDetector(DetectorConfig("published", width_multiple=width_multiple))
        nodes, tensors = [], []
        torch.manual_seed(3)
        for index, (layer, _) in enumerate(folded_convolutions(detector.rtmdet, "execution")):
            names = [f"w{index}", f"b{index}"][: 1 + biases]
            nodes.append(onnx.helper.make_node("Conv", [f"x{index}", *names], [f"x{index + 1}"], name=f"conv{index}"))
            for name, shape in zip(names, (layer.weight.shape, layer.weight.shape[:1]), strict=False):
                tensors.append(onnx.numpy_helper.from_array(torch.randn(shape).numpy(), name))
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], [], tensors)), tmp_path / "d.onnx")
        return tmp_path / "d.onnx"

    return write


def test_a_detector_takes_rgb_where_the_published_one_takes_bgr(detector_file):
    onnx = pytest.importorskip("onnx")
    detector, path, images = PersonDetector(DETECTOR), detector_file(), crops()
    start_detector(detector, path, images)
    weight, bias = (torch.tensor(onnx.numpy_helper.to_array(each)) for each in onnx.load(path).graph.initializer[:2])
    bgr = nn.functional.conv2d(images.flip(1), weight, bias, 2, 1)
    with torch.no_grad():
        torch.testing.assert_close(detector.eval().rtmdet.backbone.stem[0](images), nn.functional.silu(bgr))


def test_a_detector_of_another_width_is_refused(detector_file):
    message = r"another network: conv0\.weight is .* and not .* and \d+ more"
    assert_nothing_is_loaded(PersonDetector(DETECTOR), detector_file(width_multiple=0.25), message, start_detector)


def test_onnx_files_without_biases_and_broken_ones_are_refused(detector_file, tmp_path):
    message = "not an ONNX file of convolutions with weights and biases|holds 0 convolutions"
    assert_nothing_is_loaded(PersonDetector(DETECTOR), detector_file(biases=False), message, start_detector)
    path = detector_file()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_nothing_is_loaded(PersonDetector(DETECTOR), path, message, start_detector)
    path.write_bytes(b"")
    assert_nothing_is_loaded(PersonDetector(DETECTOR), path, message, start_detector)
    assert_nothing_is_loaded(PersonDetector(DETECTOR), tmp_path / "absent.onnx", message, start_detector)
