"""Every kind of detector is opened by its specification and finds people in image pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import SHARED

from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.geometry import box_iou, xywh_to_xyxy
from rsgnet.images import read_image
from rsgnet.inference import weights
from rsgnet.inference.detectors.box_file import BoxFileDetector
from rsgnet.inference.detectors.detector import LoadedImage, WholeImageDetector
from rsgnet.inference.detectors.formats import RsgnetFormat, RtmdetFormat, YoloxFormat
from rsgnet.inference.detectors.open_detector import open_detector

BOXES, SCORES = [[8, 8, 40, 56], [0, 0, 16, 16], [1, 1, 2, 2]], [0.9, 0.6, 0.1]


def black_image(width, height):
    return LoadedImage(np.zeros((height, width, 3), np.uint8))


class TestOwnDetector:
    def test_boxes_are_in_image_pixels(self, box_network):
        detector = open_detector(f"onnx:{box_network(BOXES, SCORES)}", threshold=0.5)
        small, wide, tall = detector.detect([black_image(64, 64), black_image(128, 64), black_image(32, 64)])
        assert small.boxes_xyxy.tolist() == BOXES[:2] and small.scores == pytest.approx([0.9, 0.6])
        assert wide.boxes_xyxy.tolist() == [[16, 16, 80, 64], [0, 0, 32, 32]]  # twice as large, clipped at the bottom
        assert tall.boxes_xyxy.tolist() == [[8, 8, 32, 56], [0, 0, 16, 16]]

    @pytest.mark.parametrize(("threshold", "people"), [(0, 3), (0.5, 2), (1, 0)])
    def test_threshold_drops_low_scores(self, box_network, threshold, people):
        detector = open_detector(f"onnx:{box_network(BOXES, SCORES)}", threshold=threshold)
        assert len(detector.detect([black_image(64, 64)])[0]) == people

    @pytest.mark.parametrize(("threshold", "people"), [(0.3, 2), (0.05, 3), (0.7, 1)])
    def test_default_threshold_is_the_configs(self, box_network, threshold, people):
        path = box_network(BOXES, SCORES)
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, "box_threshold": threshold}))
        assert len(open_detector(f"onnx:{path}").detect([black_image(64, 64)])[0]) == people

    def test_any_number_of_images_at_once(self, box_network):
        detector = open_detector(f"onnx:{box_network(BOXES, SCORES)}")
        assert detector.detect([]) == []
        assert len(detector.detect([black_image(64, 64)] * 37)) == 37

    def test_invalid_boxes_are_dropped(self, box_network):
        nan = float("nan")
        boxes = [[nan, 0, 9, 9], [9, 9, 0, 0], [200, 200, 300, 300], [5, 5, 5, 5], [0, 0, 20, 20]]
        found = open_detector(f"onnx:{box_network(boxes, [0.9] * 5)}").detect([black_image(64, 64)])[0]
        assert found.boxes_xyxy.tolist() == [[0, 0, 20, 20]]

    def test_a_lone_file_carries_its_config(self, box_network):
        detector = open_detector(f"onnx:{box_network(BOXES, SCORES, lone=True)}")
        assert detector.format == RsgnetFormat((64, 64), nms_threshold=0.6)

    @pytest.mark.parametrize("name", ["nano", "detector-nano"])
    def test_shipped_weights_are_opened_by_name(self, box_network, tmp_path, monkeypatch, name):
        box_network(BOXES, SCORES, name="detector-nano")
        monkeypatch.setattr(weights, "SHIPPED", tmp_path)
        assert len(open_detector(name).detect([black_image(64, 64)])[0]) == 2


@pytest.fixture(scope="module")
def people():
    """Twelve images of one or two large people, with their boxes."""
    images = Path(__file__).parents[3] / "data" / "images"
    labels = SHARED / "data" / "coco_people_val.json"
    if not labels.exists() or not images.is_dir():
        pytest.skip(f"{labels} or the images in {images} are absent")
    content = json.loads(labels.read_text())
    chosen = []
    for entry in content["images"]:
        labelled = [a for a in content["annotations"] if a["image_id"] == entry["id"]]
        if len(labelled) in (1, 2) and all(a["num_keypoints"] > 14 and a["area"] > 10_000 for a in labelled):
            image = LoadedImage(read_image(images / entry["file_name"]), entry["file_name"])
            chosen.append((image, xywh_to_xyxy([a["bbox"] for a in labelled])))
    return chosen[:12]


class TestPublishedDetectors:
    """Need ../shared, and the images unpacked in data/images."""

    @pytest.mark.parametrize(
        ("name", "format"),
        [
            ("yolox_nano.onnx", YoloxFormat((416, 416))),
            ("rtmdet-nano-person_e2e.onnx", RtmdetFormat((320, 320))),
        ],
    )
    def test_people_are_found(self, shared, people, name, format):
        detector = open_detector(f"onnx:{shared(f'detectors/{name}')}", threshold=0.4)
        assert detector.format == format
        found = detector.detect([image for image, _ in people])
        overlaps = np.concatenate(
            [
                box_iou(truth, boxes.boxes_xyxy).max(1, initial=0)
                for (_, truth), boxes in zip(people, found, strict=True)
            ]
        )
        assert len(overlaps) >= 10 and (overlaps > 0.5).mean() > 0.9 and np.median(overlaps) > 0.8
        assert sum(map(len, found)) < 2 * len(overlaps)

    @pytest.mark.parametrize("name", ["yolox_nano.onnx", "rtmdet-nano-person_e2e.onnx"])
    def test_black_images_of_extreme_shape(self, shared, name):
        detector = open_detector(f"onnx:{shared(f'detectors/{name}')}")
        sizes = (1, 1), (1, 5000), (5000, 1), (416, 416)
        found = detector.detect([black_image(*size) for size in sizes])
        assert len(found) == 4 and sum(map(len, found)) == 0


class TestSpecifications:
    def test_full_is_the_whole_image(self):
        assert isinstance(open_detector("full"), WholeImageDetector)

    def test_boxes_name_a_file(self, tmp_path):
        (tmp_path / "b.json").write_text("[]")
        assert isinstance(open_detector(f"boxes:{tmp_path / 'b.json'}"), BoxFileDetector)

    @pytest.mark.parametrize("spec", ["", "giant", "onnx:", "boxes:", "torchvision:", "full:x", "boxes"])
    def test_an_unknown_specification_names_the_known_ones(self, spec):
        with pytest.raises(RSGNetError, match="onnx:PATH, torchvision, boxes:PATH or full"):
            open_detector(spec)

    def test_a_pose_network_raises(self, pose_network):
        with pytest.raises(WeightsError, match="not the weights of a person detector"):
            open_detector(f"onnx:{pose_network()}")

    def test_an_onnx_file_of_unknown_format_raises(self, pose_network, tmp_path):
        onnx = pytest.importorskip("onnx")
        model = onnx.load(pose_network() / "model.onnx")
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(WeightsError, match="known format: expected YOLOX"):
            open_detector(f"onnx:{tmp_path / 'other.onnx'}")

    def test_a_missing_or_broken_file_is_named(self, tmp_path):
        (tmp_path / "broken.onnx").write_bytes(b"no network")
        for name in ("missing.onnx", "broken.onnx"):
            with pytest.raises(WeightsError, match=name):
                open_detector(f"onnx:{tmp_path / name}")


@pytest.mark.parametrize("threshold", [5, -0.1, float("nan")])
def test_a_threshold_that_no_score_can_have(threshold):
    with pytest.raises(RSGNetError, match=r"--box-threshold\) is in 0\.\.1, not"):
        open_detector("nano", threshold=threshold)
