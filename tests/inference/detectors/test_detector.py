import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import SHARED

from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.geometry import box_iou, xywh_to_xyxy
from rsgnet.images import read_image
from rsgnet.inference import weights
from rsgnet.inference.detectors.box_file import FileBoxes
from rsgnet.inference.detectors.boxes import Boxes, LoadedImage, WholeImage
from rsgnet.inference.detectors.detector import open_detector
from rsgnet.inference.detectors.onnx import OwnLayout, RtmdetLayout, YoloxLayout


@pytest.mark.parametrize(
    ("box", "score", "expected"),
    [
        ([10, 10, 50, 60], 0.5, [10, 10, 50, 60]),
        ([-10, -5, 50, 60], 0.5, [0, 0, 50, 60]),
        ([90, 70, 500, 600], 0.5, [90, 70, 100, 80]),
        ([-1e9, -1e9, 1e9, 1e9], 0.5, [0, 0, 100, 80]),
        ([200, 10, 250, 60], 0.5, None),
        ([-50, -60, -10, -10], 0.5, None),
        ([10, 10, 10, 60], 0.5, None),
        ([50, 10, 10, 60], 0.5, None),
        ([10, 10, 10.5, 60], 0.5, None),
        ([np.nan, 10, 50, 60], 0.5, None),
        ([10, 10, np.inf, 60], 0.5, None),
        ([10, 10, 50, 60], np.nan, None),
    ],
    ids=str,
)
def test_boxes_are_clipped_or_dropped(box, score, expected):
    inside = Boxes(np.array([box], float), np.array([score]), image_id=3).inside((100, 80))
    assert inside.boxes_xyxy.tolist() == ([expected] if expected else []) and inside.image_id == 3


def test_those_that_stay_keep_their_order_and_scores():
    boxes = Boxes(np.array([[0, 0, 9, 9], [np.nan] * 4, [5, 5, 50, 50]]), np.array([0.1, 0.9, 0.3]))
    assert boxes.inside((20, 20)).scores.tolist() == [0.1, 0.3]


def test_a_image_of_one_pixel_has_room_for_a_box():
    assert len(Boxes(np.array([[0.0, 0, 1, 1]]), np.ones(1)).inside((1, 1))) == 1


@pytest.mark.parametrize(("boxes", "scores"), [((2, 4), (3,)), ((2, 5), (2,)), ((4,), (4,)), ((2, 4), (2, 1))])
def test_shapes_must_agree(boxes, scores):
    with pytest.raises(RSGNetError, match="shape"):
        Boxes(np.zeros(boxes), np.zeros(scores))


def test_none_and_sizes():
    assert len(Boxes.none()) == 0 and len(Boxes.none().inside((5, 5))) == 0
    assert LoadedImage(np.zeros((30, 40, 3), np.uint8)).size_wh == (40, 30)


BOXES, SCORES = [[8, 8, 40, 56], [0, 0, 16, 16], [1, 1, 2, 2]], [0.9, 0.6, 0.1]


def photo(width, height):
    return LoadedImage(np.zeros((height, width, 3), np.uint8))


