"""`rsgnet train`."""

from pathlib import Path

import pytest

from rsgnet.config_files import SHIPPED, with_settings
from rsgnet.presets import preset_named

RECIPE = """
start = "start.safetensors"
train = ["people.json:images,weight=2"]
[network]
name = "mine"
crop = {size_wh = [96, 128]}
[network.training]
epochs = 7
[distillation]
teacher = "teacher.onnx"
paddings = [1.25, 1.5]
[sources]
"start.safetensors" = "example.org/start"
"""


@pytest.fixture
def received(monkeypatch):
    """The arguments that `rsgnet.training.run.train` is called with; nothing is trained."""
    run = pytest.importorskip("rsgnet.training.run")
    arguments = {}

    def train(config, data, out, **options):
        arguments.update(options, config=config, data=data, out=out)
        return Path("runs/x/model")

    monkeypatch.setattr(run, "train", train)
    return arguments


@pytest.fixture
def recipe(tmp_path, pose_network):
    """A recipe whose files lie in the folder `data`, except `start.safetensors`."""
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    (data / "people.json").touch()
    pose_network(lone=True, name="teacher").rename(data / "teacher.onnx")
    (tmp_path / "mine.toml").write_text(RECIPE)
    return tmp_path / "mine.toml"


def test_options_reach_the_run(rsgnet, received):
    data = ["--data", "a.json:images,weight=2", "--data", "b.json", "--validate", "v.json"]
    settings = ["--set", "training.epochs=3", "--set", "training.batch_size=8"]
    code, printed, _ = rsgnet("train", "nano", *data, *settings, "--out", "runs/x", "--resume", "--teacher", "nano")
    assert code == 0 and "rsgnet export runs/x/model" in printed
    assert received["config"] == with_settings(preset_named("nano"), ["training.epochs=3", "training.batch_size=8"])
    assert received["data"] == ["a.json:images,weight=2", "b.json"] and received["out"] == Path("runs/x")
    assert received["resume"] and received["validation"] == "v.json" and received["fitting_from"] == SHIPPED / "nano"
    assert received["teacher"].open().config.name == "nano" and received["teacher"].paddings == (1.25,)


@pytest.mark.parametrize(
    ("options", "fitting_from"),
    [
        ((), SHIPPED / "nano"),
        (("--from-scratch",), None),
        (("--start-from", "other"), None),
        (("--backbone-from", "other"), None),
        (("--fitting-from", "other"), Path("other")),
    ],
)
def test_a_network_that_ships_starts_from_its_weights_unless_another_start_is_named(
    rsgnet, received, options, fitting_from
):
    assert rsgnet("train", "nano", "--data", "a.json", "--out", "runs/x", *options)[0] == 0
    assert received["fitting_from"] == fitting_from


def test_other_presets_start_from_no_shipped_weights(rsgnet, received):
    assert rsgnet("train", "hrnet-w32-256x192-coco", "--data", "a.json", "--out", "runs/x")[0] == 0
    assert received["fitting_from"] is None


def test_a_recipe_gives_network_data_start_and_teacher(rsgnet, received, recipe):
    data = recipe.parent / "data"
    (data / "start.safetensors").touch()
    options = ["--data-root", data, "--out", "runs/x", "--set", "training.epochs=3"]
    code, _, errors = rsgnet("train", recipe, *options)
    assert code == 0, errors
    assert (received["config"].name, received["config"].training.epochs) == ("mine", 3)
    assert received["config"].crop.size_wh == (96, 128)
    assert received["data"] == [f"{data / 'people.json'}:{data / 'images'},weight=2"]
    assert received["backbone_from"] == data / "start.safetensors"
    assert received["start_from"] is None and received["fitting_from"] is None
    assert received["teacher"].name == f"onnx:{data / 'teacher.onnx'}" and received["teacher"].paddings == (1.25, 1.5)
    assert received["teacher"].open().config.name == "colours"


def test_a_file_of_a_recipe_that_is_missing_is_named_with_its_source(rsgnet, received, recipe):
    code, _, errors = rsgnet("train", recipe, "--data-root", recipe.parent / "data", "--out", "runs/x")
    assert code == 2 and "start.safetensors is missing; get it from example.org/start" in errors[-1]
    assert not received


@pytest.mark.parametrize(
    "option",
    [
        ("--data", "x.json"),
        ("--start-from", "nano"),
        ("--backbone-from", "nano"),
        ("--fitting-from", "nano"),
        ("--from-scratch",),
        ("--teacher", "small"),
        ("--teacher-padding", "1.5"),
    ],
)
def test_options_that_a_recipe_replaces_are_refused_beside_it(rsgnet, received, recipe, option):
    code, _, errors = rsgnet("train", recipe, "--data-root", recipe.parent / "data", "--out", "runs/x", *option)
    assert code == 2 and f"mine.toml is a recipe and already sets this: leave out {option[0]}" in errors[-1]
    assert not received


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("giant", ["--data", "x.json"], "no preset is named 'giant'"),
        ("nano", [], "nothing to train on: name it, --data"),
        ("nano", ["--data", "x.json", "--data-root", "data"], "--data-root is for recipes"),
        ("nano", ["--data", "x.json", "--teacher", "nobody.onnx"], "nobody.onnx"),
        ("mine.toml", [], "mine.toml is a recipe: name the folder of its data, --data-root DIR"),
        ("absent.toml", ["--data-root", "data"], "absent.toml: cannot be read: No such file"),
    ],
)
def test_wrong_options_are_named(rsgnet, received, recipe, monkeypatch, network, options, message):
    monkeypatch.chdir(recipe.parent)
    code, _, errors = rsgnet("train", network, *options, "--out", "run")
    assert code == 2 and message in errors[-1]
    assert not received
