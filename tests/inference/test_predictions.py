"""Overlays, poses.json and run.json are written, and no source file is overwritten."""

import json
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsgnet.config_files import from_json, to_json
from rsgnet.errors import ImageError, RSGNetError
from rsgnet.files import compute_sha256
from rsgnet.inference import predictions
from rsgnet.inference.detectors.detector import Boxes, Detector
from rsgnet.inference.detectors.open_detector import open_detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import (
    BoxesOrigin,
    Origin,
    RunRecord,
    choose_overlay_paths,
    read_run_record,
    record_run,
    write_predictions,
)
from rsgnet.inference.sources import ImageFile
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17

RECORD = RunRecord("0", Origin("nano", "ab"), BoxesOrigin("gt", "cd", None), "coco17", flip_test=False)


def poses(name, size=(40, 30), people=1):
    return Poses(
        skeleton=COCO17,
        keypoints_xy=np.full((people, 17, 2), 10, np.float32),
        scores=np.full((people, 17), 0.9, np.float32),
        boxes_xyxy=np.tile(np.float32([0, 0, 20, 20]), (people, 1)),
        box_scores=np.ones(people, np.float32),
        pose_scores=np.ones(people, np.float32),
        size_wh=size,
        file_name=name,
        image=np.zeros((size[1], size[0], 3), np.uint8),
    )


def files(*names):
    return [ImageFile(Path("photos") / name, name) for name in names]


class TestOverlayPaths:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["a.jpg", "b.png"], ["a.jpg", "b.jpg"]),
            (["sub/a.jpg", "other/a.jpg"], ["sub/a.jpg", "other/a.jpg"]),
            (["a.jpg", "a.png", "b.png"], ["a.jpg.jpg", "a.png.jpg", "b.jpg"]),
            (["a.jpg", "A.JPG"], ["a.jpg.jpg", "A.JPG-2.jpg"]),
            (["/abs/a.jpg", "../up/a.jpg"], ["abs/a.jpg", "up/a.jpg"]),
            (["a.b.jpg", "a.jpg"], ["a.b.jpg", "a.jpg"]),
            (["a.mp4", "b.MOV", "b.png", "c.png"], ["a.mp4", "b.MOV.mp4", "b.png.jpg", "c.jpg"]),
            (["x.png", "x.tif", "x.png.webp"], ["x.png.jpg", "x.tif.jpg", "x.png-2.jpg"]),
        ],
        ids=str,
    )
    def test_each_image_has_a_path_of_its_own(self, names, expected, tmp_path):
        found = choose_overlay_paths(files(*names), tmp_path)
        assert [path.relative_to(tmp_path).as_posix() for path in found.values()] == expected

    def test_names_that_differ_only_in_case_are_not_tried_again_and_again(self, tmp_path):
        names = ["".join(letters) + ".png" for letters in product(*zip("abcdefghijkl", "ABCDEFGHIJKL", strict=True))]
        started = time.process_time()
        found = choose_overlay_paths(files(*names), tmp_path)
        assert len({str(path).casefold() for path in found.values()}) == len(names) == 4096
        assert time.process_time() - started < 10  # it took 40 s when every number was tried

    def test_overwriting_an_image_raises(self, tmp_path):
        (tmp_path / "a.jpg").write_bytes(b"precious")
        with pytest.raises(RSGNetError, match=r"would overwrite .*a\.jpg; choose another folder"):
            choose_overlay_paths([ImageFile(tmp_path / "a.jpg", "a.jpg")], tmp_path)

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])  # the overlay may have to become an .mkv
    def test_overwriting_a_clip_raises(self, name, tmp_path):
        (tmp_path / name).write_bytes(b"precious")
        with pytest.raises(RSGNetError, match=rf"would overwrite .*{name}; choose another folder"):
            choose_overlay_paths([ImageFile(tmp_path / name, name)], tmp_path)


def write(outcomes, out, overlay=True, report=lambda *_: None):
    overlays = choose_overlay_paths([file for file, _ in outcomes], out) if overlay else None
    return write_predictions(iter(outcomes), out, overlays, report, RECORD)


def test_overlays_and_results_are_written(tmp_path):
    reported = []
    first, second, third = files("a.png", "sub/b.png", "c.png")
    outcomes = [(first, poses("a.png", people=2)), (second, poses("sub/b.png")), (third, ImageError("c.png: bad"))]
    done = write(outcomes, tmp_path / "out", report=lambda file, outcome: reported.append(file))
    assert done.images == 2 and [str(error) for error in done.errors] == ["c.png: bad"]
    assert reported == [first, second, third]
    assert Image.open(tmp_path / "out" / "sub" / "b.jpg").size == (40, 30)
    results = json.loads((tmp_path / "out" / "poses.json").read_text())
    assert [result["file_name"] for result in results] == ["a.png", "a.png", "sub/b.png"] and results == done.results
    written = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert written == ["a.jpg", "b.jpg", "images.json", "poses.json", "run.json"]


