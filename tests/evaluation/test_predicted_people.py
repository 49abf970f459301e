"""Results that are read as images with scored people."""

import json

import numpy as np
import pytest

from rsgnet.errors import AnnotationError
from rsgnet.evaluation.predicted_people import read_predicted_people
from rsgnet.skeletons import CROWDPOSE14


@pytest.fixture
def results(tmp_path):
    """Writes results of three people in two images."""
    random = np.random.default_rng(0)
    entries = [
        {
            "file_name": name,
            "category_id": 1,
            "keypoints": np.column_stack([random.uniform(5, 50, (17, 2)), random.uniform(0, 1, 17)]).ravel().tolist(),
            "score": score,
            "bbox": [3.5, 4.0, 50.0, 44.5],
        }
        for name, score in (("a.png", 0.8), ("a.png", 0.25), ("b/c.png", 0.5))
    ]
    (tmp_path / "poses.json").write_text(json.dumps(entries))
    return tmp_path / "poses.json"


def test_skeleton_follows_from_the_number_of_keypoints(results):
    entries = json.loads(results.read_text())
    results.write_text(json.dumps([{**each, "keypoints": each["keypoints"][:42]} for each in entries]))
    assert read_predicted_people(results).skeleton is CROWDPOSE14
    results.write_text(json.dumps([{**each, "keypoints": each["keypoints"][:9]} for each in entries]))
    with pytest.raises(AnnotationError, match=r"poses\.json: its people's 3 keypoints fit no known skeleton"):
        read_predicted_people(results)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file_name": "../../a.png"}, "leads out"),
        ({"bbox": [1, 2, 3]}, "entry 0: bbox must be"),
        ({"score": None}, "entry 0: score must be"),
    ],
)
def test_invalid_entries_are_named(results, change, message):
    entries = json.loads(results.read_text())
    results.write_text(json.dumps([{**entries[0], **change}, *entries[1:]]))
    with pytest.raises(AnnotationError, match=message) as caught:
        read_predicted_people(results)
    assert "poses.json" in str(caught.value)


@pytest.mark.parametrize("line", ["{}", "[]", "{", '{"file_name": "a.mp4", "frame": 0, "people": 3}'])
def test_invalid_lines_are_named(tmp_path, line):
    (tmp_path / "poses.jsonl").write_text(f'{{"file_name": "a.mp4", "frame": 0, "people": []}}\n{line}')
    with pytest.raises(AnnotationError, match=r"poses\.jsonl: line 2 is not a frame"):
        read_predicted_people(tmp_path / "poses.jsonl")


def test_missing_boxes_are_those_of_the_keypoints(results):
    entries = [{key: value for key, value in each.items() if key != "bbox"} for each in json.loads(results.read_text())]
    results.write_text(json.dumps(entries))
    people = [person for image in read_predicted_people(results).images for person in image.people]
    assert len(people) == 3
    for person in people:
        left_top, size_wh = person.keypoints[:, :2].min(0), np.ptp(person.keypoints[:, :2], axis=0)
        np.testing.assert_allclose(person.box_xywh, np.concatenate([left_top, size_wh]))
