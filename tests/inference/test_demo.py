"""The demonstration runs on shipped weights that find eight people, or nobody."""

import json

import pytest
from PIL import Image

from rsgnet.defaults import DEFAULT_DETECTOR, DEFAULT_WEIGHTS
from rsgnet.inference import weights
from rsgnet.inference.demo import run_demo


@pytest.fixture
def ship_weights(pose_network, box_network, tmp_path, monkeypatch):
    """Replaces the shipped weights by a detector that gives eight boxes a score; returns a folder to write into."""

    def ship(score):
        pose_network(name=DEFAULT_WEIGHTS)
        box_network([[6 * x, 10, 6 * x + 16, 50] for x in range(8)], [score] * 8, name=f"detector-{DEFAULT_DETECTOR}")
        monkeypatch.setattr(weights, "SHIPPED", tmp_path)
        return tmp_path / "out"

    return ship


def test_crowd_and_annotations_are_written(ship_weights):
    out = ship_weights(0.9)
    reported = []
    result = run_demo([], out, lambda file, outcome: reported.append(file.file_name))
    assert 4 <= result.people_detected <= result.people_drawn == 8 and not result.uses_true_boxes
    assert reported == ["crowd.png"] and len(result.predictions.results) == result.people_detected
    assert Image.open(out / "crowd.png").size == Image.open(out / "crowd.jpg").size
    truth = json.loads((out / "crowd.json").read_text())
    assert truth["images"][0]["file_name"] == "crowd.png" and truth["annotations"]
    assert {path.name for path in out.iterdir()} == {
        "crowd.png",
        "crowd.jpg",
        "crowd.json",
        "images.json",
        "poses.json",
        "run.json",
    }


def test_true_boxes_are_used_if_nobody_is_detected(ship_weights):
    out = ship_weights(0.0)
    result = run_demo([], out, lambda *_: None)
    truth = json.loads((out / "crowd.json").read_text())
    labelled = [person for person in truth["annotations"] if person["num_keypoints"] and not person.get("iscrowd")]
    results = result.predictions.results
    assert result.people_detected == 0 and result.uses_true_boxes and 0 < len(results) <= len(labelled)
    assert {result["image_id"] for result in results} == {truth["images"][0]["id"]}


def test_the_users_images_are_processed_too(ship_weights, tmp_path):
    out = ship_weights(0.9)
    (tmp_path / "mine").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "mine" / "me.png")
    predictions = run_demo([str(tmp_path / "mine"), "nowhere.jpg"], out, lambda *_: None).predictions
    assert [path.name for path in predictions.overlays] == ["crowd.jpg", "me.jpg"]
    assert "nowhere.jpg" in str(predictions.errors[0])
