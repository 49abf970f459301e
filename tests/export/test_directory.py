"""Network files give the same outputs as PyTorch, and the pipeline steps inside them those of the pipeline."""

import shutil
from itertools import product

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.conftest import PEOPLE19_OWNERSHIP

from rsgnet.checkpoint import build, load_model, save_model
from rsgnet.config import ExportOptions
from rsgnet.config_files import ONNX_CONFIG_PROPERTY, ONNX_OWNERSHIP_PROPERTY, parse_network_config, with_settings
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.export.directory import export_onnx, export_openvino
from rsgnet.export.graphs import DetectorGraph, PoseGraph
from rsgnet.export.network_files import embed_ownership
from rsgnet.inference.crops import Crop, predict_crops
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.inference.weights import SHIPPED
from rsgnet.presets import detector_nano, paper, rsgnet_light


def compare(directory, batches=(1, 3)):
    """Returns the largest difference between ONNX Runtime and PyTorch of each output."""
    model, config = load_model(directory)
    graph = (PoseGraph if hasattr(config, "crop") else DetectorGraph)(model, config).eval()
    session = onnxruntime.InferenceSession(directory / "model.onnx")
    assert parse_network_config(session.get_modelmeta().custom_metadata_map[ONNX_CONFIG_PROPERTY], "x") == config
    random = np.random.default_rng(0)
    worst = []
    for batch in batches:
        # Smooth noise, because white noise is unlike images and gives peaks of equal height.
        coarse = random.integers(0, 256, (batch, 3, 8, 8)).astype(np.float32)
        width, height = graph.size_wh
        smooth = torch.nn.functional.interpolate(torch.from_numpy(coarse), (height, width), mode="bicubic")
        pixels = smooth.clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)
        with torch.no_grad():
            expected = graph(pixels)
        found = session.run(graph.output_names, {graph.input_name: pixels.numpy()})
        if isinstance(graph, DetectorGraph):  # boxes of score 0 are padding, in any order
            found[0][found[1] == 0] = expected[0][expected[1] == 0] = 0
        worst.append([float(np.abs(one - other.numpy()).max()) for one, other in zip(found, expected, strict=True)])
    return np.max(worst, axis=0)


def test_released_form(tmp_path):
    torch.manual_seed(0)
    small = ["crop.size_wh=64,96", "model.backbone=hrnet_w8_modules111_blocks1", "model.relation.embedding_dim=12"]
    config = with_settings(paper("dense", 32, (192, 256), "coco"), small)
    save_model(build(config), config, tmp_path)
    export_onnx(tmp_path)
    assert compare(tmp_path).max() < 1e-3


def test_plain_network_has_one_output(tmp_path):
    config = with_settings(
        paper("hrnet", 32, (192, 256), "coco"), ["crop.size_wh=64,64", "model.backbone=hrnet_w8_modules111_blocks1"]
    )
    save_model(build(config), config, tmp_path)
    export_onnx(tmp_path)
    assert compare(tmp_path).shape == (1,)


@pytest.mark.parametrize("name", ["nano", "small", "detector-nano"])
def test_shipped_onnx_files_equal_the_shipped_weights(name):
    worst = compare(SHIPPED / name)
    assert worst.max() < (0.05 if name == "detector-nano" else 1e-3)  # heatmap heights; box edges in pixels


def test_shipped_weights_stay_small():
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*.*")) < 50e6


def test_directory_without_weights_raises(tmp_path):
    (tmp_path / "config.json").write_text('{"name": "d"}')
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        export_onnx(tmp_path)
    assert not (tmp_path / "model.onnx").exists()


def test_detector_graph_outputs():
    assert DetectorGraph(build(detector_nano()), detector_nano()).output_names == ["boxes_xyxy", "scores"]


