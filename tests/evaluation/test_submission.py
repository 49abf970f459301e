"""Submissions to COCO's evaluation server."""

import json

import pytest

from rsgnet.errors import RSGNetError
from rsgnet.evaluation.submission import write_submission

SUBMITTED = {"image_id": 7, "category_id": 1, "keypoints": [1.23456, 2.0, 0.5] * 17, "score": 0.5, "bbox": [0, 0, 1, 1]}


@pytest.fixture
def image_list(tmp_path):
    """COCO's list of test images, without annotations and keypoint names."""
    images = [{"id": number, "file_name": f"{number:012}.jpg", "width": 9, "height": 9} for number in (7, 9)]
    path = tmp_path / "image_info_test-dev2017.json"
    path.write_text(json.dumps({"images": images, "categories": [{"id": 1, "name": "person"}], "info": {}}))
    return path


def submitted_poses(count, **change):
    return [{**SUBMITTED, "score": index / 100, **change} for index in range(count)]


def test_submission_format_and_name(image_list, tmp_path):
    path = write_submission(
        submitted_poses(2, image_id=None, file_name="000000000009.jpg"), image_list, tmp_path / "out", "mine"
    )
    assert path == tmp_path / "out" / "person_keypoints_test-dev2017_mine_results.json"
    entries = json.loads(path.read_text())
    assert [sorted(entry) for entry in entries] == [["category_id", "image_id", "keypoints", "score"]] * 2
    assert [(entry["image_id"], entry["category_id"], entry["score"]) for entry in entries] == [(9, 1, 0.01), (9, 1, 0)]
    assert entries[0]["keypoints"] == [1.235, 2.0, 0.5] * 17


def test_submission_has_the_twenty_best_poses_of_each_image(image_list, tmp_path):
    entries = json.loads(
        write_submission(submitted_poses(30) + submitted_poses(3, image_id=9), image_list, tmp_path).read_text()
    )
    assert [entry["image_id"] for entry in entries] == [7] * 20 + [9] * 3
    assert [entry["score"] for entry in entries[:20]] == [index / 100 for index in range(29, 9, -1)]


@pytest.mark.parametrize(
    ("results", "name", "message"),
    [
        ([], "a", "holds no poses"),
        (submitted_poses(1, image_id=8), "a", "has no image of image_id 8"),
        (submitted_poses(1, keypoints=[0.0] * 42), "a", "predict in coco17"),
        (submitted_poses(1, score=float("nan")), "a", "finite"),
        (submitted_poses(1), "../a", "letters, digits"),
        (submitted_poses(1), "", "letters, digits"),
    ],
)
def test_invalid_submissions_raise(image_list, tmp_path, results, name, message):
    with pytest.raises(RSGNetError, match=message):
        write_submission(results, image_list, tmp_path, name)
