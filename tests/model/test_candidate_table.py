import pytest
import torch

from rsgnet.model.candidate_table import candidate_relation, candidate_table
from rsgnet.model.dense_relation import DenseRelation
from rsgnet.model.relation_parser import Candidates
from rsgnet.model.rsgnet import ModelOutput


def test_support_is_the_mean_over_other_keypoints_of_their_best_candidate():
    # Two keypoints with two candidates each; the last is padding.
    relation = torch.tensor([[[1.0, 0.9, 0.2, 0], [0.9, 1, 0.7, 0], [0.2, 0.7, 1, 0], [0, 0, 0, 0]]])
    found = Candidates(
        xy=torch.arange(8.0).reshape(1, 4, 2),
        keypoint=torch.tensor([0, 0, 1, 1]),
        scores=torch.tensor([[0.9, 0.8, 0.7, 0.05]]),
        mask=torch.tensor([[True, True, True, False]]),
    )
    heatmaps = torch.zeros(1, 2, 8, 8)
    table = candidate_table(ModelOutput(heatmaps, heatmaps, None, relation, found), 2, 0.1)
    assert table.shape == (1, 2, 2, 4)
    assert table[0, 0, 0].tolist() == pytest.approx([0, 1, 0.9, 0.2])
    assert table[0, 0, 1].tolist() == pytest.approx([2, 3, 0.8, 0.7])
    assert table[0, 1].flatten().tolist() == pytest.approx([4, 5, 0.7, 0.7, 0, 0, 0, 0])


def test_without_a_candidate_relation_there_is_no_support():
    heatmaps = torch.zeros(2, 3, 8, 8)
    heatmaps[1, 2, 5, 4] = 0.6
    table = candidate_table(ModelOutput(heatmaps, heatmaps), 2, 0.1)
    assert table.shape == (2, 3, 2, 4)
    assert table[1, 2, 0].tolist() == pytest.approx([4, 5, 0.6, 0]) and table.count_nonzero() == 3


def test_a_plain_network_has_no_candidates():
    assert candidate_table(ModelOutput(torch.zeros(1, 3, 8, 8)), 2, 0.1) is None


def test_a_dense_relation_is_read_where_the_candidates_lie():
    heatmaps = torch.zeros(1, 2, 8, 6)
    heatmaps[0, 0, 2, 3], heatmaps[0, 1, 5, 1] = 0.9, 0.8
    dense = DenseRelation(torch.randn(1, 4, 8, 6, generator=torch.Generator().manual_seed(0)).abs())
    found = candidate_relation(ModelOutput(heatmaps, heatmaps, dense_relation=dense), 2, 0.1)
    first, second = 2 * 6 + 3, 5 * 6 + 1  # the pixels' places in the whole relation
    torch.testing.assert_close(found[0, 0, 2], dense.matrix()[0, first, second])
    assert (found[0, 1] == 0).all() and (found[0, :, 3] == 0).all()  # padding


def test_without_a_relation_there_is_none():
    assert candidate_relation(ModelOutput(torch.zeros(1, 2, 8, 6)), 2, 0.1) is None
