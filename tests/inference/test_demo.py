import json

import pytest
from PIL import Image

from rsgnet.inference import weights
from rsgnet.inference.demo import run_demo


@pytest.fixture
def shipped(pose_network, box_network, tmp_path, monkeypatch):
    """Stands in for the shipped weights: a detector that finds eight people, or nobody."""

    def ship(score):
        pose_network(name="nano")
        box_network([[6 * x, 10, 6 * x + 16, 50] for x in range(8)], [score] * 8, name="detector-nano")
        monkeypatch.setattr(weights, "SHIPPED", tmp_path)
        return tmp_path / "out"

    return ship


def test_the_crowd_and_the_truth_are_written(shipped):
    out = shipped(0.9)
    told = []
    shown = run_demo([], out, lambda file, outcome: told.append(file.file_name))
    assert 4 <= shown.found <= shown.people == 8 and not shown.boxes_given
    assert told == ["crowd.png"] and len(shown.predictions.results) == shown.found
    assert Image.open(out / "crowd.png").size == Image.open(out / "crowd.jpg").size
    truth = json.loads((out / "crowd.json").read_text())
    assert truth["images"][0]["file_name"] == "crowd.png" and truth["annotations"]
    assert {path.name for path in out.iterdir()} == {"crowd.png", "crowd.jpg", "crowd.json", "poses.json", "run.json"}


def test_if_nobody_is_found_the_truth_says_where_they_are(shipped):
    out = shipped(0.0)
    shown = run_demo([], out, lambda *_: None)
    truth = json.loads((out / "crowd.json").read_text())
    labelled = [person for person in truth["annotations"] if person["num_keypoints"] and not person.get("iscrowd")]
    assert shown.found == 0 and shown.boxes_given and 0 < len(shown.predictions.results) <= len(labelled)
    assert {result["image_id"] for result in shown.predictions.results} == {truth["images"][0]["id"]}


def test_photos_are_done_too(shipped, tmp_path):
    out = shipped(0.9)
    (tmp_path / "mine").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "mine" / "me.png")
    shown = run_demo([str(tmp_path / "mine"), "nowhere.jpg"], out, lambda *_: None)
    assert [path.name for path in shown.predictions.overlays] == ["crowd.jpg", "me.jpg"]
    assert "nowhere.jpg" in str(shown.predictions.errors[0])
