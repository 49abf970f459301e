import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from tests.conftest import colour_config

from rsgnet.config import DetectorConfig, PoseConfig
from rsgnet.config_files import to_json
from rsgnet.errors import WeightsError
from rsgnet.inference import weights
from rsgnet.inference.weights import DETECTOR_PREFIX, config_text, find_weights, read_config, shipped_names


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


huggingface_hub = pytest.importorskip("huggingface_hub")

from rsgnet.errors import RSGNetError  # noqa: E402
from rsgnet.inference.estimator import PoseEstimator  # noqa: E402
from rsgnet.inference.weights import (  # noqa: E402
    SHIPPED,
    fetch,
    push,
)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub whose repositories are folders, with a cache beside; knows what it was asked."""
    remote, cache, asked = tmp_path / "remote", tmp_path / "cache", []

    def snapshot_download(repo_id, *, revision=None, token=None, allow_patterns):
        asked.append((repo_id, revision, token))
        if not (remote / repo_id).is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError(
                "Connection error,\nand the cache holds no such model."
            )
        for file in (remote / repo_id).rglob("*"):
            name = file.relative_to(remote / repo_id)
            if file.is_file() and any(fnmatch(str(name), pattern) for pattern in allow_patterns):
                (cache / repo_id / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, cache / repo_id / name)
        return str(cache / repo_id)

    def create_repo(self, repo_id, *, private, exist_ok):
        assert exist_ok
        asked.append((repo_id, "private", private))
        (remote / repo_id).mkdir(parents=True, exist_ok=True)

    def create_commit(self, repo_id, operations, *, commit_message, revision):
        for operation in operations:
            with operation.as_file() as content:
                (remote / repo_id / operation.path_in_repo).write_bytes(content.read())
        return SimpleNamespace(commit_url=f"https://example.org/{repo_id}/commit/1")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", create_commit)
    return SimpleNamespace(remote=remote, cache=cache, asked=asked)


@pytest.fixture
def image(colours):
    return colours((60, 80), (20, 30), (40, 50), (30, 40))


def test_a_model_goes_up_and_comes_down_the_same(hub, pose_network, image):
    directory = pose_network()
    estimator = PoseEstimator(directory, "full")
    where = estimator.push_to_hub("me/colours", license="mit", private=True)
    assert where == "https://example.org/me/colours/commit/1" and ("me/colours", "private", True) in hub.asked
    fetched = PoseEstimator.from_pretrained("me/colours", revision="v1", token="secret", detector="full")
    assert hub.asked[-1] == ("me/colours", "v1", "secret") and fetched.backend == "onnx"
    assert np.array_equal(fetched(image).keypoints_xy, estimator(image).keypoints_xy)
    assert find_weights("hub:me/colours@v2").directory == hub.cache / "me/colours"
    assert hub.asked[-1] == ("me/colours", "v2", None)


def test_nothing_but_a_model_directorys_files_travels(hub, pose_network):
    directory = pose_network()
    for name in ("pytorch_model.bin", "model.pt", ".env", "notes.txt"):
        (directory / name).write_bytes(b"\x80\x04cos\nsystem\n")
    push(directory, "me/colours", license="mit")
    assert {path.name for path in (hub.remote / "me/colours").iterdir()} == {"config.json", "model.onnx", "README.md"}
    shutil.copytree(directory, hub.remote / "other/model")
    (hub.remote / "other/model/sub").mkdir()
    (hub.remote / "other/model/sub/code.py").write_text("raise SystemExit")
    assert {path.name for path in fetch("other/model").iterdir()} == {"config.json", "model.onnx"}


def test_what_is_here_is_not_asked_of_the_hub(hub, pose_network):
    for name in (pose_network(), str(pose_network()), pose_network(lone=True, name="alone"), "nano"):
        assert PoseEstimator.from_pretrained(name, detector="full").backend == "onnx"
    assert hub.asked == []


def test_without_an_exported_file_pytorch_runs_it(hub, tmp_path, image):
    pytest.importorskip("torch")
    shutil.copytree(SHIPPED / "nano", tmp_path / "model")
    (tmp_path / "model/model.onnx").unlink()
    opened = PoseEstimator.from_pretrained(tmp_path / "model", detector="full")
    exported = PoseEstimator.from_pretrained("nano", detector="full")
    assert opened.backend == "torch" and exported.backend == "onnx"
    np.testing.assert_allclose(opened(image).scores, exported(image).scores, atol=1e-3)
    opened.push_to_hub("me/nano", license="apache-2.0")
    assert (hub.remote / "me/nano/model.safetensors").stat().st_size > 2_000_000


class TestCard:
    def card(self, hub, directory, **options):
        push(directory, "me/colours", **options)
        text = (hub.remote / "me/colours/README.md").read_text()
        _, matter, body = text.split("---\n", 2)
        return yaml.safe_load(matter), body

    def test_is_made_of_the_config(self, hub, pose_network):
        matter, body = self.card(hub, pose_network(colour_config("crowdpose14")), license="cc-by-4.0")
        assert matter["license"] == "cc-by-4.0" and matter["library_name"] == "rsgnet" and "onnx" in matter["tags"]
        assert 'from_pretrained("me/colours")' in body and "14, crowdpose14: left_shoulder" in body
        assert "crops of 64x48" in body and "none; `rsgnet calibrate`" in body

    def test_is_the_directorys_own_under_front_matter(self, hub, tmp_path):
        matter, body = self.card(hub, SHIPPED / "nano", license="apache-2.0")
        assert matter["license"] == "apache-2.0" and body.strip() == (SHIPPED / "nano/README.md").read_text().strip()

    def test_with_front_matter_of_its_own_stays(self, hub, pose_network):
        directory = pose_network()
        (directory / "README.md").write_text("---\nlicense: mit\n---\nMine.\n")
        matter, body = self.card(hub, directory)
        assert matter == {"license": "mit"} and body == "Mine.\n"

    def test_tells_the_calibration(self, hub, tmp_path):
        shutil.copytree(SHIPPED / "nano", tmp_path / "model", ignore=shutil.ignore_patterns("README.md"))
        _, body = self.card(hub, tmp_path / "model", license="mit")
        errors = json.loads((SHIPPED / "nano/ownership.json").read_text())["calibration_errors"]
        told = ", ".join(f"{name} {errors[name]:.3f}" for name in ("present", "visible", "owned"))
        assert f"calibration errors {told}" in body

    def test_asks_for_a_licence(self, hub, pose_network):
        with pytest.raises(RSGNetError, match="under which licence"):
            push(pose_network(), "me/colours")
        assert not hub.remote.exists()


class TestErrors:
    def test_a_model_that_is_not_there(self, hub):
        with pytest.raises(WeightsError, match="hub:nobody/nothing: cannot be fetched: Connection error, and"):
            PoseEstimator.from_pretrained("nobody/nothing")

    def test_a_repository_of_something_else(self, hub):
        (hub.remote / "other/llm").mkdir(parents=True)
        (hub.remote / "other/llm/README.md").write_text("no model")
        with pytest.raises(WeightsError, match=r"has no config\.json"):
            PoseEstimator.from_pretrained("other/llm")

    def test_the_hub_refuses(self, hub, pose_network, monkeypatch):
        def refuse(self, *_, **__):
            raise OSError("403 Forbidden")

        monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", refuse)
        with pytest.raises(WeightsError, match="hub:me/colours: cannot be uploaded: 403 Forbidden"):
            push(pose_network(), "me/colours", license="mit")

    def test_what_is_no_pose_networks_directory(self, hub, box_network, pose_network, tmp_path):
        (tmp_path / "bare").mkdir()
        with pytest.raises(WeightsError, match=r"holds no config\.json"):
            push(tmp_path / "bare", "me/x", license="mit")
        with pytest.raises(WeightsError, match="not the weights of a pose network"):
            push(box_network([[0, 0, 1, 1]], [1.0]), "me/x", license="mit")
        empty = pose_network()
        (empty / "model.onnx").unlink()
        with pytest.raises(WeightsError, match=r"neither model\.safetensors nor model\.onnx"):
            push(empty, "me/x", license="mit")
        with pytest.raises(RSGNetError, match="came from none"):
            PoseEstimator(pose_network(lone=True, name="alone/x".replace("/", "")), "full").push_to_hub("me/x")

    def test_without_the_library(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
        with pytest.raises(RSGNetError, match=r"hub:me/x needs huggingface_hub: pip install 'rsgnet\[hub\]'"):
            find_weights("hub:me/x")


def test_the_command(hub, rsgnet, pose_network):
    directory = pose_network()
    code, told, _ = rsgnet("push", directory, "me/colours", "--license", "mit", "--dry-run")
    assert code == 0 and "license: mit" in told and "would get: config.json, model.onnx, card" in told
    assert not hub.remote.exists()
    code, told, _ = rsgnet("push", directory, "me/colours", "--license", "mit")
    assert code == 0 and "https://example.org/me/colours/commit/1" in told and "hub:me/colours" in told
    assert (hub.remote / "me/colours/model.onnx").read_bytes() == Path(directory / "model.onnx").read_bytes()
