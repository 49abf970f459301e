import json
from dataclasses import FrozenInstanceError, replace

import pytest

from rsgnet.config import (
    CropConfig,
    DecodeConfig,
    DenseRelationConfig,
    DetectorConfig,
    FasterRCNNConfig,
    ModelConfig,
    PoseConfig,
)
from rsgnet.config_files import from_json, parse_network_config, to_json, with_settings
from rsgnet.errors import RSGNetError
from rsgnet.training_config import TrainingConfig

NANO = PoseConfig(name="nano")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size_wh": (190, 256)}, "multiple of the stride 4"),
        ({"size_wh": (192, 254)}, "multiple of the stride 4"),
        ({"size_wh": (0, 256)}, "positive multiple"),
        ({"size_wh": (-4, 256)}, "positive multiple"),
        ({"stride": 5}, "multiple of the stride 5"),
        ({"pixel_centre": 0.25}, "must be 0.0 or 0.5, not 0.25"),
    ],
)
def test_invalid_crops_are_refused(fields, message):
    with pytest.raises(RSGNetError, match=message):
        CropConfig(**fields)


@pytest.mark.parametrize(
    ("size_wh", "stride", "shape_hw"),
    [((192, 256), 4, (64, 48)), ((288, 384), 2, (192, 144)), ((96, 128), 1, (128, 96))],
)
def test_heatmap_shape(size_wh, stride, shape_hw):
    assert CropConfig(size_wh, stride).heatmap_shape_hw == shape_hw


@pytest.mark.parametrize("config", [NANO, DetectorConfig("d"), FasterRCNNConfig("f")])
def test_the_kind_of_a_network_shows_in_its_config(config):
    assert parse_network_config(to_json(config), "here") == config


def test_configs_are_frozen():
    with pytest.raises(FrozenInstanceError):
        NANO.name = "other"


class TestJson:
    @pytest.mark.parametrize(
        "config",
        [
            NANO,
            PoseConfig(
                "other",
                CropConfig((96, 128), 2, 1.1, 0.5),
                ModelConfig("resnet18", "people19", DenseRelationConfig(subsample=True), False),
                DecodeConfig(False, "taylor", 0.1, 0.8),
                replace(TrainingConfig(milestones=(3, 5), optimizer="adamw"), seed=7),
            ),
            DetectorConfig("person"),
            FasterRCNNConfig("person", shorter_side_px=(640, 800)),
        ],
    )
    def test_comes_back_equal(self, config):
        assert from_json(type(config), to_json(config), "here") == config

    def test_missing_settings_have_their_defaults(self):
        assert from_json(PoseConfig, '{"name": "nano"}', "here") == NANO

    def test_bytes_are_accepted(self):
        assert from_json(PoseConfig, b'{"name": "nano", "crop": {"stride": 2}}', "here").crop.stride == 2

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "weights/config.json: not a PoseConfig: "),
            ("[]", "weights/config.json: not a PoseConfig: "),
            ("{}", "name: "),
            ('{"name": "a", "crop": {"stride": "four"}}', "crop.stride: "),
            ('{"name": "a", "model": {"relation": "all"}}', "model.relation: "),
            ('{"name": "a", "crop": {"pixel_centre": 0.3}}', "pixel_centre must be 0.0 or 0.5"),
        ],
    )
    def test_errors_name_the_origin_and_the_field(self, text, message):
        with pytest.raises(RSGNetError, match=r"weights/config\.json: not a PoseConfig") as caught:
            from_json(PoseConfig, text, "weights/config.json")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


class TestWithSettings:
    @pytest.mark.parametrize(
        ("setting", "read", "expected"),
        [
            ("name=owned", lambda c: c.name, "owned"),
            ("training.batch_size=64", lambda c: c.training.batch_size, 64),
            ("training.learning_rate=4e-3", lambda c: c.training.learning_rate, 0.004),
            ("training.loss.sigma=3", lambda c: c.training.loss.sigma, 3.0),
            ("training.pretrained=false", lambda c: c.training.pretrained, False),
            ("decode.refinement=taylor", lambda c: c.decode.refinement, "taylor"),
            ("crop.size_wh=96,128", lambda c: c.crop.size_wh, (96, 128)),
            ("training.milestones=1,2,3", lambda c: c.training.milestones, (1, 2, 3)),
            ("training.milestones=", lambda c: c.training.milestones, ()),
            (" training.seed =5", lambda c: c.training.seed, 5),
        ],
    )
    def test_only_the_given_setting_changes(self, setting, read, expected):
        changed = with_settings(NANO, [setting])
        assert read(changed) == expected
        before, after = json.loads(to_json(NANO)), json.loads(to_json(changed))
        assert sum(a != b for a, b in zip(leaves(before), leaves(after), strict=True)) == 1
        assert PoseConfig("nano") == NANO

    def test_later_settings_win(self):
        assert with_settings(NANO, ["training.seed=1", "training.seed=2"]).training.seed == 2

    def test_without_settings_nothing_changes(self):
        assert with_settings(NANO, []) == NANO

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("training.batch_size", "expected key=value"),
            ("training.batchsize=3", "--set training.batchsize=3: expected key=value with one of the keys epochs, "),
            ("nothing.batch_size=3", "one of the keys name, crop, "),
            ("training.batch_size.more=3", "key=value"),
            ("=3", "key=value"),
            ("training.batch_size=many", "training.batch_size: "),
            ("crop.size_wh=96", "crop.size_wh"),
            ("decode.refinement=best", "decode.refinement: "),
            ("crop.size_wh=97,128", "multiple of the stride"),
        ],
    )
    def test_the_error_names_an_invalid_setting(self, setting, message):
        with pytest.raises(RSGNetError, match="--set") as caught:
            with_settings(NANO, [setting])
        assert message in str(caught.value)


def leaves(tree):
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    return [tree]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shorter_side_px": ()}, "32 pixels or more"),
        ({"longer_side_px": 8}, "32 pixels or more"),
        ({"proposals": 0}, "must be positive"),
        ({"trained_stages": 6}, "trained_stages in 0..5"),
        ({"nms_threshold": 0.0}, "in 0..1"),
        ({"training": TrainingConfig(frozen=("layer1",))}, "set trained_stages instead of training.frozen"),
    ],
)
def test_invalid_configs_of_faster_rcnn_are_refused(fields, message):
    with pytest.raises(RSGNetError, match=message):
        FasterRCNNConfig("person", **fields)


def test_unknown_settings_are_errors():
    with pytest.raises(RSGNetError, match=r"x\.json.*epoch_count"):
        from_json(PoseConfig, '{"name": "x", "training": {"epoch_count": 3}}', "x.json")