class TestOwnDetector:
    def test_boxes_come_back_in_image_pixels(self, box_network):
        detector = open_detector(f"onnx:{box_network(BOXES, SCORES)}", threshold=0.5)
        small, wide, tall = detector.detect([photo(64, 64), photo(128, 64), photo(32, 64)])
        assert small.boxes_xyxy.tolist() == BOXES[:2] and small.scores == pytest.approx([0.9, 0.6])
        assert wide.boxes_xyxy.tolist() == [[16, 16, 80, 64], [0, 0, 32, 32]]  # twice as large, clipped at the bottom
        assert tall.boxes_xyxy.tolist() == [[8, 8, 32, 56], [0, 0, 16, 16]]

    def test_the_threshold_drops_the_unsure(self, box_network):
        path = box_network(BOXES, SCORES)
        assert [len(open_detector(f"onnx:{path}", threshold=t).detect([photo(64, 64)])[0]) for t in (0, 0.5, 1)] == [
            3,
            2,
            0,
        ]

    @pytest.mark.parametrize(("says", "people"), [(0.3, 2), (0.05, 3), (0.7, 1)])
    def test_where_nobody_asks_the_networks_own_threshold_holds(self, box_network, says, people):
        path = box_network(BOXES, SCORES)
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, "box_threshold": says}))
        assert len(open_detector(f"onnx:{path}").detect([photo(64, 64)])[0]) == people

    def test_any_number_of_images_at_once(self, box_network):
        detector = open_detector(f"onnx:{box_network(BOXES, SCORES)}")
        assert detector.detect([]) == []
        assert len(detector.detect([photo(64, 64)] * 37)) == 37

    def test_boxes_that_are_no_boxes_are_dropped(self, box_network):
        nan = float("nan")
        boxes = [[nan, 0, 9, 9], [9, 9, 0, 0], [200, 200, 300, 300], [5, 5, 5, 5], [0, 0, 20, 20]]
        found = open_detector(f"onnx:{box_network(boxes, [0.9] * 5)}").detect([photo(64, 64)])[0]
        assert found.boxes_xyxy.tolist() == [[0, 0, 20, 20]]

    def test_a_lone_file_carries_its_config(self, box_network):
        detector = open_detector(f"onnx:{box_network(BOXES, SCORES, lone=True)}")
        assert detector.layout == OwnLayout((64, 64))

    def test_the_shipped_one_has_a_name(self, box_network, tmp_path, monkeypatch):
        box_network(BOXES, SCORES, name="detector-nano")
        monkeypatch.setattr(weights, "SHIPPED", tmp_path)
        assert len(open_detector("nano").detect([photo(64, 64)])[0]) == 2


@pytest.fixture(scope="module")
def people():
    images = Path(__file__).parents[2] / "data" / "images"
    labels = SHARED / "data" / "coco_people_val.json"
    if not labels.exists() or not images.is_dir():
        pytest.skip(f"{labels} or the images in {images} are absent")
    content = json.loads(labels.read_text())
    chosen = []
    for image in content["images"]:
        own = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        if len(own) in (1, 2) and all(a["num_keypoints"] > 14 and a["area"] > 10_000 for a in own):
            photo = LoadedImage(read_image(images / image["file_name"]), image["file_name"])
            chosen.append((photo, xywh_to_xyxy([a["bbox"] for a in own])))
    return chosen[:12]


class TestPublishedDetectors:
    """Both see people where people are. Needs ../shared and the images unpacked in data/images."""

    @pytest.mark.parametrize(
        ("name", "layout"),
        [
            ("yolox_nano.onnx", YoloxLayout((416, 416))),
            ("rtmdet-nano-person_e2e.onnx", RtmdetLayout((320, 320))),
        ],
    )
    def test_find_them(self, shared, people, name, layout):
        detector = open_detector(f"onnx:{shared(f'detectors/{name}')}", threshold=0.4)
        assert detector.layout == layout
        found = detector.detect([photo for photo, _ in people])
        overlaps = np.concatenate(
            [
                box_iou(truth, boxes.boxes_xyxy).max(1, initial=0)
                for (_, truth), boxes in zip(people, found, strict=True)
            ]
        )
        assert len(overlaps) >= 10 and (overlaps > 0.5).mean() > 0.9 and np.median(overlaps) > 0.8
        assert sum(map(len, found)) < 2 * len(overlaps)

    @pytest.mark.parametrize("name", ["yolox_nano.onnx", "rtmdet-nano-person_e2e.onnx"])
    def test_extreme_images(self, shared, name):
        detector = open_detector(f"onnx:{shared(f'detectors/{name}')}")
        found = detector.detect([photo(1, 1), photo(1, 5000), photo(5000, 1), photo(416, 416)])
        assert len(found) == 4 and sum(map(len, found)) == 0


