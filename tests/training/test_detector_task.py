"""The detector's labels and losses."""

import pytest
import torch

from rsgnet.config import DetectorConfig
from rsgnet.data.detection import DetectionSample
from rsgnet.model import Detections, PersonDetector
from rsgnet.training.detector_task import box_loss, centre_loss, make_labels

NAN = torch.nan


def batch():
    return DetectionSample(
        image=torch.zeros(1, 64, 48, 3, dtype=torch.uint8),
        boxes_xyxy=torch.tensor([[[4.0, 8, 20, 40], [18, 6, 42, 46], [NAN] * 4]]),
        ignored_xyxy=torch.tensor([[[30.0, 44, 48, 64], [NAN] * 4, [NAN] * 4]]),
    )


def test_every_person_has_one_centre_pixel():
    labels = make_labels(batch(), stride=4)
    assert labels.at_centre.nonzero().tolist() == [[0, 6, 3], [0, 6, 7]]  # (12, 24) and (30, 26) over 4
    assert labels.centres[0, 6, 3] == labels.centres[0, 6, 7] == 1
    assert labels.boxes_xyxy[0, 6, 3].tolist() == [4, 8, 20, 40]
    assert labels.boxes_xyxy[0, 6, 7].tolist() == [18, 6, 42, 46]


def test_ignored_boxes_count_for_nothing():
    labels = make_labels(batch(), stride=4)
    assert not labels.counted[0, 12:, 8:].any()
    assert labels.counted[0, :11, :7].all()


def perfect(labels):
    logits = torch.where(labels.at_centre, 20.0, -20.0)[:, None]
    rows, columns = torch.meshgrid(torch.arange(16) * 4 + 2.0, torch.arange(12) * 4 + 2.0, indexing="ij")
    left, top, right, bottom = labels.boxes_xyxy.unbind(-1)
    sides = torch.stack([columns - left, rows - top, right - columns, bottom - rows], 1)
    return Detections(logits, sides)


def test_a_perfect_detector_loses_nothing_and_finds_the_boxes():
    labels = make_labels(batch(), stride=4)
    found = perfect(labels)
    assert centre_loss(found, labels).item() == pytest.approx(0, abs=1e-6)
    assert box_loss(found, labels, 4).item() == pytest.approx(0, abs=1e-6)
    boxes, scores = PersonDetector(DetectorConfig("test", size_wh=(48, 64), max_boxes=4)).find_boxes(found)
    assert sorted(boxes[0, scores[0] > 0.5].tolist()) == [[4, 8, 20, 40], [18, 6, 42, 46]]


@pytest.mark.parametrize(("logit", "place"), [(-3.0, (6, 3)), (3.0, (1, 10))])
def test_missed_people_and_false_alarms_cost(logit, place):
    labels = make_labels(batch(), stride=4)
    found = perfect(labels)
    found.centre_logits[0, 0, place[0], place[1]] = logit
    assert centre_loss(found, labels) > 0.5


def test_everyones_box_counts_alike():
    boxes = torch.tensor([[[0.0, 0, 6, 6], [8, 8, 48, 64]]])
    labels = make_labels(DetectionSample(batch().image, boxes, torch.full((1, 1, 4), NAN)), stride=4)
    owned = [(labels.boxes_xyxy == box).all(-1) for box in boxes[0]]
    spread = [pixels[labels.centres > 0.25].sum().item() for pixels in owned]
    assert spread[1] > 8 * spread[0]
    for pixels in owned:
        found = perfect(labels)
        shrunk = torch.where(pixels[:, None], 0.0, found.sides)
        loss = box_loss(Detections(found.centre_logits, shrunk), labels, 4)
        assert loss.item() == pytest.approx(0.5, abs=0.01)  # boxes without an area lose 1, the other person 0


def test_a_image_without_people_has_no_box_loss():
    empty = DetectionSample(batch().image, torch.full((1, 3, 4), NAN), torch.full((1, 3, 4), NAN))
    labels = make_labels(empty, 4)
    found = Detections(torch.zeros(1, 1, 16, 12), torch.ones(1, 4, 16, 12, requires_grad=True))
    assert box_loss(found, labels, 4) == 0
    assert centre_loss(found, labels).isfinite()
