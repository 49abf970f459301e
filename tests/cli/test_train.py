"""`rsgnet train`."""

from pathlib import Path

import pytest

from rsgnet.config_files import SHIPPED, with_settings
from rsgnet.presets import preset_named


def test_options_reach_the_run(rsgnet, monkeypatch):
    run = pytest.importorskip("rsgnet.training.run")
    received = {}

    def train(*arguments, **options):
        received.update(options, arguments=arguments)
        return Path("runs/x/model")

    monkeypatch.setattr(run, "train", train)
    data = ["--data", "a.json:images,weight=2", "--data", "b.json", "--validate", "v.json"]
    settings = ["--set", "training.epochs=3", "--set", "training.batch_size=8"]
    code, printed, _ = rsgnet("train", "nano", *data, *settings, "--out", "runs/x", "--resume", "--teacher", "nano")
    assert code == 0 and "rsgnet export runs/x/model" in printed
    assert received["arguments"] == (
        with_settings(preset_named("nano"), ["training.epochs=3", "training.batch_size=8"]),
        ["a.json:images,weight=2", "b.json"],
        Path("runs/x"),
    )
    assert received["resume"] and received["validation"] == "v.json" and received["fitting_from"] == SHIPPED / "nano"
    assert received["teacher"].open().config.name == "nano" and received["teacher"].paddings == (1.25,)


def test_an_unknown_preset(rsgnet, tmp_path):
    pytest.importorskip("rsgnet.training.run")
    code, _, errors = rsgnet("train", "giant", "--data", "x.json", "--out", tmp_path / "run")
    assert code == 2 and "no preset is named 'giant'" in errors[-1]


def test_an_unknown_teacher(rsgnet, tmp_path):
    pytest.importorskip("rsgnet.training.run")
    where = ["--data", "x.json", "--out", tmp_path / "run"]
    code, _, errors = rsgnet("train", "nano", *where, "--teacher", "nobody.onnx")
    assert code == 2 and "nobody.onnx" in errors[-1]
