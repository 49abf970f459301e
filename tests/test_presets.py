"""Every row of the paper's tables has a preset that says what the row says."""

import pytest

from rsgnet.config import CandidateRelationConfig, DenseRelationConfig
from rsgnet.config_files import from_json, to_json
from rsgnet.errors import RSGNetError
from rsgnet.presets import PRESETS, nano, paper, preset_named, rsgnet_light, simple_baseline


@pytest.mark.parametrize("system", ["hrnet", "trp", "rsgnet", "paper"])
@pytest.mark.parametrize("width", [32, 48])
@pytest.mark.parametrize(("size", "size_wh", "sigma"), [("256x192", (192, 256), 2.0), ("384x288", (288, 384), 3.0)])
@pytest.mark.parametrize(
    ("data", "skeleton", "epochs", "milestones"),
    [("coco", "coco17", 210, (170, 200)), ("crowdpose", "crowdpose14", 140, (100, 130))],
)
def test_rows_of_the_papers_tables(system, width, size, size_wh, sigma, data, skeleton, epochs, milestones):
    config = preset_named(f"{system}-w{width}-{size}-{data}")
    assert config == paper(system, width, size_wh, data)
    assert config.model.backbone == f"hrnet_w{width}"
    assert config.model.skeleton == skeleton
    assert config.model.relation_kind == ("none" if system == "hrnet" else "candidates")
    assert config.model.skeleton_graph == (system in ("rsgnet", "paper"))
    training = config.training
    assert (training.optimizer, training.batch_size, training.learning_rate) == ("adam", 32, 1e-3)
    assert (training.epochs, training.milestones) == (epochs, milestones)
    assert (training.loss.target, training.loss.candidates, training.loss.relation, training.loss.limbs) == (
        1,
        1,
        1,
        0.01,
    )
    assert training.loss.sigma == sigma
    assert (training.augment.rotation_deg, training.augment.scale, training.augment.half_body) == (45, 0.35, 0.3)
    assert config.crop.padding == 1.25
    assert (config.decode.flip_test, config.decode.refinement, config.decode.nms_threshold) == (True, "quarter", 0.9)


@pytest.mark.parametrize("width", [32, 48])
def test_the_papers_literal_form(width):
    config = preset_named(f"paper-w{width}-256x192-coco")
    relation = config.model.relation
    assert relation == CandidateRelationConfig("candidates", width, "places", 32, 0.1, gradient_to_features=True)
    assert config.model.fusion == "none"
    loss = config.training.loss
    assert (loss.relation_error, loss.peak_emphasis, loss.location, loss.heatmap_scale) == ("squared", 0, 0, 1)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = preset_named(name)
    assert config.name == name
    assert from_json(type(config), to_json(config), name) == config


def test_the_light_network_has_both_modules():
    config = rsgnet_light()
    assert config.model.relation_kind == "candidates" and config.model.skeleton_graph
    assert config.crop.size_wh == nano().crop.size_wh


def test_the_error_for_an_unknown_preset_lists_the_known():
    with pytest.raises(RSGNetError, match=r"'w32'.*rsgnet-w32-256x192-coco"):
        preset_named("w32")


def test_the_papers_detector_is_trained_as_usual():
    config = preset_named("faster-rcnn-r101")
    training = config.training
    assert (config.backbone, config.shorter_side_px, config.longer_side_px) == ("resnet101", (800,), 1333)
    assert (training.optimizer, training.batch_size, training.learning_rate) == ("sgd", 16, 0.02)
    assert (training.epochs, training.milestones, training.weight_decay) == (12, (8, 11), 1e-4)


@pytest.mark.parametrize("width", [32, 48])
@pytest.mark.parametrize(("size", "size_wh"), [("256x192", (192, 256)), ("384x288", (288, 384))])
@pytest.mark.parametrize(("data", "sigmas"), [("coco", (3.0, 4.0)), ("crowdpose", (2.0, 3.0))])
def test_the_released_form(width, size, size_wh, data, sigmas):
    config = preset_named(f"dense-w{width}-{size}-{data}")
    assert config == paper("dense", width, size_wh, data)
    assert (config.crop.stride, config.model.relation_kind, config.model.skeleton_graph) == (2, "dense", True)
    assert config.model.relation == DenseRelationConfig(embedding_dim=600, subsample=False)
    loss = config.training.loss
    assert (loss.target, loss.candidates, loss.relation, loss.limbs) == (1, 1, 0.001, 0.01)
    assert (loss.heatmap_scale, loss.other_people_peak, loss.labels) == (0.5, 0.5, "released")
    assert loss.sigma == sigmas[size_wh == (288, 384)]
    like = preset_named(f"rsgnet-w{width}-{size}-{data}").training
    assert (config.training.epochs, config.training.milestones) == (like.epochs, like.milestones)


@pytest.mark.parametrize("depth", [50, 101, 152])
@pytest.mark.parametrize(("size", "size_wh", "sigma"), [("256x192", (192, 256), 2.0), ("384x288", (288, 384), 3.0)])
@pytest.mark.parametrize(("data", "skeleton"), [("coco", "coco17"), ("crowdpose", "crowdpose14")])
def test_simple_baseline(depth, size, size_wh, sigma, data, skeleton):
    config = preset_named(f"simplebaseline-r{depth}-{size}-{data}")
    assert config == simple_baseline(depth, size_wh, data)
    assert (config.model.backbone, config.model.skeleton) == (f"resnet{depth}", skeleton)
    assert (config.model.relation_kind, config.model.skeleton_graph) == ("none", False)
    assert (config.model.neck.kind, config.model.neck.deepest_stride) == ("deconvolutions", 32)
    training = config.training
    assert (training.epochs, training.milestones, training.batch_size) == (140, (90, 120), 32)
    assert (training.optimizer, training.learning_rate, training.loss.sigma) == ("adam", 1e-3, sigma)
    assert (training.augment.rotation_deg, training.augment.scale, training.augment.half_body) == (40, 0.3, 0)
