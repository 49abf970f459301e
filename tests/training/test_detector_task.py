"""The assignment of cells to people, and the losses of the detector."""

import math

import pytest
import torch

from rsgnet.data.detection import DetectionSample
from rsgnet.model import Detections
from rsgnet.training.detector_task import Cells, assign_cells, detector_losses, quality_focal_loss

NAN = torch.nan
SIZE_HW = (64, 96)
LEFT, RIGHT = [4.0, 4, 36, 60], [40.0, 8, 92, 56]


def cells():
    return Cells.of_image(*SIZE_HW, torch.device("cpu"))


def batch(*people, ignored=()):
    def padded(boxes):
        return torch.tensor([[*boxes, *[[NAN] * 4] * (4 - len(boxes))]])

    return DetectionSample(torch.zeros(1, *SIZE_HW, 3, dtype=torch.uint8), padded(people), padded(ignored))


def predictions(*people, logit=4.0):
    """Every cell predicts the person whose box it lies in, the last named where it lies in several."""
    xy = cells().xy
    boxes, logits = torch.cat([xy - 4, xy + 4], -1), torch.full((len(xy),), -9.0)
    for person in people:
        inside = ((xy > torch.tensor(person[:2])) & (xy < torch.tensor(person[2:]))).all(-1)
        boxes[inside], logits[inside] = torch.tensor(person), logit
    return Detections(logits[None].clone(), boxes[None].clone())


def test_cells_of_an_image_are_those_of_its_three_grids():
    found = cells()
    assert len(found.xy) == 8 * 12 + 4 * 6 + 2 * 3
    assert found.strides.unique().tolist() == [8, 16, 32]


def test_each_person_has_the_cells_that_predict_it_best():
    people = torch.tensor([LEFT, RIGHT])
    found = predictions(LEFT, RIGHT)
    owner = assign_cells(found.logits[0], found.boxes_xyxy[0], people, cells())
    for person in (0, 1):
        own = owner == person
        assert 10 <= own.sum() <= 13  # as many as the overlaps of the best 13 sum to
        xy = cells().xy[own]
        assert (xy > people[person, :2]).all() and (xy < people[person, 2:]).all()
    assert (owner == -1).sum() == len(owner) - (owner >= 0).sum()


def test_a_cell_of_several_people_is_assigned_to_the_one_of_lowest_cost():
    inner = [30.0, 20, 60, 50]
    outer = [20.0, 10, 70, 60]
    found = predictions(outer, inner)
    owner = assign_cells(found.logits[0], found.boxes_xyxy[0], torch.tensor([outer, inner]), cells())
    predicts_inner = (found.boxes_xyxy[0] == torch.tensor(inner)).all(-1)
    assert (owner[predicts_inner & (owner >= 0)] == 1).all()
    assert (owner == 0).any()


def test_a_person_whom_no_cell_predicts_has_one_cell():
    poor = predictions()
    owner = assign_cells(poor.logits[0], poor.boxes_xyxy[0], torch.tensor([LEFT]), cells())
    assert (owner == 0).sum() == 1


def test_without_people_or_cells_in_boxes_none_are_assigned():
    found = predictions()
    for people in (torch.zeros(0, 4), torch.tensor([[1.0, 1, 3, 3]])):
        assert (assign_cells(found.logits[0], found.boxes_xyxy[0], people, cells()) == -1).all()


def test_the_score_loss_by_hand():
    loss = quality_focal_loss(torch.tensor([0.0, 2.0]), torch.tensor([0.8, 0.0]))
    likely = 1 / (1 + math.exp(-2.0))
    assert loss[0].item() == pytest.approx((0.8 - 0.5) ** 2 * math.log(2))
    assert loss[1].item() == pytest.approx(-(likely**2) * math.log(1 - likely), rel=1e-5)


def test_losses_are_zero_for_perfect_predictions_and_not_for_missed_people():
    found = predictions(LEFT, RIGHT)
    owner = assign_cells(found.logits[0], found.boxes_xyxy[0], torch.tensor([LEFT, RIGHT]), cells())
    perfect = Detections(torch.where(owner >= 0, 16.0, -16.0)[None], found.boxes_xyxy)
    assert [loss.item() for loss in detector_losses(perfect, batch(LEFT, RIGHT))] == pytest.approx([0, 0], abs=1e-4)
    missed = Detections(torch.where(owner == 0, 16.0, -16.0)[None], found.boxes_xyxy)
    score, _ = detector_losses(missed, batch(LEFT, RIGHT))
    assert score > 1


def test_false_positives_count_except_in_ignored_boxes():
    found = predictions(LEFT, RIGHT)
    owner = assign_cells(found.logits[0], found.boxes_xyxy[0], torch.tensor([LEFT, RIGHT]), cells())
    both = Detections(torch.where(owner >= 0, 16.0, -16.0)[None], found.boxes_xyxy)
    alone, _ = detector_losses(both, batch(LEFT))
    beside_a_group, _ = detector_losses(both, batch(LEFT, ignored=[RIGHT]))
    assert alone > 1 and beside_a_group < 1e-3


def test_an_image_without_people_has_no_box_loss_and_finite_gradients():
    found = predictions(LEFT)
    found.logits.requires_grad_()
    found.boxes_xyxy.requires_grad_()
    score, box = detector_losses(found, batch())
    assert box == 0 and score > 0
    score.backward()
    assert found.logits.grad.isfinite().all()


def test_gradients_move_boxes_and_scores_towards_people():
    found = predictions([6.0, 6, 34, 58])
    found.logits.requires_grad_()
    found.boxes_xyxy.requires_grad_()
    score, box = detector_losses(found, batch(LEFT))
    (score + box).backward()
    moved = found.boxes_xyxy.detach() - found.boxes_xyxy.grad
    owner = assign_cells(found.logits[0].detach(), found.boxes_xyxy[0].detach(), torch.tensor([LEFT]), cells()) == 0
    target = torch.tensor(LEFT)
    before = (found.boxes_xyxy[0, owner].detach() - target).abs().sum()
    assert (moved[0, owner] - target).abs().sum() < before
    assert (found.logits.grad[0, ~owner] >= 0).all()
