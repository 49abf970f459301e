"""Models travel to and from a stand-in for the Hugging Face Hub."""

import json
import shutil
import sys
from fnmatch import fnmatch
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from tests.conftest import colour_config

from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.hub_upload import upload_to_hub
from rsgnet.inference.weights import SHIPPED, download_from_hub, find_weights


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub whose repositories are folders, with a cache; records the arguments of each request."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    remote, cache, requests = tmp_path / "remote", tmp_path / "cache", []

    def snapshot_download(repo_id, *, revision=None, token=None, allow_patterns):
        requests.append((repo_id, revision, token))
        if not (remote / repo_id).is_dir():
            message = "Connection error,\nand the cache holds no such model."
            raise huggingface_hub.errors.LocalEntryNotFoundError(message)
        for file in (remote / repo_id).rglob("*"):
            name = file.relative_to(remote / repo_id)
            if file.is_file() and any(fnmatch(str(name), pattern) for pattern in allow_patterns):
                (cache / repo_id / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, cache / repo_id / name)
        return str(cache / repo_id)

    def create_repo(self, repo_id, *, private, exist_ok):
        assert exist_ok
        requests.append((repo_id, "private", private))
        (remote / repo_id).mkdir(parents=True, exist_ok=True)

    def create_commit(self, repo_id, operations, *, commit_message, revision):
        for operation in operations:
            with operation.as_file() as content:
                (remote / repo_id / operation.path_in_repo).write_bytes(content.read())
        return SimpleNamespace(commit_url=f"https://example.org/{repo_id}/commit/1")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", create_commit)
    return SimpleNamespace(remote=remote, cache=cache, requests=requests, api=huggingface_hub.HfApi)


@pytest.fixture
def image(colours):
    return colours((60, 80), (20, 30), (40, 50), (30, 40))


class TestHub:
    def test_round_trip_of_a_model(self, hub, pose_network, image):
        estimator = PoseEstimator(pose_network(), "full")
        url = estimator.push_to_hub("me/colours", license="mit", private=True)
        assert url == "https://example.org/me/colours/commit/1" and ("me/colours", "private", True) in hub.requests
        downloaded = PoseEstimator.from_pretrained("me/colours", revision="v1", token="secret", detector="full")
        assert hub.requests[-1] == ("me/colours", "v1", "secret") and downloaded.backend == "onnx"
        assert np.array_equal(downloaded(image).keypoints_xy, estimator(image).keypoints_xy)
        assert find_weights("hub:me/colours@v2").directory == hub.cache / "me/colours"
        assert hub.requests[-1] == ("me/colours", "v2", None)

    def test_only_files_of_a_model_directory_travel(self, hub, pose_network):
        directory = pose_network()
        for name in ("pytorch_model.bin", "model.pt", ".env", "notes.txt"):
            (directory / name).write_bytes(b"\x80\x04cos\nsystem\n")
        upload_to_hub(directory, "me/colours", license="mit")
        uploaded = {path.name for path in (hub.remote / "me/colours").iterdir()}
        assert uploaded == {"config.json", "model.onnx", "README.md"}
        shutil.copytree(directory, hub.remote / "other/model")
        (hub.remote / "other/model/sub").mkdir()
        (hub.remote / "other/model/sub/code.py").write_text("raise SystemExit")
        downloaded = {path.name for path in download_from_hub("other/model").iterdir()}
        assert downloaded == {"config.json", "model.onnx"}

    def test_local_weights_are_not_requested(self, hub, pose_network):
        for name in (pose_network(), str(pose_network()), pose_network(lone=True, name="alone"), "nano"):
            assert PoseEstimator.from_pretrained(name, detector="full").backend == "onnx"
        assert hub.requests == []

    def test_weights_without_an_exported_file_run_in_pytorch(self, hub, tmp_path, image):
        pytest.importorskip("torch")
        shutil.copytree(SHIPPED / "nano", tmp_path / "model")
        (tmp_path / "model/model.onnx").unlink()
        opened = PoseEstimator.from_pretrained(tmp_path / "model", detector="full")
        exported = PoseEstimator.from_pretrained("nano", detector="full")
        assert opened.backend == "torch" and exported.backend == "onnx"
        np.testing.assert_allclose(opened(image).scores, exported(image).scores, atol=1e-3)
        opened.push_to_hub("me/nano", license="apache-2.0")
        assert (hub.remote / "me/nano/model.safetensors").stat().st_size > 2_000_000

    def test_command_line(self, hub, rsgnet, pose_network):
        directory = pose_network()
        code, output, _ = rsgnet("push", directory, "me/colours", "--license", "mit", "--dry-run")
        assert code == 0 and "license: mit" in output and "would receive: config.json, model.onnx, card" in output
        assert not hub.remote.exists()
        code, output, _ = rsgnet("push", directory, "me/colours", "--license", "mit")
        assert code == 0 and "https://example.org/me/colours/commit/1" in output and "hub:me/colours" in output
        assert (hub.remote / "me/colours/model.onnx").read_bytes() == (directory / "model.onnx").read_bytes()


