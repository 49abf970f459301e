"""Recipes: the shipped one, invalid ones, missing files, and a short run."""

import shutil
from pathlib import Path

import pytest

from rsgnet.checkpoint import read_config
from rsgnet.config import PoseConfig
from rsgnet.config_files import with_settings
from rsgnet.errors import RSGNetError
from rsgnet.presets import preset_named
from rsgnet.training.recipe import read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
START = "detectors/rtmdet-nano-person_e2e.onnx"
MINIMAL = 'train = ["people.json:images"]\n[network]\nname = "mine"\n'


@pytest.fixture
def write_recipe(tmp_path):
    def write(text):
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.name)
def test_recipes_have_the_config_of_the_shipped_weights_and_a_source_of_each_file(path):
    recipe = read_recipe(path)
    assert recipe.network == preset_named(recipe.network.name)
    files = {name for entry in recipe.train for name in entry.split(",")[0].split(":")}
    files |= {recipe.start} if recipe.start else set()
    files |= {recipe.distillation.teacher} if recipe.distillation else set()
    assert files <= set(recipe.sources)


def test_a_network_with_a_crop_is_a_pose_network(write_recipe):
    recipe = read_recipe(write_recipe(f"{MINIMAL}crop = {{size_wh = [96, 128]}}\n[distillation]\nteacher = 'big.onnx'"))
    assert isinstance(recipe.network, PoseConfig)
    assert recipe.network.crop.size_wh == (96, 128)
    assert (recipe.start, recipe.distillation.teacher, recipe.distillation.paddings) == (None, "big.onnx", (1.25,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"epoch = 1\n{MINIMAL}", "recipe.toml: not a recipe: epoch"),
        (f"{MINIMAL}colour = 'red'", r"recipe.toml: invalid table \[network\]: colour"),
        (f"{MINIMAL}[network.training]\nepoch = 1", r"invalid table \[network\]: training.epoch"),
        (f"{MINIMAL}crop = {{size = [96, 128]}}", r"invalid table \[network\]: crop.size"),
        (f"{MINIMAL}size_wh = [100, 100]", "mine: the sides of the input must be multiples of 32"),
        (f"{MINIMAL}[distillation]\npaddings = [1.25]", "not a recipe: distillation.teacher"),
        ('[network]\nname = "mine"', "not a recipe: train"),
        ('train = ["people.json"]', r"it has no table \[network\]"),
        ("train = [", "recipe.toml: not a TOML file"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named(write_recipe, text, message):
    with pytest.raises(RSGNetError, match=message):
        read_recipe(write_recipe(text))


def test_a_recipe_that_cannot_be_read(tmp_path):
    with pytest.raises(RSGNetError, match=r"nowhere\.toml: cannot be read: No such file"):
        read_recipe(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RSGNetError, match=r"binary\.toml: not a TOML file"):
        read_recipe(tmp_path / "binary.toml")


@pytest.fixture
def recipe(write_recipe):
    entries = '["people.json:images,weight=2", "others.json"]'
    return read_recipe(write_recipe(f'train = {entries}\n[network]\nname = "mine"\n[sources]\nimages = "example.org"'))


def test_data_are_found_below_the_data_root_with_their_options(recipe, tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("people.json", "others.json"):
        (tmp_path / name).touch()
    assert recipe.find_data(tmp_path) == [
        f"{tmp_path / 'people.json'}:{tmp_path / 'images'},weight=2",
        f"{tmp_path / 'others.json'}",
    ]


def test_missing_data_are_named_with_their_source_if_the_recipe_has_it(recipe, tmp_path):
    with pytest.raises(RSGNetError, match=r"people\.json is missing$"):
        recipe.find_data(tmp_path)
    (tmp_path / "people.json").touch()
    with pytest.raises(RSGNetError, match=r"images is missing; get it from example\.org$"):
        recipe.find_data(tmp_path)


def test_the_recipe_of_the_detector_runs(shared, rsgnet, people_set, tmp_path):
    """Two steps on six images of 64x64, from the published network."""
    labels, images = people_set
    root = tmp_path / "root"
    (root / START).parent.mkdir(parents=True)
    (root / START).symlink_to(shared(START))
    shutil.copytree(images, root / "images")
    shutil.copy(labels, root / "coco_train.json")
    settings = ["size_wh=64,64", "training.batch_size=2", "training.epoch_samples=4", "training.precision=32-true"]
    options = [word for setting in settings for word in ("--set", setting)]
    out = tmp_path / "run"
    code, printed, errors = rsgnet(
        "train", RECIPES / "detector.toml", "--data-root", root, "--out", out, "--workers", 0, *options
    )
    assert code == 0, errors
    assert f"rsgnet export {out / 'model'}" in printed
    assert read_config(out / "model") == with_settings(preset_named("detector-nano"), settings)
    curves = next(out.glob("curves/*/metrics.csv")).read_text()
    assert "train/box" in curves


@pytest.mark.parametrize("name", ["nano", "small"])
def test_the_recipe_of_a_pose_network_runs(shared, rsgnet, people_set, tmp_path, name):
    """Two steps on people of six images, from the published network and taught by another."""
    pytest.importorskip("openvino")
    recipe = read_recipe(RECIPES / f"{name}.toml")
    labels, images = people_set
    root = tmp_path / "root"
    for folder in ("pretrained", "teachers"):
        root.mkdir(exist_ok=True)
        (root / folder).symlink_to(shared(folder))
    shutil.copytree(images, root / "images")
    for file in ("coco_train.json", "coco_train_partial.json"):
        shutil.copy(labels, root / file)
    settings = ["training.batch_size=2", "training.epoch_samples=4", "training.precision=32-true"]
    options = [word for setting in settings for word in ("--set", setting)]
    out = tmp_path / "run"
    code, _, errors = rsgnet(
        "train", RECIPES / f"{name}.toml", "--data-root", root, "--out", out, "--workers", 0, *options
    )
    assert code == 0, errors
    assert read_config(out / "model") == with_settings(recipe.network, settings)
    header, *_, last = next(out.glob("curves/*/metrics.csv")).read_text().splitlines()
    assert float(dict(zip(header.split(","), last.split(","), strict=True))["train/distillation"]) > 0
