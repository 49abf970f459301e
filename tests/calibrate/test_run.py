"""`rsgnet calibrate` on images with known people."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.published_networks import NETWORKS, write_published
from typer.testing import CliRunner

from rsgnet import cli
from rsgnet.calibrate.run import calibrate_weights
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.runtime.backends import open_backend
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.skeletons import COCO17


@pytest.fixture
def held_out(tmp_path, colours):
    """Eight images of one person each: green nose, red odd keypoints, blue others; some unlabelled, some misplaced."""
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    images, people = [], []
    for number in range(8):
        positions = [(120 + number, 60), (140, 110 - number), (100, 90)]
        Image.fromarray(colours((240, 180), *positions)).save(tmp_path / "images" / f"{number}.png")
        keypoints = [[*(positions[2] if k == 0 else positions[0] if k % 2 else positions[1]), 2] for k in range(17)]
        for k in range(17):
            keypoints[k][2] = int(random.integers(0, 3))
            keypoints[k][0] += 25 * bool(random.random() < 0.3)
        images.append({"id": number, "file_name": f"{number}.png", "width": 240, "height": 180})
        flat = np.array(keypoints).ravel().tolist()
        people.append({"id": number + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": [80, 40, 90, 100],
                       "area": 4000, "keypoints": flat, "num_keypoints": 17})  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoints), "skeleton": []}
    content = {"images": images, "annotations": people, "categories": [category]}
    (tmp_path / "val.json").write_text(json.dumps(content))
    return tmp_path / "val.json"


def run(*arguments):
    return CliRunner().invoke(cli.app, ["calibrate", *map(str, arguments)])


@pytest.mark.parametrize("lone", [False, True])
def test_command_fits_saves_and_shows(pose_network, held_out, tmp_path, lone):
    pytest.importorskip("torch")
    weights = pose_network(lone=lone)
    ran = run(weights, "--data", held_out, "--out", tmp_path / "out", "--device", "cpu")
    assert ran.exit_code == 0, ran.output
    assert all(f"ECE of {name}" in ran.output for name in ("present", "visible", "owned"))
    assert (tmp_path / "out" / "reliability.html").is_file()
    fit = open_network(weights, device="cpu").ownership
    assert fit is not None and not fit.candidates and fit.fitted_on == "val.json: 8 images, 272 keypoints"
    if not lone:
        beside = (weights / "ownership.json").read_text()
        inside = open_backend(weights / "model.onnx", "cpu").metadata
        assert inside["rsgnet_ownership"] == beside  # the network file contains the fit, too
    poses = PoseEstimator(weights, "full", device="cpu")(held_out.parent / "images" / "0.png")
    assert poses.owned.shape == (1, 17) and ((poses.owned > 0) & (poses.owned < 1)).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_fit_of_a_published_network_lies_beside_it(held_out, tmp_path, name):
    path = write_published(tmp_path, name)
    before = path.read_bytes()
    ran = run(f"onnx:{path}", "--data", held_out, "--device", "cpu")
    assert ran.exit_code == 0, ran.output
    assert "AUC of owned" in ran.output and "of the raw score" in ran.output
    assert path.read_bytes() == before and (tmp_path / f"{name}.ownership.json").is_file()
    estimator = PoseEstimator(f"onnx:{path}", "full")
    assert estimator.network.ownership is not None and estimator.network.ownership.candidates
    poses = estimator(held_out.parent / "images" / "0.png")
    assert ((poses.owned > 0) & (poses.owned <= 1)).all() and (poses.rival == -1).all()
    (tmp_path / f"{name}.ownership.json").write_text("{}")
    with pytest.raises(WeightsError, match=rf"{name}\.ownership\.json"):
        PoseEstimator(f"onnx:{path}", "full")


def test_fits_are_deterministic(pose_network, held_out):
    weights = pose_network()
    first, second = (calibrate_weights(weights, [str(held_out)], device="cpu") for _ in range(2))
    assert first.ownership == second.ownership


def test_a_broken_fit_can_be_replaced(pose_network, held_out):
    weights = pose_network()
    (weights / "ownership.json").write_text("{}")
    assert calibrate_weights(weights, [str(held_out)], device="cpu").qualities["present"].count == 8 * 2 * 17


def test_missing_labels_are_named(pose_network, tmp_path):
    with pytest.raises(RSGNetError, match=r"--data .*none\.json"):
        calibrate_weights(pose_network(), [str(tmp_path / "none.json")], device="cpu")
