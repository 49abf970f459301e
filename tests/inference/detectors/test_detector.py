"""Boxes are clipped to the image, and those that are none are dropped."""

import numpy as np
import pytest

from rsgnet.errors import RSGNetError
from rsgnet.inference.detectors.detector import Boxes, LoadedImage, WholeImageDetector


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
    clipped = Boxes(np.array([box], float), np.array([score]), image_id=3).clip_to((100, 80))
    assert clipped.boxes_xyxy.tolist() == ([expected] if expected else []) and clipped.image_id == 3


def test_clipping_keeps_order_and_scores():
    boxes = Boxes(np.array([[0, 0, 9, 9], [np.nan] * 4, [5, 5, 50, 50]]), np.array([0.1, 0.9, 0.3]))
    assert boxes.clip_to((20, 20)).scores.tolist() == [0.1, 0.3]


def test_an_image_of_one_pixel_can_hold_a_box():
    assert len(Boxes(np.array([[0.0, 0, 1, 1]]), np.ones(1)).clip_to((1, 1))) == 1


@pytest.mark.parametrize(("boxes", "scores"), [((2, 4), (3,)), ((2, 5), (2,)), ((4,), (4,)), ((2, 4), (2, 1))])
def test_shapes_must_agree(boxes, scores):
    with pytest.raises(RSGNetError, match="shape"):
        Boxes(np.zeros(boxes), np.zeros(scores))


def test_empty_boxes_and_image_sizes():
    assert len(Boxes.empty()) == 0 and len(Boxes.empty().clip_to((5, 5))) == 0
    assert LoadedImage(np.zeros((30, 40, 3), np.uint8)).size_wh == (40, 30)


def test_whole_image_is_one_box():
    images = [LoadedImage(np.zeros((height, width, 3), np.uint8)) for width, height in ((30, 20), (1, 1))]
    found = WholeImageDetector().detect(images)
    assert [boxes.boxes_xyxy.tolist() for boxes in found] == [[[0, 0, 30, 20]], [[0, 0, 1, 1]]]
