"""The detector's way from maps to boxes."""

import torch

from rsgnet.detector_config import DetectorConfig
from rsgnet.model import Detections, PersonDetector

CONFIG = DetectorConfig(name="test", size_wh=(64, 96), max_boxes=5)


def test_boxes_stand_at_the_peaks_highest_first():
    logits, sides = torch.full((1, 1, 24, 16), -9.0), torch.zeros(1, 4, 24, 16)
    logits[0, 0, 3, 4], logits[0, 0, 20, 10], logits[0, 0, 20, 11] = 0.5, 2.0, 1.9  # the last is no peak
    sides[0, :, 3, 4] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    sides[0, :, 20, 10] = torch.tensor([10.0, 20.0, 30.0, 40.0])
    boxes, scores = PersonDetector(CONFIG).find_boxes(Detections(logits, sides))
    assert boxes.shape == (1, 5, 4)
    torch.testing.assert_close(boxes[0, 0], torch.tensor([42.0 - 10, 82.0 - 20, 42.0 + 30, 82.0 + 40]))
    torch.testing.assert_close(boxes[0, 1], torch.tensor([18.0 - 1, 14.0 - 2, 18.0 + 3, 14.0 + 4]))
    torch.testing.assert_close(scores[0, :2], torch.tensor([2.0, 0.5]).sigmoid())
    assert scores[0, 2:].max() < 1e-3


def test_people_whose_boxes_overlap_are_both_kept():
    logits, sides = torch.full((1, 1, 24, 16), -9.0), torch.full((1, 4, 24, 16), 30.0)
    logits[0, 0, 10, 6], logits[0, 0, 10, 8] = 2.0, 1.0
    _, scores = PersonDetector(CONFIG).find_boxes(Detections(logits, sides))
    assert (scores[0] > 0.5).sum() == 2


def test_maps_have_a_quarter_of_the_pictures_size_and_positive_sides():
    found = PersonDetector(CONFIG)(torch.randn(2, 3, 96, 64))
    assert found.centre_logits.shape == (2, 1, 24, 16)
    assert found.sides.shape == (2, 4, 24, 16)
    assert found.sides.min() > 0


def test_small_maps_give_as_many_boxes_as_they_have_pixels():
    boxes, scores = PersonDetector(CONFIG).find_boxes(Detections(torch.randn(3, 1, 2, 2), torch.ones(3, 4, 2, 2)))
    assert boxes.shape == (3, 4, 4)
    assert (scores > 0).sum(1).tolist() == [1, 1, 1]  # each map is within one peak's reach
