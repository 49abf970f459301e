"""A pose result names the weights and boxes that it came from."""

import json

import numpy as np
import pytest

from rsgnet.errors import RSGNetError
from rsgnet.files import sha256
from rsgnet.inference.boxes import Boxes
from rsgnet.inference.detector import open_detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.run_record import record_run, run_beside
from rsgnet.settings import to_json


def test_a_detector_is_named_with_its_weights_and_threshold(pose_network, box_network):
    pose, boxes = pose_network(), box_network([[0, 0, 9, 9]], [0.9])
    record = record_run(PoseEstimator(pose, f"onnx:{boxes}"), "mine", "nano")
    assert (record.weights.name, record.weights.sha256) == ("mine", sha256(pose / "model.onnx"))
    assert (record.boxes.name, record.boxes.sha256) == ("nano", sha256(boxes / "model.onnx"))
    assert (record.boxes.threshold, record.skeleton, record.flip_test) == (0.3, "coco17", False)
    assert (record.backend, record.precision) == ("onnx", "float32")


def test_boxes_of_a_file_are_named_with_the_file(pose_network, tmp_path):
    (tmp_path / "b.json").write_text("[]")
    record = record_run(PoseEstimator(pose_network(), f"boxes:{tmp_path / 'b.json'}"), "mine", "gt")
    assert (record.boxes.sha256, record.boxes.threshold) == (sha256(tmp_path / "b.json"), None)


def test_boxes_found_beforehand_are_named_by_what_found_them(pose_network, box_network, tmp_path):
    (tmp_path / "boxes.json").write_text("[]")
    finder = open_detector(f"onnx:{box_network([[0, 0, 9, 9]], [0.9])}", threshold=0.05)
    estimator = PoseEstimator(pose_network(), f"boxes:{tmp_path / 'boxes.json'}")
    assert record_run(estimator, "mine", "nano", finder).boxes.threshold == 0.05


def test_what_has_no_file_has_no_sha256(pose_network):
    class Own:
        def detect(self, photos):
            return [Boxes(np.zeros((0, 4)), np.zeros(0)) for _ in photos]

    assert record_run(PoseEstimator(pose_network(), Own()), "mine", "own").boxes.sha256 is None
    assert record_run(PoseEstimator(pose_network(), "full"), "mine", "full").boxes.sha256 is None


def test_the_record_is_found_beside_this_packages_results_only(pose_network, tmp_path):
    assert run_beside(tmp_path / "poses.json") is None
    record = record_run(PoseEstimator(pose_network(), "full"), "mine", "full")
    (tmp_path / "run.json").write_text(to_json(record))
    assert run_beside(tmp_path / "poses.json") == record and run_beside(tmp_path / "theirs.json") is None
    (tmp_path / "run.json").write_text(json.dumps({"rsgnet": "0"}))
    with pytest.raises(RSGNetError, match=r"run\.json: not a RunRecord"):
        run_beside(tmp_path / "poses.json")