def test_command_writes_a_directory_of_half_the_size_with_the_fit(rsgnet, tmp_path):
    config = with_settings(rsgnet_light(), ["crop.size_wh=64,64", "model.relation.clue_dim=8"])
    torch.manual_seed(0)
    save_model(build(config), config, tmp_path / "model")
    text = PEOPLE19_OWNERSHIP.read_text()
    (tmp_path / "model" / "ownership.json").write_text(text)
    assert rsgnet("export", tmp_path / "model", "--out", tmp_path / "small")[0] == 0
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("model", "small")]
    assert sizes[1] < 0.6 * sizes[0]
    assert compare(tmp_path / "small").max() < 1e-3
    assert (tmp_path / "small" / "ownership.json").read_text() == text
    session = onnxruntime.InferenceSession(tmp_path / "small" / "model.onnx")
    inside = session.get_modelmeta().custom_metadata_map
    assert inside[ONNX_OWNERSHIP_PROPERTY] == text and ONNX_CONFIG_PROPERTY in inside
    save_model(build(config), config, tmp_path / "small")  # other weights
    assert not (tmp_path / "small" / "ownership.json").exists()


def test_shipped_onnx_file_contains_the_shipped_fit():
    session = onnxruntime.InferenceSession(SHIPPED / "nano" / "model.onnx")
    text = (SHIPPED / "nano" / "ownership.json").read_text()
    assert session.get_modelmeta().custom_metadata_map[ONNX_OWNERSHIP_PROPERTY] == text


# Pipeline steps inside the files, tested with a network of random weights whose heatmaps have peaks.

