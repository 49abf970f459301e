import numpy as np
import pytest

from rsgnet.inference.detectors.onnx import OwnLayout, RtmdetLayout, YoloxLayout

CANVASES = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)


def test_own_takes_pixels_and_leaves_out_the_padding():
    layout = OwnLayout((96, 64))
    assert np.array_equal(layout.tensor(CANVASES), CANVASES)
    boxes = np.arange(16, dtype=np.float32).reshape(2, 2, 4)
    people = layout.people([boxes, np.float32([[0.9, 0.2], [0.4, 0.0]])])
    assert [len(scores) for _, scores in people] == [2, 1]
    assert people[1][0].tolist() == [[8, 9, 10, 11]]


def test_yolox_takes_bgr_as_it_is():
    tensor = YoloxLayout((96, 64)).tensor(CANVASES)
    assert tensor.shape == (2, 3, 64, 96) and tensor.dtype == np.float32
    assert tensor[1, 0, 5, 7] == CANVASES[1, 5, 7, 2] and tensor[1, 2, 5, 7] == CANVASES[1, 5, 7, 0]


def test_yolox_cells_become_boxes():
    # 96x64 has 12x8 cells of 8 pixels, then 6x4 of 16, then 3x2 of 32
    rows = np.zeros((1, 96 + 24 + 6, 85), np.float32)
    rows[0, 12 * 3 + 5, :6] = 0.5, 0.25, np.log(2), np.log(4), 0.9, 0.8  # cell x 5, y 3 of stride 8
    rows[0, 96 + 24 + 3 * 1 + 2, :6] = 0, 0, np.log(1), np.log(0.5), 0.5, 0.5  # cell x 2, y 1 of stride 32
    rows[0, 3, [4, 6]] = 1.0  # surely something, but of class 1
    boxes, scores = YoloxLayout((96, 64)).people([rows])[0]
    np.testing.assert_allclose(scores, [0.72, 0.25], rtol=1e-5)
    np.testing.assert_allclose(
        boxes, [[44 - 8, 26 - 16, 44 + 8, 26 + 16], [64 - 16, 32 - 8, 64 + 16, 32 + 8]], rtol=1e-5
    )


def test_yolox_suppresses_what_overlaps():
    rows = np.zeros((1, 126, 85), np.float32)
    rows[0, :2, 2:4] = np.log(10)  # two neighbouring cells, boxes of 80 pixels: they overlap by 72 / 88
    rows[0, :2, 4:6] = [[0.9, 0.9], [0.8, 0.8]]
    assert len(YoloxLayout((96, 64)).people([rows])[0][1]) == 1


def test_yolox_with_absurd_sizes_stays_finite_or_is_dropped_later():
    rows = np.full((1, 126, 85), 1e9, np.float32)
    boxes, _ = YoloxLayout((96, 64)).people([rows])[0]
    assert np.isfinite(boxes).all()


def test_rtmdet_takes_normalised_bgr():
    tensor = RtmdetLayout((96, 64)).tensor(CANVASES)
    assert tensor[0, 0, 5, 7] == pytest.approx((CANVASES[0, 5, 7, 2] - 103.53) / 57.375, abs=1e-5)
    assert tensor[0, 2, 5, 7] == pytest.approx((CANVASES[0, 5, 7, 0] - 123.675) / 58.395, abs=1e-5)


def test_rtmdet_takes_people_only():
    dets = np.float32([[[1, 2, 3, 4, 0.9], [5, 6, 7, 8, 0.8]]])
    boxes, scores = RtmdetLayout((96, 64)).people([dets, np.array([[1, 0]])])[0]
    assert boxes.tolist() == [[5, 6, 7, 8]] and scores.tolist() == pytest.approx([0.8])


def test_own_boxes_of_one_person_become_one_and_those_of_two_stay():
    boxes = np.array([[[0, 0, 20, 40], [1, 0, 20, 40], [6, 0, 26, 40], [0, 0, 0, 0]]], np.float32)
    scores = np.array([[0.9, 0.8, 0.7, 0.0]], np.float32)
    ((found, sure),) = OwnLayout((96, 64)).people([boxes, scores])
    assert found.tolist() == [[0, 0, 20, 40], [6, 0, 26, 40]]
    assert sure.tolist() == pytest.approx([0.9, 0.7])
