import pytest

from rsgnet.config import PoseConfig
from rsgnet.detector_config import DetectorConfig
from rsgnet.errors import WeightsError
from rsgnet.inference import weights
from rsgnet.inference.weights import DETECTOR_PREFIX, config_text, find_weights, read_config, shipped_names
from rsgnet.settings import to_json


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    for name in ("nano", "big", "detector-nano"):
        (tmp_path / "shipped" / name).mkdir(parents=True)
        (tmp_path / "shipped" / name / "config.json").write_text("{}")
    (tmp_path / "shipped" / "unfinished").mkdir()
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    return tmp_path / "shipped"


def test_shipped_weights_have_names(shipped):
    assert shipped_names() == ["big", "nano"] and shipped_names(DETECTOR_PREFIX) == ["nano"]
    assert find_weights("nano").directory == shipped / "nano"
    assert find_weights("nano", DETECTOR_PREFIX).onnx == shipped / "detector-nano" / "model.onnx"


def test_directories_and_onnx_files(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "a.onnx").write_bytes(b"x")
    assert find_weights(tmp_path).onnx == tmp_path / "model.onnx" and config_text(find_weights(tmp_path)) == "{}"
    assert find_weights(tmp_path / "a.onnx").directory is None
    assert config_text(find_weights(tmp_path / "a.onnx")) is None


def test_what_is_no_weights_is_told_what_was_expected(tmp_path, shipped):
    (tmp_path / "empty").mkdir()
    (tmp_path / "old.pth").write_bytes(b"\x80\x04cos\nsystem\n")  # a pickle: named, never opened
    for given, says in ((tmp_path / "empty", "config.json"), (tmp_path / "old.pth", "not read"), ("huge", "big, nano")):
        with pytest.raises(WeightsError, match=says) as caught:
            find_weights(given)
        assert "model directory (config.json, model.onnx, model.safetensors) an .onnx file, or hub:USER/MODEL" in str(
            caught.value
        )


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (PoseConfig, to_json(DetectorConfig("d")), "not the weights of a pose network"),
        (DetectorConfig, to_json(PoseConfig("p")), "not the weights of a person detector"),
        (PoseConfig, "{", "broken"),
        (PoseConfig, "[1]", "broken"),
        (PoseConfig, to_json(PoseConfig("p")).replace('"stride": 4', '"stride": "four"'), "stride"),
        (PoseConfig, to_json(PoseConfig("p")).replace('"stride": 4', '"stride": 5'), "stride"),
    ],
)
def test_a_config_of_another_kind_or_broken(kind, text, says):
    with pytest.raises(WeightsError, match=says) as caught:
        read_config(kind, text, "some/model")
    assert "some/model" in str(caught.value)


def test_a_config_comes_back_as_it_was():
    assert read_config(PoseConfig, to_json(PoseConfig("p")), "x") == PoseConfig("p")
