"""Model directories are written, read, and refused if they are invalid."""

import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from rsgnet.checkpoint import build, load_backbone, load_fitting, load_pose_model, load_weights, read_config, save_model
from rsgnet.config import (
    CandidateRelationConfig,
    CropConfig,
    DenseRelationConfig,
    DetectorConfig,
    ModelConfig,
    NeckConfig,
    PoseConfig,
)
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.presets import PRESETS, preset_named, rsgnet_light
from rsgnet.skeletons import get_skeleton

POSE = PoseConfig(
    name="tiny", model=ModelConfig(backbone="hrnet_w18_small", relation=CandidateRelationConfig(clue_dim=8))
)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = build(POSE).eval()
    save_model(model, POSE, tmp_path / "model")
    return model, tmp_path / "model"


def test_a_saved_model_is_loaded_unchanged(saved):
    model, directory = saved
    again = load_pose_model(directory)
    assert read_config(directory) == POSE
    for (name, value), (other, read) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(value, read)


def test_half_precision_halves_the_file_and_keeps_norms_exact(saved, tmp_path):
    model, directory = saved
    save_model(model, POSE, tmp_path / "half", half=True)
    sizes = [(place / "model.safetensors").stat().st_size for place in (directory, tmp_path / "half")]
    assert sizes[1] < 0.56 * sizes[0]
    again = load_pose_model(tmp_path / "half")
    for name, value in model.state_dict().items():
        wanted = value.half().float() if value.ndim > 1 else value
        assert torch.equal(again.state_dict()[name], wanted)


def test_load_backbone_loads_the_backbone_of_another_network(saved):
    _, directory = saved
    plain = build(replace(POSE, model=replace(POSE.model, relation=None, skeleton="coco17")))
    load_backbone(plain, directory)
    name, value = next(iter(plain.backbone.state_dict().items()))
    assert torch.equal(value, load_file(directory / "model.safetensors")[f"backbone.{name}"])


def test_a_detector_shares_no_backbone_with_pose_networks(saved):
    with pytest.raises(WeightsError, match="RTMDet has no separate backbone"):
        load_backbone(build(DetectorConfig(name="d")), saved[1])


def test_load_fitting_loads_the_weights_whose_shapes_fit(saved):
    """Of a dense network all but its relation's own tensors; heads of the same name and shape are taken too."""
    _, directory = saved
    given = load_file(directory / "model.safetensors")
    network = build(replace(POSE, model=replace(POSE.model, relation=DenseRelationConfig(embedding_dim=8))))
    fresh = load_fitting(network, directory)
    weights = network.state_dict()
    assert any(name.startswith("relation_head.") for name in fresh)
    assert not any(name.startswith(("backbone.", "target_head.", "candidate_head.")) for name in fresh)
    assert fresh == {name for name, value in weights.items() if name not in given or given[name].shape != value.shape}
    assert all(torch.equal(weights[name], given[name]) for name in weights.keys() - fresh)


def test_a_network_grows_out_of_a_smaller_one(tmp_path):
    plain = rsgnet_light()
    small = replace(plain, model=replace(plain.model, neck=replace(plain.model.neck, residuals=0), relation=None))
    given = build(small)
    save_model(given, small, tmp_path)
    grown = build(plain)
    fresh = load_fitting(grown, tmp_path)
    assert torch.equal(grown.candidate_head.weight, given.target_head.weight)  # everyone's start as the target's
    assert any(name.startswith("backbone.neck.mix.0.4.") for name in fresh)
    assert not any(name.startswith(("backbone.encoder.", "backbone.neck.lateral.", "target_head.")) for name in fresh)


def test_load_fitting_refuses_networks_of_another_kind(saved):
    _, directory = saved
    with pytest.raises(WeightsError, match="no weight of its backbone fits"):
        load_fitting(build(rsgnet_light()), directory)


def broken(directory, change):
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("target_head.bias"), r"missing \['target_head.bias'\]"),
        (lambda weights: weights.update(stray=torch.zeros(1)), r"extra \['stray'\]"),
        (lambda weights: weights.update({"target_head.bias": torch.zeros(3)}), r"misshapen \['target_head.bias'\]"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_nothing_is_loaded(saved, change, message):
    _, directory = saved
    broken(directory, change)
    fresh = build(POSE)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(WeightsError, match=message):
        load_weights(fresh, directory)
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


def test_truncated_weights_are_refused(saved):
    _, directory = saved
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="truncated"):
        load_pose_model(directory)


def test_a_pickle_is_not_run(saved, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "was-run"), "w"))

    _, directory = saved
    (directory / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError):
        load_pose_model(directory)
    assert not (tmp_path / "was-run").exists()


def test_a_detector_is_no_pose_network(tmp_path):
    config = DetectorConfig(name="d")
    save_model(build(config), config, tmp_path)
    with pytest.raises(WeightsError, match="person detector"):
        load_pose_model(tmp_path)


def test_a_folder_without_config_is_no_model_directory(tmp_path):
    with pytest.raises(WeightsError, match=r"no config\.json"):
        load_pose_model(tmp_path)


def test_the_error_for_an_invalid_config_names_the_file(saved):
    _, directory = saved
    (directory / "config.json").write_text(json.dumps({"name": "x", "crop": {"size_wh": "wide"}}))
    with pytest.raises(RSGNetError, match=r"config\.json.*size_wh"):
        load_pose_model(directory)


@pytest.mark.parametrize(
    ("model", "multiple"),
    [
        (ModelConfig(backbone="hrnet_w32"), 32),
        (ModelConfig(backbone="lite_hrnet_w40"), 32),
        (ModelConfig(backbone="resnet18", neck=NeckConfig(kind="pyramid", deepest_stride=16)), 16),
    ],
)
def test_crops_whose_size_is_no_multiple_of_the_coarsest_stride_are_refused(model, multiple):
    with pytest.raises(RSGNetError, match=f"multiples of {multiple}"):
        build(PoseConfig("test", crop=CropConfig(size_wh=(100, 132)), model=model))


@pytest.mark.parametrize("name", [name for name in PRESETS if "384x288" not in name])
def test_every_preset_builds_and_returns_its_maps(name):
    config = preset_named(name)
    with torch.device("meta"):
        network = build(config)
    if not isinstance(config, PoseConfig):
        return
    width, height = config.crop.size_wh
    with torch.no_grad():
        output = network.eval()(torch.empty(1, 3, height, width, device="meta"))
    keypoints = len(get_skeleton(config.model.skeleton))
    assert output.target_heatmaps.shape == (1, keypoints, *config.crop.heatmap_shape_hw)
    assert (output.candidate_heatmaps is not None) == (config.model.relation is not None)
    assert (output.limb_logits is not None) == config.model.skeleton_graph
