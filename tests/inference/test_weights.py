"""Weights are found by name or path, and their configs are parsed."""

from pathlib import Path

import pytest

from rsgnet.config import DetectorConfig, PoseConfig
from rsgnet.config_files import to_json
from rsgnet.errors import WeightsError
from rsgnet.inference import weights
from rsgnet.inference.weights import (
    DETECTOR_PREFIX,
    NamedFile,
    find_weights,
    list_shipped_weights,
    name_file,
    parse_config,
    parse_named_file,
    read_config_text,
)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    for name in ("nano", "big", "detector-nano"):
        (tmp_path / "shipped" / name).mkdir(parents=True)
        (tmp_path / "shipped" / name / "config.json").write_text("{}")
    (tmp_path / "shipped" / "unfinished").mkdir()
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    return tmp_path / "shipped"


class TestFindWeights:
    def test_shipped_weights_are_found_by_name(self, shipped):
        assert list_shipped_weights() == ["big", "nano"] and list_shipped_weights(DETECTOR_PREFIX) == ["nano"]
        assert find_weights("nano").directory == shipped / "nano"
        assert find_weights("nano", DETECTOR_PREFIX).onnx == shipped / "detector-nano" / "model.onnx"

    def test_directories_and_onnx_files(self, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        (tmp_path / "a.onnx").write_bytes(b"x")
        files, lone = find_weights(tmp_path), find_weights(tmp_path / "a.onnx")
        assert files.onnx == tmp_path / "model.onnx" and read_config_text(files) == "{}"
        assert lone.directory is None and read_config_text(lone) is None

    def test_other_paths_and_names_raise(self, tmp_path, shipped):
        (tmp_path / "empty").mkdir()
        (tmp_path / "old.pth").write_bytes(b"\x80\x04cos\nsystem\n")  # a pickle, which is never opened
        for given, message in (
            (tmp_path / "empty", "config.json"),
            (tmp_path / "old.pth", "not read"),
            ("huge", "big, nano"),
        ):
            with pytest.raises(WeightsError, match=message) as caught:
                find_weights(given)
            expected = "model directory (config.json, model.onnx, model.safetensors), an .onnx file, or hub:USER/MODEL"
            assert expected in str(caught.value)


class TestParseConfig:
    @pytest.mark.parametrize(
        ("kind", "text", "message"),
        [
            (PoseConfig, to_json(DetectorConfig("d")), "not the weights of a pose network"),
            (DetectorConfig, to_json(PoseConfig("p")), "not the weights of a person detector"),
            (PoseConfig, "{", "broken"),
            (PoseConfig, "[1]", "broken"),
            (PoseConfig, to_json(PoseConfig("p")).replace('"stride": 4', '"stride": "four"'), "stride"),
            (PoseConfig, to_json(PoseConfig("p")).replace('"stride": 4', '"stride": 5'), "stride"),
        ],
    )
    def test_configs_of_another_kind_and_broken_ones_raise(self, kind, text, message):
        with pytest.raises(WeightsError, match=message) as caught:
            parse_config(kind, text, "some/model")
        assert "some/model" in str(caught.value)

    def test_round_trip(self):
        assert parse_config(PoseConfig, to_json(PoseConfig("p")), "x") == PoseConfig("p")


def test_named_files(tmp_path):
    assert parse_named_file("nano") is None and parse_named_file("hub:me/poses@v1") is None
    assert parse_named_file("onnx:") is None
    assert parse_named_file("onnx:a/b.onnx") == NamedFile("onnx", Path("a/b.onnx"), None)
    named = parse_named_file("openvino:a/b.xml@mine.toml")
    assert named == NamedFile("openvino", Path("a/b.xml"), "mine.toml")
    assert named.ownership == Path("a/b.ownership.json")
    path = tmp_path / "pose@2.onnx"
    path.touch()
    assert parse_named_file(f"onnx:{path}") == NamedFile("onnx", path, None)
    assert parse_named_file(f"onnx:{path}@vitpose") == NamedFile("onnx", path, "vitpose")
    assert name_file(path) == f"onnx:{path}" and name_file(Path("t.xml")) == "openvino:t.xml"
    assert name_file(Path("runs/model")) == "runs/model"


@pytest.mark.parametrize("name", ["nano", "small", "detector-nano"])
def test_parameters_are_counted_without_pytorch_as_pytorch_counts_them(name):
    checkpoint = pytest.importorskip("rsgnet.checkpoint")
    model = checkpoint.load_model(weights.SHIPPED / name)[0]
    expected = sum(parameter.numel() for parameter in model.parameters())
    assert weights.count_parameters(weights.SHIPPED / name / "model.safetensors") == expected


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]", b"\x05\0\0\0\0\0\0\0{bad}"])
def test_broken_safetensors_are_one_line(content, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.safetensors: not safetensors that can be read"):
        weights.count_parameters(tmp_path / "model.safetensors")
