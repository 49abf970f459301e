"""Labels against arithmetic done pixel by pixel."""

import math

import pytest
import torch

from rsgnet.config import LossConfig
from rsgnet.data.dataset import Sample
from rsgnet.data.labels import make_labels, relation_labels
from rsgnet.model import Candidates
from rsgnet.skeletons import CROWDPOSE14

LOSS = LossConfig(sigma=1.5, limb_width=2.0, match_sigmas=1.0)
SHAPE = (16, 12)


def sample(people=2, seed=0, background=True):
    torch.manual_seed(seed)
    return Sample(
        crop=torch.zeros(1, 64, 48, 3, dtype=torch.uint8),
        keypoints_xy=torch.rand(1, people, 14, 2) * torch.tensor([11.0, 15.0]),
        labelled=torch.ones(1, people, 14, dtype=torch.bool),
        background=torch.full((1, *SHAPE), background),
        box_area=torch.tensor([100.0]),
    )


def test_heatmaps_are_gaussians_of_the_target_and_the_highest_of_everyone():
    batch = sample()
    labels = make_labels(batch, CROWDPOSE14, LOSS)
    for keypoint, row, column in [(0, 3, 4), (5, 10, 2), (13, 0, 11)]:
        heights = [
            math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * 1.5**2))
            for x, y in batch.keypoints_xy[0, :, keypoint].tolist()
        ]
        assert labels.target_heatmaps[0, keypoint, row, column].item() == pytest.approx(heights[0], abs=1e-6)
        assert labels.candidate_heatmaps[0, keypoint, row, column].item() == pytest.approx(max(heights), abs=1e-6)


def test_unlabelled_and_far_keypoints_weigh_nothing():
    batch = sample()
    batch.labelled[0, 0, 2] = False
    batch.keypoints_xy[0, 0, 3] = torch.tensor([-5.0, 3.0])  # beyond 3 sigma
    batch.keypoints_xy[0, 0, 4] = torch.tensor([-4.0, 3.0])  # within
    labels = make_labels(batch, CROWDPOSE14, LOSS)
    assert labels.target_weights[0, :6].tolist() == [1, 1, 0, 0, 1, 1]
    assert labels.target_heatmaps[0, 2].max() == 0


def test_where_not_everyone_is_labelled_only_the_labelled_teach():
    labels = make_labels(sample(background=False), CROWDPOSE14, LOSS)
    assert torch.equal(labels.candidate_weights > 0, labels.candidate_heatmaps > 0.01)
    assert make_labels(sample(), CROWDPOSE14, LOSS).candidate_weights.min() == 1


def test_limbs_cover_what_lies_within_half_their_width():
    batch = sample()
    batch.labelled[0, 0, 6] = False
    labels = make_labels(batch, CROWDPOSE14, LOSS)
    for limb, (start, end) in enumerate(CROWDPOSE14.limbs):
        assert labels.limb_weights[0, limb] == (6 not in (start, end))
        (x0, y0), (x1, y1) = batch.keypoints_xy[0, 0, [start, end]].tolist()
        for row in range(SHAPE[0]):
            for column in range(SHAPE[1]):
                share = ((column - x0) * (x1 - x0) + (row - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
                share = min(max(share, 0), 1)
                distance = math.hypot(x0 + share * (x1 - x0) - column, y0 + share * (y1 - y0) - row)
                if abs(distance - 1.0) > 1e-4:
                    assert labels.limbs[0, limb, row, column] == (distance < 1.0)


def test_relation_is_one_exactly_for_pairs_of_the_target():
    batch = sample()
    mine, rivals = batch.keypoints_xy[0, 0], batch.keypoints_xy[0, 1]
    batch.labelled[0, 0, 3] = False
    places = torch.stack([mine[0] + 0.3, mine[1], rivals[2], mine[3], rivals[3], torch.tensor([50.0, 50.0])])
    candidates = Candidates(
        xy=places[None],
        keypoint=torch.tensor([0, 1, 2, 3, 3, 5]),
        scores=torch.ones(1, 6),
        mask=torch.tensor([[True, True, True, True, True, False]]),
    )
    labels, weights = relation_labels(candidates, batch, LOSS)
    # 0 and 1 are the target's, 2 is the rival's; 3 nobody can judge; 4 is the rival's for sure; 5 is padding.
    wanted = torch.zeros(6, 6)
    wanted[:2, :2] = 1
    judged = torch.tensor([1.0, 1, 1, 0, 1, 0])
    assert torch.equal(labels[0] * weights[0], wanted)
    assert torch.equal(weights[0], judged[:, None] * judged)
