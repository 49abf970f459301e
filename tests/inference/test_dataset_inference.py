"""Detections and poses of an annotated data set carry its image ids."""

import json

import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import RSGNetError
from rsgnet.inference.dataset_inference import detect_dataset, open_dataset_boxes, predict_dataset
from rsgnet.inference.detectors.open_detector import open_detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.poses import Poses


@pytest.fixture
def dataset(tmp_path):
    """Three images of 1, 2 and 3 people, the first person without labels; their annotations and folder."""
    images, annotations = [], []
    (tmp_path / "images" / "sub").mkdir(parents=True)
    for image_id, name in ((30, "sub/c.png"), (10, "a.png"), (20, "b.png")):
        Image.new("RGB", (100, 80), "white").save(tmp_path / "images" / name)
        images.append({"id": image_id, "file_name": name, "width": 100, "height": 80})
        for person in range(image_id // 10):
            box = [10 * person, 5, 30, 40]
            annotations.append(
                {"id": len(annotations), "image_id": image_id, "category_id": 1, "bbox": box}
                | {"keypoints": [20, 20, 2] * 17, "num_keypoints": 17, "area": 900}
            )
    annotations[0] |= {"keypoints": [0] * 51, "num_keypoints": 0}
    (tmp_path / "truth.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return read_annotations(tmp_path / "truth.json"), tmp_path / "images"


def test_poses_carry_the_ids_of_the_data_set(dataset, pose_network):
    truth, images = dataset
    estimator = PoseEstimator(pose_network(), open_dataset_boxes(truth, "gt"))
    found = [poses for _, poses in predict_dataset(estimator, truth, images)]
    assert [poses.image_id for poses in found] == [30, 10, 20]
    assert sorted(box[0] for box in found[0].boxes_xyxy) == [10, 20]  # the first person has no labels
    assert [poses.file_name for poses in found] == ["sub/c.png", "a.png", "b.png"]


def test_boxes_of_a_results_list_are_matched_by_id(dataset, pose_network, tmp_path):
    truth, images = dataset
    (tmp_path / "r.json").write_text(json.dumps([{"image_id": 20, "bbox": [1, 2, 30, 40], "score": 0.5}]))
    estimator = PoseEstimator(pose_network(), open_dataset_boxes(truth, str(tmp_path / "r.json")))
    found = {poses.image_id: poses for _, poses in predict_dataset(estimator, truth, images)}
    assert [len(found[image_id]) for image_id in (10, 20, 30)] == [0, 1, 0]
    np.testing.assert_allclose(found[20].boxes_xyxy, [[1, 2, 31, 42]])


def test_a_missing_image_has_an_error_in_its_place(dataset, pose_network):
    truth, images = dataset
    (images / "a.png").unlink()
    outcomes = list(predict_dataset(PoseEstimator(pose_network(), "full"), truth, images))
    assert [isinstance(outcome, Poses) for _, outcome in outcomes] == [True, False, True]
    assert "a.png: no such file" in str(outcomes[1][1])


def test_a_missing_folder_raises(dataset, pose_network, tmp_path):
    with pytest.raises(RSGNetError, match="no such folder"):
        list(predict_dataset(PoseEstimator(pose_network(), "full"), dataset[0], tmp_path / "none"))


def test_detections_are_box_results_with_ids(dataset):
    truth, images = dataset
    (images / "a.png").unlink()
    found = detect_dataset(open_detector("full"), truth, images)
    assert [(box["image_id"], box["file_name"], box["bbox"]) for box in found] == [
        (30, "sub/c.png", [0, 0, 100, 80]),
        (20, "b.png", [0, 0, 100, 80]),
    ]
    assert all(box["score"] == 1 and box["category_id"] == 1 for box in found)
