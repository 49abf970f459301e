import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsgnet.config_files import from_json, to_json
from rsgnet.errors import ImageError, RSGNetError
from rsgnet.files import sha256
from rsgnet.inference import predictions
from rsgnet.inference.detectors.boxes import Boxes
from rsgnet.inference.detectors.detector import open_detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import (
    BoxesOrigin,
    Origin,
    RunRecord,
    overlay_names,
    record_run,
    run_beside,
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


class TestOverlayNames:
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
    def test_each_has_its_own_below_the_folder(self, names, expected, tmp_path):
        found = overlay_names(files(*names), tmp_path)
        assert [path.relative_to(tmp_path).as_posix() for path in found.values()] == expected

    def test_a_source_is_never_replaced(self, tmp_path):
        (tmp_path / "a.jpg").write_bytes(b"precious")
        with pytest.raises(RSGNetError, match=r"would overwrite .*a\.jpg; choose another folder"):
            overlay_names([ImageFile(tmp_path / "a.jpg", "a.jpg")], tmp_path)

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])  # the overlay may have to become an .mkv
    def test_a_clip_is_never_replaced(self, name, tmp_path):
        (tmp_path / name).write_bytes(b"precious")
        with pytest.raises(RSGNetError, match=rf"would overwrite .*{name}; choose another folder"):
            overlay_names([ImageFile(tmp_path / name, name)], tmp_path)


def write(outcomes, out, overlay=True, report=lambda *_: None):
    named = overlay_names([file for file, _ in outcomes], out) if overlay else None
    return write_predictions(iter(outcomes), out, named, report, RECORD)


def test_overlays_and_results_are_written(tmp_path):
    told = []
    first, second, third = files("a.png", "sub/b.png", "c.png")
    outcomes = [(first, poses("a.png", people=2)), (second, poses("sub/b.png")), (third, ImageError("c.png: bad"))]
    done = write(outcomes, tmp_path / "out", report=lambda file, outcome: told.append(file))
    assert (
        done.images == 2 and [str(error) for error in done.errors] == ["c.png: bad"] and told == [first, second, third]
    )
    assert Image.open(tmp_path / "out" / "sub" / "b.jpg").size == (40, 30)
    results = json.loads((tmp_path / "out" / "poses.json").read_text())
    assert [result["file_name"] for result in results] == ["a.png", "a.png", "sub/b.png"] and results == done.results
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        "a.jpg",
        "b.jpg",
        "poses.json",
        "run.json",
    ]


def test_without_overlays(tmp_path):
    assert write([(files("a.png")[0], poses("a.png"))], tmp_path, overlay=False).overlays == []
    assert {path.name for path in tmp_path.iterdir()} == {"poses.json", "run.json"}
    assert from_json(RunRecord, (tmp_path / "run.json").read_text(), "run.json") == RECORD


def test_nobody_and_nothing_give_an_empty_list(tmp_path):
    write([(files("a.png")[0], poses("a.png", people=0))], tmp_path)
    assert json.loads((tmp_path / "poses.json").read_text()) == []


@pytest.mark.parametrize("broken_off_by", [KeyboardInterrupt, MemoryError])
def test_what_is_done_is_written_when_the_run_is_broken_off(tmp_path, broken_off_by):
    first, second = files("a.png", "b.png")

    def outcomes():
        yield first, poses("a.png")
        raise broken_off_by

    with pytest.raises(broken_off_by):
        write_predictions(outcomes(), tmp_path, overlay_names([first, second], tmp_path), lambda *_: None, RECORD)
    assert len(json.loads((tmp_path / "poses.json").read_text())) == 1 and (tmp_path / "a.jpg").exists()


def test_a_image_too_long_for_jpeg_becomes_a_png(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "_JPEG_LARGEST_SIDE", 39)
    assert write([(files("a.png")[0], poses("a.png"))], tmp_path).overlays == [tmp_path / "a.png"]
    assert Image.open(tmp_path / "a.png").size == (40, 30)


def test_ids_are_kept(tmp_path):
    done = write([(files("a.png")[0], replace(poses("a.png"), image_id=12))], tmp_path)
    assert done.results[0]["image_id"] == 12


def test_a_detector_is_named_with_its_weights_and_threshold(pose_network, box_network):
    pose, boxes = pose_network(), box_network([[0, 0, 9, 9]], [0.9])
    record = record_run(PoseEstimator(pose, f"onnx:{boxes}"), "owned", "nano")
    assert (record.weights.name, record.weights.sha256) == ("owned", sha256(pose / "model.onnx"))
    assert (record.boxes.name, record.boxes.sha256) == ("nano", sha256(boxes / "model.onnx"))
    assert (record.boxes.threshold, record.skeleton, record.flip_test) == (0.3, "coco17", False)
    assert (record.backend, record.precision) == ("onnx", "float32")


def test_boxes_of_a_file_are_named_with_the_file(pose_network, tmp_path):
    (tmp_path / "b.json").write_text("[]")
    record = record_run(PoseEstimator(pose_network(), f"boxes:{tmp_path / 'b.json'}"), "owned", "gt")
    assert (record.boxes.sha256, record.boxes.threshold) == (sha256(tmp_path / "b.json"), None)


def test_boxes_found_beforehand_are_named_by_what_found_them(pose_network, box_network, tmp_path):
    (tmp_path / "boxes.json").write_text("[]")
    finder = open_detector(f"onnx:{box_network([[0, 0, 9, 9]], [0.9])}", threshold=0.05)
    estimator = PoseEstimator(pose_network(), f"boxes:{tmp_path / 'boxes.json'}")
    assert record_run(estimator, "owned", "nano", finder).boxes.threshold == 0.05


def test_what_has_no_file_has_no_sha256(pose_network):
    class Own:
        def detect(self, photos):
            return [Boxes(np.zeros((0, 4)), np.zeros(0)) for _ in photos]

    assert record_run(PoseEstimator(pose_network(), Own()), "owned", "own").boxes.sha256 is None
    assert record_run(PoseEstimator(pose_network(), "full"), "owned", "full").boxes.sha256 is None


def test_the_record_is_found_beside_this_packages_results_only(pose_network, tmp_path):
    assert run_beside(tmp_path / "poses.json") is None
    record = record_run(PoseEstimator(pose_network(), "full"), "owned", "full")
    (tmp_path / "run.json").write_text(to_json(record))
    assert run_beside(tmp_path / "poses.json") == record and run_beside(tmp_path / "theirs.json") is None
    (tmp_path / "run.json").write_text(json.dumps({"rsgnet": "0"}))
    with pytest.raises(RSGNetError, match=r"run\.json: not a RunRecord"):
        run_beside(tmp_path / "poses.json")