class TestSpecifications:
    def test_full_is_one_person_a_image(self):
        found = WholeImage().detect([photo(30, 20), photo(1, 1)])
        assert [boxes.boxes_xyxy.tolist() for boxes in found] == [[[0, 0, 30, 20]], [[0, 0, 1, 1]]]
        assert isinstance(open_detector("full"), WholeImage)

    def test_boxes_name_a_file(self, tmp_path):
        (tmp_path / "b.json").write_text("[]")
        assert isinstance(open_detector(f"boxes:{tmp_path / 'b.json'}"), FileBoxes)

    @pytest.mark.parametrize("spec", ["", "giant", "onnx:", "boxes:", "torchvision:", "full:x", "boxes"])
    def test_what_is_no_detector_is_told_what_is(self, spec):
        with pytest.raises(RSGNetError, match="onnx:PATH, torchvision, boxes:PATH or full"):
            open_detector(spec)

    def test_a_pose_network_is_no_detector(self, pose_network):
        with pytest.raises(WeightsError, match="not the weights of a person detector"):
            open_detector(f"onnx:{pose_network()}")

    def test_another_onnx_network_is_no_detector(self, pose_network, tmp_path):
        onnx = pytest.importorskip("onnx")
        model = onnx.load(pose_network() / "model.onnx")
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(WeightsError, match="known layout: expected YOLOX"):
            open_detector(f"onnx:{tmp_path / 'other.onnx'}")

    def test_a_missing_or_broken_file(self, tmp_path):
        (tmp_path / "broken.onnx").write_bytes(b"no network")
        for name in ("missing.onnx", "broken.onnx"):
            with pytest.raises(WeightsError, match=name):
                open_detector(f"onnx:{tmp_path / name}")


class TestTorchvision:
    def test_without_torchvision(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "torchvision", None)
        monkeypatch.setitem(sys.modules, "torchvision.models", None)
        with pytest.raises(RSGNetError, match=r"pip install 'rsgnet\[train\]'"):
            open_detector("torchvision")

    def test_no_such_model(self):
        with pytest.raises(RSGNetError, match="fasterrcnn_resnet50_fpn_v2"):
            open_detector("torchvision:yolo")

    def test_without_a_network(self, monkeypatch):
        detection = pytest.importorskip("torchvision.models.detection")

        def offline(**_):
            raise OSError("<urlopen error Name or service not known>")

        monkeypatch.setattr(detection, "fasterrcnn_mobilenet_v3_large_fpn", offline)
        with pytest.raises(RSGNetError, match=r"could not be fetched .*Name or service not known"):
            open_detector("torchvision")

    def test_people_only_in_image_pixels(self, monkeypatch):
        torch = pytest.importorskip("torch")
        detection = pytest.importorskip("torchvision.models.detection")
        seen = []

        class Network(torch.nn.Module):
            def forward(self, images):
                seen.append(images[0])
                boxes = torch.tensor([[1.0, 2, 30, 40], [5, 5, 9, 9], [0, 0, 500, 500], [3, 3, 4, 9]])
                return [
                    {
                        "boxes": boxes,
                        "labels": torch.tensor([1, 18, 1, 1]),
                        "scores": torch.tensor([0.9, 0.9, 0.5, 0.1]),
                    }
                ]

        monkeypatch.setattr(detection, "fasterrcnn_resnet50_fpn_v2", lambda **_: Network())
        pixels = np.full((60, 80, 3), 51, np.uint8)
        found = open_detector("torchvision:fasterrcnn_resnet50_fpn_v2", "cpu", 0.4).detect([LoadedImage(pixels)])[0]
        assert seen[0].shape == (3, 60, 80) and seen[0].mean().item() == pytest.approx(0.2)
        assert found.boxes_xyxy.tolist() == [[1, 2, 30, 40], [0, 0, 80, 60]]
