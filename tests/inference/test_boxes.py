import numpy as np
import pytest

from rsgnet.errors import RSGNetError
from rsgnet.inference.boxes import Boxes, Photo


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
    assert Photo(np.zeros((30, 40, 3), np.uint8)).size_wh == (40, 30)
