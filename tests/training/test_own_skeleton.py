"""A custom skeleton in settings, training, the model directory, prediction and evaluation."""

import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.readers import read_annotations
from rsgnet.checkpoint import read_config
from rsgnet.config import PoseConfig
from rsgnet.config_files import from_json, to_json, with_settings
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.export.directory import export_onnx
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.presets import rsgnet_light
from rsgnet.skeletons import read_skeleton
from rsgnet.training.run import train

quiet_train = partial(train, workers=0, progress=False)

TOML = """
name = "tri"
keypoints = ["top", "left_foot", "right_foot"]
edges = [["top", "left_foot"], ["top", "right_foot"]]
sigmas = { top = 0.1 }
"""
TINY = [
    "crop.size_wh=64,64", "model.relation.clue_dim=8", "training.batch_size=4", "training.epoch_samples=4",
    "training.epochs=1", "training.augment.paste=0", "training.precision=32-true", "training.warmup_steps=0",
    "training.pretrained=false",
]  # fmt: skip


@pytest.fixture
def toy(tmp_path):
    """Labels of four images of three dots, and the skeleton beside them."""
    (tmp_path / "images").mkdir()
    images, people = [], []
    for number in range(1, 5):
        places = np.array([[40, 20], [60, 60], [20, 60]]) + number
        image = np.zeros((80, 80, 3), np.uint8)
        for channel, (x, y) in enumerate(places):
            image[y - 3 : y + 4, x - 3 : x + 4, channel] = 255
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 80, "height": 80})
        keypoints = [value for x, y in places.tolist() for value in (x, y, 2)]
        people.append({"id": number, "image_id": number, "bbox": [15, 15, 50, 55], "keypoints": keypoints})
    (tmp_path / "labels.json").write_text(json.dumps({"images": images, "annotations": people}))
    (tmp_path / "skeleton.toml").write_text(TOML)
    return tmp_path


def test_configs_store_the_whole_skeleton(toy):
    config = with_settings(rsgnet_light(), [f"model.skeleton={toy / 'skeleton.toml'}"])
    assert config.model.skeleton == read_skeleton(toy / "skeleton.toml")
    assert from_json(PoseConfig, to_json(config), "here") == config
    assert with_settings(config, ["training.epochs=3"]).model == config.model
    with pytest.raises(RSGNetError, match=r"none\.toml: cannot be read"):
        with_settings(rsgnet_light(), ["model.skeleton=none.toml"])
    broken = to_json(config).replace('"left_foot"', '"top"')
    with pytest.raises(RSGNetError, match="must be unique"):
        from_json(PoseConfig, broken, "here")


def test_it_is_trained_predicted_and_evaluated(toy):
    settings = [*TINY, f"model.skeleton={toy / 'skeleton.toml'}"]
    model = quiet_train(with_settings(rsgnet_light(), settings), [str(toy / "labels.json")], toy / "run")
    (toy / "skeleton.toml").rename(toy / "moved.toml")  # the model directory needs it no more
    assert read_config(model).model.skeleton == read_skeleton(toy / "moved.toml")
    export_onnx(model)
    poses = PoseEstimator(model, "full")(toy / "images" / "1.png")
    assert poses.skeleton.name == "tri" and poses.keypoints_xy.shape == (1, 3, 2)


def test_its_sigmas_measure(toy):
    truth = read_annotations(toy / "labels.json")
    assert truth.skeleton.sigmas == (0.1, 0.07, 0.07)
    found = []
    for image in truth.images:
        keypoints = image.people[0].keypoints - np.array([0, 0, 1])
        keypoints[:, 0] += 4
        found.append({"image_id": image.id, "keypoints": keypoints.ravel().tolist(), "score": 0.9})
    lenient = evaluate_keypoints(toy / "labels.json", found)["AP"]
    (toy / "skeleton.toml").write_text(TOML.replace("{ top = 0.1 }", "[0.02, 0.02, 0.02]"))
    assert evaluate_keypoints(toy / "labels.json", found)["AP"] < lenient


def test_its_sigmas_may_lie_elsewhere(toy, rsgnet):
    truth = json.loads((toy / "labels.json").read_text())["annotations"]
    moved = [
        {
            **each,
            "category_id": 1,
            "score": 1.0,
            "keypoints": [value + 2 * (i % 3 == 0) for i, value in enumerate(each["keypoints"])],
        }
        for each in truth
    ]
    (toy / "found.json").write_text(json.dumps(moved))
    (toy / "skeleton.toml").unlink()
    figures = {}
    for name, sigma in {"lenient": 0.1, "strict": 0.01}.items():
        (toy / f"{name}.toml").write_text(TOML.replace("{ top = 0.1 }", str([sigma] * 3)))
        asked = ("--annotations", toy / "labels.json", "--results", toy / "found.json", "--out", toy / name)
        assert rsgnet("evaluate", *asked, "--skeleton", toy / f"{name}.toml", "--no-report")[0] == 0
        figures[name] = json.loads((toy / name / "metrics.json").read_text())["AP"]
    assert figures["strict"] < 0.5 < figures["lenient"]