def test_without_overlays(tmp_path):
    assert write([(files("a.png")[0], poses("a.png"))], tmp_path, overlay=False).overlays == []
    assert {path.name for path in tmp_path.iterdir()} == {"images.json", "poses.json", "run.json"}
    assert from_json(RunRecord, (tmp_path / "run.json").read_text(), "run.json") == RECORD


def test_an_image_without_people_gives_an_empty_list(tmp_path):
    write([(files("a.png")[0], poses("a.png", people=0))], tmp_path)
    assert json.loads((tmp_path / "poses.json").read_text()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("images", [0, 1])
def test_an_interrupted_run_keeps_the_results_of_a_finished_one(tmp_path, interruption, images):
    first, second = files("a.png", "b.png")
    write([(first, poses("a.png")), (second, poses("b.png"))], tmp_path)
    finished = {name: (tmp_path / name).read_bytes() for name in ("poses.json", "run.json")}

    def outcomes():
        yield from [(first, poses("a.png"))] * images
        raise interruption

    overlays = choose_overlay_paths([first, second], tmp_path)
    with pytest.raises(interruption):
        write_predictions(outcomes(), tmp_path, overlays, lambda *_: None, replace(RECORD, flip_test=True))
    assert {name: (tmp_path / name).read_bytes() for name in finished} == finished
    partial = tmp_path / "poses.partial.json"
    assert len(json.loads(partial.read_text())) == images
    write([(second, poses("b.png"))], tmp_path)
    assert len(json.loads((tmp_path / "poses.json").read_text())) == 1 and not partial.exists()


def test_an_image_too_large_for_jpeg_becomes_a_png(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "_LARGEST_JPEG_SIDE_PX", 39)
    assert write([(files("a.png")[0], poses("a.png"))], tmp_path).overlays == [tmp_path / "a.png"]
    assert Image.open(tmp_path / "a.png").size == (40, 30)


def test_image_ids_are_written(tmp_path):
    done = write([(files("a.png")[0], replace(poses("a.png"), image_id=12))], tmp_path)
    assert done.results[0]["image_id"] == 12


def test_record_of_a_detector(pose_network, box_network):
    pose, boxes = pose_network(), box_network([[0, 0, 9, 9]], [0.9])
    record = record_run(PoseEstimator(pose, f"onnx:{boxes}"), "owned", "nano")
    assert (record.weights.name, record.weights.sha256) == ("owned", compute_sha256(pose / "model.onnx"))
    assert (record.boxes.name, record.boxes.sha256) == ("nano", compute_sha256(boxes / "model.onnx"))
    assert (record.boxes.threshold, record.skeleton, record.flip_test) == (0.3, "coco17", False)
    assert (record.backend, record.precision) == ("onnx", "float32")


def test_record_of_a_box_file(pose_network, tmp_path):
    (tmp_path / "b.json").write_text("[]")
    record = record_run(PoseEstimator(pose_network(), f"boxes:{tmp_path / 'b.json'}"), "owned", "gt")
    assert (record.boxes.sha256, record.boxes.threshold) == (compute_sha256(tmp_path / "b.json"), None)


def test_record_of_boxes_that_another_detector_found(pose_network, box_network, tmp_path):
    (tmp_path / "boxes.json").write_text("[]")
    detector = open_detector(f"onnx:{box_network([[0, 0, 9, 9]], [0.9])}", threshold=0.05)
    estimator = PoseEstimator(pose_network(), f"boxes:{tmp_path / 'boxes.json'}")
    assert record_run(estimator, "owned", "nano", detector).boxes.threshold == 0.05


def test_a_detector_without_a_file_has_no_sha256(pose_network):
    class OwnDetector(Detector):
        def detect(self, images):
            return [Boxes.empty() for _ in images]

    assert record_run(PoseEstimator(pose_network(), OwnDetector()), "owned", "own").boxes.sha256 is None
    assert record_run(PoseEstimator(pose_network(), "full"), "owned", "full").boxes.sha256 is None


def test_record_is_read_only_beside_poses_json(pose_network, tmp_path):
    assert read_run_record(tmp_path / "poses.json") is None
    record = record_run(PoseEstimator(pose_network(), "full"), "owned", "full")
    (tmp_path / "run.json").write_text(to_json(record))
    assert read_run_record(tmp_path / "poses.json") == record and read_run_record(tmp_path / "theirs.json") is None
    (tmp_path / "run.json").write_text(json.dumps({"rsgnet": "0"}))
    with pytest.raises(RSGNetError, match=r"run\.json: not a RunRecord"):
        read_run_record(tmp_path / "poses.json")