TINY = ["crop.size_wh=64,64", "model.relation.clue_dim=8", "model.backbone=test_efficientnet", "model.neck.width=8"]
OPTIONS = [PLAIN, DECODED, FLIPPED, BOTH] = [ExportOptions(*flags) for flags in product((False, True), repeat=2)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Returns a small model directory with random weights and an ownership fit."""
    directory = tmp_path_factory.mktemp("small") / "model"
    torch.manual_seed(0)
    config = with_settings(rsgnet_light(), [*TINY, "decode.flip_test=true", "model.relation.evidence=true"])
    network = build(config)
    torch.nn.init.ones_(network.fuse[-1].weight)  # as if trained: E_t and the evidence change the heatmaps
    for head in (network.candidate_head, network.target_head):
        torch.nn.init.normal_(head.weight, std=0.6)
    save_model(network, config, directory)
    (directory / "ownership.json").write_text(PEOPLE19_OWNERSHIP.read_text())
    return directory


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """Returns the model directory with an ONNX file of some export options, exported once per module."""
    directories = {}

    def export(options=PLAIN):
        if options not in directories:
            directories[options] = tmp_path_factory.mktemp("options") / "model"
            shutil.copytree(model, directories[options])
            export_onnx(directories[options], options)
        return directories[options]

    return export


@pytest.fixture(scope="module")
def crops(model):
    """Returns five crops of smooth noise."""
    coarse = torch.from_numpy(np.random.default_rng(1).uniform(0, 255, (5, 3, 8, 8)))
    smooth = torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 255)
    return [Crop(pixels, np.eye(2, 3), 4096.0) for pixels in smooth.permute(0, 2, 3, 1).to(torch.uint8).numpy()]


@pytest.fixture(scope="module")
def in_pytorch(model, crops):
    """Returns the poses in the crops predicted by PyTorch, without and with flip test."""
    network = open_network(model, "torch", "cpu")
    return [predict_crops(network, crops, flip, with_features=True) for flip in (False, True)]


def test_pose_network_with_candidates(exported, in_pytorch):
    assert in_pytorch[False].candidates.any()
    assert compare(exported()).max() < 1e-3


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_poses_equal_those_of_pytorch(exported, crops, in_pytorch, backend, options):
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
    network = open_network(exported(options), backend, "cpu")
    assert network.capabilities.export_options == options and network.ownership is not None
    flips = [options.flip_test] if options.flip_test or options.decoding else [False, True]
    for flip in flips:
        expected = in_pytorch[flip]
        assert expected.features[..., -4:].any() and (expected.scores > 0).mean() > 0.5
        for count in (5, 1):
            found = predict_crops(network, crops[:count], flip, with_features=True)
            np.testing.assert_allclose(found.keypoints_xy, expected.keypoints_xy[:count], atol=0.1)
            np.testing.assert_allclose(found.scores, expected.scores[:count], atol=1e-3)
            np.testing.assert_allclose(found.features, expected.features[:count], atol=1e-2)


def test_the_pipeline_uses_the_steps_of_the_file(exported):
    image = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    plain = PoseEstimator(exported(), "full", device="cpu", skeleton="people19")(image)
    for options in (FLIPPED, BOTH):
        estimator = PoseEstimator(exported(options), "full", device="cpu", skeleton="people19")
        assert estimator.flip_test
        poses = estimator(image)
        np.testing.assert_allclose(poses.keypoints_xy, plain.keypoints_xy, atol=0.1)
        np.testing.assert_allclose(poses.owned, plain.owned, atol=1e-3)
        with pytest.raises(RSGNetError, match=r"model\.onnx has the flip test inside"):
            PoseEstimator(exported(options), "full", flip_test=False)
    network = open_network(exported(DECODED))
    assert not network.resolve_flip_test(None) and not network.resolve_flip_test(False)
    with pytest.raises(RSGNetError, match="decodes inside, without the flip test"):
        network.resolve_flip_test(True)


def test_outputs_of_a_file_with_decoding(exported):
    session = onnxruntime.InferenceSession(exported(BOTH) / "model.onnx")
    shapes = {output.name: output.shape[1:] for output in session.get_outputs()}
    assert list(shapes) == ["keypoints_xy", "scores", "second_scores", "candidates", "mirrored_candidates"]
    assert shapes["keypoints_xy"] == [19, 2] and shapes["scores"] == shapes["second_scores"] == [19]


def test_detectors_export_to_openvino_without_options(tmp_path):
    pytest.importorskip("openvino")
    config = with_settings(detector_nano(), ["size_wh=64,64"])
    save_model(build(config), config, tmp_path)
    for arguments in ({"options": FLIPPED}, {"calibration": ["people.json"]}):
        with pytest.raises(RSGNetError, match="for pose networks; this is a detector"):
            export_openvino(tmp_path, **arguments)
    assert export_openvino(tmp_path).name == "model.xml"


def test_saving_weights_removes_files_of_earlier_ones(tmp_path, model):
    network, config = load_model(model)
    old = ["model.onnx", "model.xml", "model.bin", "model-int8.xml", "model-int8.bin", "ownership.json"]
    for name in old:
        (tmp_path / name).write_text("old")
    save_model(network, config, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_options_of_another_version_raise(exported, tmp_path):
    proto = onnx.load(exported() / "model.onnx")
    for entry in proto.metadata_props:
        if entry.key == "rsgnet_graph":
            entry.value = '{"tracking": true}'
    onnx.save(proto, tmp_path / "other.onnx")
    with pytest.raises(WeightsError, match=r"other\.onnx: not a ExportOptions: .*export it again"):
        open_network(tmp_path / "other.onnx")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "tflite"], "--to tflite: expected onnx or openvino"),
        (["--calibrate", "people.json"], "add --to openvino"),
        (["--to", "openvino", "--calibrate", "nowhere.json"], "--calibrate nowhere.json"),
    ],
)
def test_invalid_options_are_named(rsgnet, model, arguments, message):
    pytest.importorskip("openvino")
    code, _, errors = rsgnet("export", model, *arguments)
    assert code == 2 and len(errors) == 1 and message in errors[0]


def test_command_exports_to_openvino_with_all_options_and_metadata(rsgnet, model, tmp_path):
    openvino = pytest.importorskip("openvino")
    code, printed, _ = rsgnet("export", model, "--to", "openvino", "--with-flip", "--with-decoding")
    assert code == 0 and f"--weights {model} --backend openvino" in printed
    assert open_network(model, "openvino").capabilities.export_options == BOTH
    for suffix in (".xml", ".bin"):
        (model / f"model{suffix}").rename(tmp_path / f"alone{suffix}")
    network = open_network(tmp_path / "alone.xml", "openvino")
    assert network.config == load_model(model)[1] and network.ownership == open_network(model, "torch").ownership
    text = (model / "ownership.json").read_text().replace('"fitted_on": "', '"fitted_on": "again, ')
    embed_ownership(tmp_path / "alone.xml", text)
    fit = open_network(tmp_path / "alone.xml", "openvino").ownership
    assert fit is not None and fit.fitted_on.startswith("again, ")
    assert openvino.Core().read_model(tmp_path / "alone.xml").inputs[0].get_partial_shape()[0].is_dynamic
    assert sorted(file.name for file in tmp_path.iterdir()) == ["alone.bin", "alone.xml"]
