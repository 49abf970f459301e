"""What each kind of detector is fed, and how its outputs are read."""

import numpy as np
import pytest

from rsgnet.inference.detectors.formats import (
    DfineFormat,
    PicodetFormat,
    RfdetrFormat,
    RsgnetFormat,
    RtmdetFormat,
    YoloxEndToEndFormat,
    YoloxFormat,
)

CANVASES = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)


class TestRsgnetFormat:
    def test_input_is_pixels_and_hopeless_boxes_are_dropped(self):
        format = RsgnetFormat((96, 64), nms_threshold=0.6)
        assert np.array_equal(format.prepare_input(CANVASES), CANVASES)
        boxes = np.arange(16, dtype=np.float32).reshape(2, 2, 4)
        people = format.read_people([boxes, np.float32([[0.9, 0.2], [0.4, 0.0]])])
        assert [len(scores) for _, scores in people] == [2, 1]
        assert people[1][0].tolist() == [[8, 9, 10, 11]]

    def test_duplicates_are_dropped_and_two_people_stay(self):
        boxes = np.array([[[0, 0, 20, 40], [1, 0, 20, 40], [6, 0, 26, 40], [0, 0, 0, 0]]], np.float32)
        scores = np.array([[0.9, 0.8, 0.7, 0.0]], np.float32)
        ((found_boxes, found_scores),) = RsgnetFormat((96, 64), nms_threshold=0.6).read_people([boxes, scores])
        assert found_boxes.tolist() == [[0, 0, 20, 40], [6, 0, 26, 40]]
        assert found_scores.tolist() == pytest.approx([0.9, 0.7])


class TestYoloxFormat:
    def test_input_is_bgr(self):
        tensor = YoloxFormat((96, 64)).prepare_input(CANVASES)
        assert tensor.shape == (2, 3, 64, 96) and tensor.dtype == np.float32
        assert tensor[1, 0, 5, 7] == CANVASES[1, 5, 7, 2] and tensor[1, 2, 5, 7] == CANVASES[1, 5, 7, 0]

    def test_cells_become_boxes(self):
        # 96x64 has 12x8 cells of 8 pixels, then 6x4 of 16, then 3x2 of 32
        rows = np.zeros((1, 96 + 24 + 6, 85), np.float32)
        rows[0, 12 * 3 + 5, :6] = 0.5, 0.25, np.log(2), np.log(4), 0.9, 0.8  # cell x 5, y 3 of stride 8
        rows[0, 96 + 24 + 3 * 1 + 2, :6] = 0, 0, np.log(1), np.log(0.5), 0.5, 0.5  # cell x 2, y 1 of stride 32
        rows[0, 3, [4, 6]] = 1.0  # an object of class 1
        boxes, scores = YoloxFormat((96, 64)).read_people([rows])[0]
        np.testing.assert_allclose(scores, [0.72, 0.25], rtol=1e-5)
        expected = [[44 - 8, 26 - 16, 44 + 8, 26 + 16], [64 - 16, 32 - 8, 64 + 16, 32 + 8]]
        np.testing.assert_allclose(boxes, expected, rtol=1e-5)

    def test_overlapping_boxes_are_suppressed(self):
        rows = np.zeros((1, 126, 85), np.float32)
        rows[0, :2, 2:4] = np.log(10)  # two neighbouring cells, boxes of 80 pixels: they overlap by 72 / 88
        rows[0, :2, 4:6] = [[0.9, 0.9], [0.8, 0.8]]
        assert len(YoloxFormat((96, 64)).read_people([rows])[0][1]) == 1

    def test_huge_sizes_stay_finite(self):
        rows = np.full((1, 126, 85), 1e9, np.float32)
        boxes, _ = YoloxFormat((96, 64)).read_people([rows])[0]
        assert np.isfinite(boxes).all()


class TestRtmdetFormat:
    def test_input_is_normalised_bgr(self):
        tensor = RtmdetFormat((96, 64)).prepare_input(CANVASES)
        assert tensor[0, 0, 5, 7] == pytest.approx((CANVASES[0, 5, 7, 2] - 103.53) / 57.375, abs=1e-5)
        assert tensor[0, 2, 5, 7] == pytest.approx((CANVASES[0, 5, 7, 0] - 123.675) / 58.395, abs=1e-5)

    def test_only_people_are_read(self):
        detections = np.float32([[[1, 2, 3, 4, 0.9], [5, 6, 7, 8, 0.8]]])
        boxes, scores = RtmdetFormat((96, 64)).read_people([detections, np.array([[1, 0]])])[0]
        assert boxes.tolist() == [[5, 6, 7, 8]] and scores.tolist() == pytest.approx([0.8])


def test_yolox_end_to_end_gets_pixels_and_rtmdet_gets_them_normalised():
    tensor = YoloxEndToEndFormat((96, 64)).prepare_input(CANVASES)
    assert tensor[0, 0, 5, 7] == CANVASES[0, 5, 7, 2] and tensor[0, 2, 5, 7] == CANVASES[0, 5, 7, 0]
    detections = np.float32([[[1, 2, 3, 4, 0.9], [5, 6, 7, 8, 0.8]]])
    boxes, scores = YoloxEndToEndFormat((96, 64)).read_people([detections, np.array([[0, 7]])])[0]
    assert boxes.tolist() == [[1, 2, 3, 4]] and scores.tolist() == pytest.approx([0.9])


def test_dfine():
    format = DfineFormat((96, 64))
    tensor = format.prepare_input(CANVASES)
    assert tensor[1, 0, 5, 7] == np.float32(CANVASES[1, 5, 7, 0]) / np.float32(255)
    sizes = format.other_inputs(2)["orig_target_sizes"]
    assert sizes.tolist() == [[96, 64], [96, 64]] and sizes.dtype == np.int64
    boxes = np.float32([[[1, 2, 3, 4], [5, 6, 7, 8]]])
    ((found, scores),) = format.read_people([np.array([[2, 0]]), boxes, np.float32([[0.9, 0.5]])])
    assert found.tolist() == [[5, 6, 7, 8]] and scores.tolist() == [0.5]


@pytest.mark.parametrize(("classes", "column"), [(91, 1), (2, 0), (1, 0)])
def test_rfdetr(classes, column):
    format = RfdetrFormat((96, 64))
    tensor = format.prepare_input(CANVASES)
    assert tensor[0, 2, 5, 7] == pytest.approx((CANVASES[0, 5, 7, 2] / 255 - 0.406) / 0.225, abs=1e-5)
    logits = np.full((1, 1, classes), -3, np.float32)
    logits[0, 0, column] = np.log(4)
    ((boxes, scores),) = format.read_people([np.float32([[[0.5, 0.25, 0.5, 0.5]]]), logits])
    np.testing.assert_allclose(boxes, [[24, 0, 72, 32]])
    np.testing.assert_allclose(scores, [0.8], rtol=1e-6)


def test_picodet():
    format = PicodetFormat((96, 64))
    assert format.other_inputs(2)["scale_factor"].tolist() == [[1, 1], [1, 1]]
    rows = np.float32([[0, 0.9, 1, 2, 3, 4], [5, 0.8, 0, 0, 9, 9], [0, 0.7, 5, 6, 7, 8]])
    first, second = format.read_people([rows, np.array([2, 1])])
    assert first[0].tolist() == [[1, 2, 3, 4]] and second[0].tolist() == [[5, 6, 7, 8]]
    assert second[1].tolist() == pytest.approx([0.7])
    assert [len(scores) for _, scores in format.read_people([rows[:0], np.array([0])])] == [0]