class TestModelCard:
    def upload_card(self, hub, directory, **options):
        """Uploads a model; returns the front matter and the text of its card."""
        upload_to_hub(directory, "me/colours", **options)
        text = (hub.remote / "me/colours/README.md").read_text()
        _, front_matter, body = text.split("---\n", 2)
        return yaml.safe_load(front_matter), body

    def test_describes_the_config(self, hub, pose_network):
        directory = pose_network(colour_config("crowdpose14"))
        front_matter, body = self.upload_card(hub, directory, license="cc-by-4.0")
        assert front_matter["license"] == "cc-by-4.0" and front_matter["library_name"] == "rsgnet"
        assert "onnx" in front_matter["tags"]
        assert 'from_pretrained("me/colours")' in body and "14, crowdpose14: left_shoulder" in body
        assert "crops of 64x48" in body and "none; `rsgnet calibrate`" in body

    def test_readme_gets_front_matter(self, hub):
        front_matter, body = self.upload_card(hub, SHIPPED / "nano", license="apache-2.0")
        assert front_matter["license"] == "apache-2.0"
        assert body.strip() == (SHIPPED / "nano/README.md").read_text().strip()

    def test_readme_with_front_matter_is_unchanged(self, hub, pose_network):
        directory = pose_network()
        (directory / "README.md").write_text("---\nlicense: mit\n---\nMine.\n")
        front_matter, body = self.upload_card(hub, directory)
        assert front_matter == {"license": "mit"} and body == "Mine.\n"

    def test_states_calibration_errors(self, hub, tmp_path):
        shutil.copytree(SHIPPED / "nano", tmp_path / "model", ignore=shutil.ignore_patterns("README.md"))
        _, body = self.upload_card(hub, tmp_path / "model", license="mit")
        errors = json.loads((SHIPPED / "nano/ownership.json").read_text())["calibration_errors"]
        listed = ", ".join(f"{name} {errors[name]:.3f}" for name in ("present", "visible", "owned"))
        assert f"calibration errors {listed}" in body

    def test_missing_licence_raises(self, hub, pose_network):
        with pytest.raises(RSGNetError, match="under which licence"):
            upload_to_hub(pose_network(), "me/colours")
        assert not hub.remote.exists()


class TestErrors:
    def test_missing_model(self, hub):
        with pytest.raises(WeightsError, match="hub:nobody/nothing: cannot be fetched: Connection error, and"):
            PoseEstimator.from_pretrained("nobody/nothing")

    def test_repository_without_a_model(self, hub):
        (hub.remote / "other/llm").mkdir(parents=True)
        (hub.remote / "other/llm/README.md").write_text("no model")
        with pytest.raises(WeightsError, match=r"has no config\.json"):
            PoseEstimator.from_pretrained("other/llm")

    def test_hub_that_refuses(self, hub, pose_network, monkeypatch):
        def refuse(self, *_, **__):
            raise OSError("403 Forbidden")

        monkeypatch.setattr(hub.api, "create_commit", refuse)
        with pytest.raises(WeightsError, match="hub:me/colours: cannot be uploaded: 403 Forbidden"):
            upload_to_hub(pose_network(), "me/colours", license="mit")

    def test_directory_without_a_pose_network(self, hub, box_network, pose_network, tmp_path):
        (tmp_path / "bare").mkdir()
        with pytest.raises(WeightsError, match=r"bare/config\.json: cannot be read"):
            upload_to_hub(tmp_path / "bare", "me/x", license="mit")
        with pytest.raises(WeightsError, match="not the weights of a pose network"):
            upload_to_hub(box_network([[0, 0, 1, 1]], [1.0]), "me/x", license="mit")
        empty = pose_network()
        (empty / "model.onnx").unlink()
        with pytest.raises(WeightsError, match=r"neither model\.safetensors nor model\.onnx"):
            upload_to_hub(empty, "me/x", license="mit")
        with pytest.raises(RSGNetError, match="came from none"):
            PoseEstimator(pose_network(lone=True, name="alone"), "full").push_to_hub("me/x")

    def test_missing_library(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(RSGNetError, match=r"hub:me/x needs huggingface_hub: pip install 'rsgnet\[hub\]'"):
            find_weights("hub:me/x")
