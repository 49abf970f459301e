"""The parsers of options' values, and the options that take the name of shipped weights."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from rsgnet.cli.options import parse_model_directory, parse_size
from rsgnet.errors import RSGNetError
from rsgnet.inference import weights


@pytest.mark.parametrize("name", ["nano", "small", "detector-nano"])
def test_a_shipped_name_is_its_directory(name):
    assert parse_model_directory(name) == weights.SHIPPED / name
    assert (parse_model_directory(name) / "config.json").is_file()


@pytest.mark.parametrize("text", ["runs/nano/model", "missing", "./nano", "/nano", "..", "."])
def test_anything_else_is_a_path(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_model_directory(text) == Path(text)


def test_an_existing_folder_comes_before_shipped_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").mkdir()
    assert parse_model_directory("nano") == Path("nano")


def test_sizes():
    assert parse_size("--size", "640x480", "WxH") == (640, 480)


@pytest.mark.parametrize("text", ["640", "0x480", "640x0", "640x480x3", "wide", "-1x5", "1.5x2", ""])
def test_not_a_size(text):
    with pytest.raises(RSGNetError, match=f"--size {text}: expected WxH, such as 640x480"):
        parse_size("--size", text, "WxH, such as 640x480")


class TestShippedNames:
    """Every command that takes a model directory takes the name of shipped weights."""

    @pytest.mark.parametrize("option", ["--start-from", "--backbone-from", "--fitting-from"])
    def test_train(self, rsgnet, monkeypatch, option):
        run = pytest.importorskip("rsgnet.training.run")
        received = {}
        monkeypatch.setattr(run, "train", lambda *_, **options: received.update(options) or Path("runs/x/model"))
        assert rsgnet("train", "nano", "--data", "a.json", "--out", "runs/x", option, "nano")[0] == 0
        assert received[option.removeprefix("--").replace("-", "_")] == weights.SHIPPED / "nano"

    @pytest.mark.parametrize("option", ["--start-from", "--backbone-from"])
    def test_ablate(self, rsgnet, monkeypatch, tmp_path, option):
        ablation = pytest.importorskip("rsgnet.reproduce.ablation")
        received = {}

        def record(*arguments, **_):
            received.update(start_from=arguments[6], backbone_from=arguments[7])
            raise RSGNetError("enough")

        monkeypatch.setattr(ablation, "Ablation", record)
        data = ["--data", "a.json", "--validate", "v.json", "--out", tmp_path]
        assert rsgnet("ablate", *data, option, "small")[2] == ["error: enough"]
        assert received[option.removeprefix("--").replace("-", "_")] == weights.SHIPPED / "small"

    @pytest.mark.parametrize("name", ["nano", "small"])
    @pytest.mark.parametrize(
        ("command", "extra"),
        [
            ("predict images --out out --weights", None),
            ("predict-dataset images --out out --weights", "rsgnet.scaleout.ray_pool"),
            ("evaluate --annotations people.json --images images --out out --weights", None),
            ("show images/1.png --out out --weights", None),
            ("serve --detector full --weights", "rsgnet.server.app"),
            ("serve --detector full --weights OTHER --compare", "rsgnet.server.app"),
        ],
    )
    def test_pose_weights(self, rsgnet, monkeypatch, people_set, command, extra, name):
        if extra is not None:
            pytest.importorskip(extra)

        other = "small" if name == "nano" else "nano"

        def open_estimator(wanted, *_, **__):
            if wanted != other:
                raise RSGNetError(f"opens {weights.find_weights(wanted).directory}")

        monkeypatch.setattr("rsgnet.inference.estimator.PoseEstimator", open_estimator)
        if command.startswith("serve"):
            monkeypatch.setattr("rsgnet.server.worker.Worker", lambda open_estimator, *_: open_estimator())
            engine = SimpleNamespace(backend="onnx")
            monkeypatch.setattr("rsgnet.inference.runtime.engines.choose_engine", lambda *_: engine)
        monkeypatch.chdir(people_set[1].parent)
        assert rsgnet(*command.replace("OTHER", other).split(), name)[2] == [f"error: opens {weights.SHIPPED / name}"]

    def test_calibrate_opens_the_weights_before_the_labels(self, rsgnet):
        code, _, errors = rsgnet("calibrate", "nano", "--data", "none.json")
        assert code == 2 and "none.json" in errors[0]

    @pytest.mark.parametrize("name", ["nano", "small", "detector-nano"])
    def test_info(self, rsgnet, name):
        pytest.importorskip("rsgnet.checkpoint")
        code, printed, _ = rsgnet("info", name)
        assert code == 0 and name in printed

    def test_export(self, rsgnet, monkeypatch, tmp_path):
        directory = pytest.importorskip("rsgnet.export.directory")
        calls = []
        monkeypatch.setattr(directory, "publish", lambda *arguments: calls.append(arguments))
        monkeypatch.setattr(directory, "export_onnx", lambda written, _: calls.append(written))
        code, printed, _ = rsgnet("export", "nano", "--out", tmp_path / "model")
        assert code == 0 and f"--weights {tmp_path / 'model'}" in printed
        assert calls == [(weights.SHIPPED / "nano", tmp_path / "model"), tmp_path / "model"]

    def test_export_does_not_change_the_installed_package(self, rsgnet):
        pytest.importorskip("rsgnet.export.directory")
        code, _, errors = rsgnet("export", "nano")
        assert code == 2 and "belong to the installed package; add --out DIR" in errors[0]

    def test_push(self, rsgnet):
        code, printed, _ = rsgnet("push", "nano", "me/nano", "--license", "apache-2.0", "--dry-run")
        assert code == 0 and "me/nano would receive: config.json, model.safetensors," in printed
