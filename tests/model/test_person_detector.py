"""The detector's way from maps to boxes."""

import numpy as np
import torch
from scipy.special import expit as sigmoid

from rsgnet.config import DetectorConfig
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


def test_a_box_is_the_mean_of_those_about_its_peak_that_overlap_it():
    logits, sides = torch.full((1, 1, 24, 16), -99.0), torch.full((1, 4, 24, 16), 10.0)
    logits[0, 0, 10, 6], logits[0, 0, 10, 7] = 2.0, 1.0
    sides[0, :, 10, 7] = torch.tensor([14.0, 12.0, 6.0, 12.0])
    logits[0, 0, 12, 8], sides[0, :, 12, 8] = 1.5, 90.0  # somebody else, within reach
    logits[0, 0, 10, 9] = 1.9  # out of reach; its peak is lower
    boxes, _ = PersonDetector(CONFIG).find_boxes(Detections(logits, sides))
    own, beside = [16.0, 32.0, 36.0, 52.0], [16.0, 30.0, 36.0, 54.0]  # one within the other: IoU 20 / 24
    weights = np.array([sigmoid(2.0), sigmoid(1.0) * (20 / 24) ** 2])
    np.testing.assert_allclose(boxes[0, 0], np.average([own, beside], axis=0, weights=weights), rtol=1e-4)


def test_at_the_maps_edge_boxes_are_of_its_own_pixels():
    logits, sides = torch.full((1, 1, 24, 16), -99.0), torch.full((1, 4, 24, 16), 10.0)
    logits[0, 0, 0, 0], logits[0, 0, 23, 15] = 2.0, 1.0
    boxes, _ = PersonDetector(CONFIG).find_boxes(Detections(logits, sides))
    torch.testing.assert_close(boxes[0, :2], torch.tensor([[-8.0, -8, 12, 12], [52.0, 84, 72, 104]]))


def test_maps_have_a_quarter_of_the_images_size_and_positive_sides():
    found = PersonDetector(CONFIG)(torch.randn(2, 3, 96, 64))
    assert found.centre_logits.shape == (2, 1, 24, 16)
    assert found.sides.shape == (2, 4, 24, 16)
    assert found.sides.min() > 0


def test_small_maps_give_as_many_boxes_as_they_have_pixels():
    boxes, scores = PersonDetector(CONFIG).find_boxes(Detections(torch.randn(3, 1, 2, 2), torch.ones(3, 4, 2, 2)))
    assert boxes.shape == (3, 4, 4)
    assert (scores > 0).sum(1).tolist() == [1, 1, 1]  # each map is within one peak's reach
