"""RTMDet: the order of its cells, its boxes, and equality with the published network."""

import numpy as np
import pytest
import torch

from rsgnet.config import DetectorConfig
from rsgnet.errors import RSGNetError
from rsgnet.model import Detections, PersonDetector
from rsgnet.model.person_detector import STRIDES, compute_cell_xy
from rsgnet.pretrained import start_detector

CONFIG = DetectorConfig(name="test", width_multiple=0.125, size_wh=(64, 96), max_boxes=5)
NUMBER_OF_CELLS = sum((96 // stride) * (64 // stride) for stride in STRIDES)


def test_cells_stand_at_multiples_of_the_stride_row_by_row():
    assert compute_cell_xy((2, 3), 8, torch.device("cpu")).tolist() == [
        [0, 0],
        [8, 0],
        [16, 0],
        [0, 8],
        [8, 8],
        [16, 8],
    ]


def test_a_box_reaches_from_its_cell_by_the_sides_in_strides(monkeypatch):
    detector = PersonDetector(CONFIG)
    sides = torch.zeros(1, 4, 12, 8)
    sides[0, :, 3, 2] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    empty = [(torch.zeros(1, 1, 96 // s, 64 // s), torch.zeros(1, 4, 96 // s, 64 // s)) for s in STRIDES[1:]]
    monkeypatch.setattr(detector.rtmdet, "forward", lambda images: [(torch.zeros(1, 1, 12, 8), sides), *empty])
    found = detector(torch.zeros(1, 3, 96, 64))
    assert found.boxes_xyxy[0, 3 * 8 + 2].tolist() == [16 - 8, 24 - 16, 16 + 24, 24 + 32]


def test_every_cell_of_the_three_grids_has_a_prediction():
    found = PersonDetector(CONFIG)(torch.randn(2, 3, 96, 64))
    assert found.logits.shape == (2, NUMBER_OF_CELLS)
    assert found.boxes_xyxy.shape == (2, NUMBER_OF_CELLS, 4)


def test_scores_are_low_before_training():
    assert PersonDetector(CONFIG)(torch.randn(1, 3, 96, 64)).logits.sigmoid().max() < 0.1


def test_the_best_boxes_come_highest_score_first():
    logits = torch.tensor([[-1.0, 3, 0, 2, -2, 1, -3]])
    boxes = torch.arange(28.0).reshape(1, 7, 4)
    found, scores = PersonDetector(CONFIG).find_boxes(Detections(logits, boxes))
    torch.testing.assert_close(scores, torch.tensor([[3.0, 2, 1, 0, -1]]).sigmoid())
    assert found[0, :, 0].tolist() == [4, 12, 20, 8, 0]


def test_small_grids_give_as_many_boxes_as_they_have_cells():
    boxes, scores = PersonDetector(CONFIG).find_boxes(Detections(torch.randn(3, 4), torch.ones(3, 4, 4)))
    assert boxes.shape == (3, 4, 4)
    assert scores.shape == (3, 4)


def test_gradients_reach_every_weight():
    detector = PersonDetector(CONFIG)
    found = detector(torch.randn(2, 3, 96, 64))
    (found.logits.sum() + found.boxes_xyxy.square().sum()).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in detector.parameters())


@pytest.mark.parametrize("size_wh", [(0, 64), (64, 50), (16, 64), (64, 16384)])
def test_input_sizes_that_are_no_multiples_of_32_are_refused(size_wh):
    with pytest.raises(RSGNetError, match="multiples of 32"):
        DetectorConfig("test", size_wh=size_wh)


def test_it_is_the_published_network(shared):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = shared("detectors/rtmdet-nano-person_e2e.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    detector = PersonDetector(DetectorConfig("nano", size_wh=(320, 320))).eval()
    assert sum(weight.numel() for weight in detector.parameters()) < 1e6
    torch.manual_seed(0)
    images = torch.randn(8, 3, 320, 320)
    start_detector(detector, path, images)
    with torch.no_grad():
        boxes, scores = detector.find_boxes(detector(images[:1]))
    given, _ = session.run(["dets", "labels"], {session.get_inputs()[0].name: images[:1].flip(1).numpy()})
    published = given[0][given[0][:, 4] > 0]
    assert len(published) >= 5
    for *box, score in published[:5]:
        closest = np.abs(boxes[0].numpy() - box).max(-1).argmin()
        np.testing.assert_allclose(boxes[0, closest], box, atol=0.05)
        np.testing.assert_allclose(scores[0, closest], score, atol=1e-4)
