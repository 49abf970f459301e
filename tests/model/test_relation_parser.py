"""The Target-aware Relation Parser against the paper's equations, written out longhand."""

import pytest
import torch
import torch.nn.functional as F

from rsgnet.config import CandidateRelationConfig
from rsgnet.heatmaps import encode
from rsgnet.model import TargetAwareRelationParser
from rsgnet.model.relation_parser import (
    Candidates,
    bilinear_weights,
    candidate_table,
    draw_evidence,
    find_candidates,
    find_places,
)
from rsgnet.model.released.dense_relation import DenseRelation
from rsgnet.model.rsgnet import ModelOutput

PEAKS, KEYPOINTS, WIDTH, CLUE = 3, 4, 6, 5


def heatmaps_with_peaks(places, shape_hw=(16, 12), heights=None):
    """(1, len(places), H, W): one list of peaks a keypoint."""
    maps = []
    for keypoint, points in enumerate(places):
        peaks = encode(torch.tensor(points, dtype=torch.float32).reshape(-1, 2), shape_hw, 1.2)
        if heights is not None:
            peaks = peaks * torch.tensor(heights[keypoint])[:, None, None]
        maps.append(peaks.amax(0) if len(points) else torch.zeros(shape_hw))
    return torch.stack(maps)[None]


@pytest.fixture
def parser():
    torch.manual_seed(0)
    return TargetAwareRelationParser(WIDTH, KEYPOINTS, CandidateRelationConfig(clue_dim=CLUE, peaks_per_keypoint=PEAKS))


@pytest.fixture
def crowd():
    """Features and the candidate heatmaps of two people, some keypoints missing."""
    torch.manual_seed(1)
    places = [[(3.2, 4.0), (8.0, 9.3)], [(5.0, 5.0)], [], [(2.0, 12.0), (9.0, 3.0), (6.0, 8.0)]]
    return torch.randn(1, WIDTH, 16, 12), heatmaps_with_peaks(places)


def test_candidates_are_the_peaks_below_pixel_precision():
    truth = [(3.2, 4.0), (8.0, 9.3)]
    found = find_candidates(heatmaps_with_peaks([truth], heights=[[1.0, 0.6]]), PEAKS, 0.1)
    assert found.mask.tolist() == [[True, True, False]]
    assert found.keypoint.tolist() == [0, 0, 0]
    torch.testing.assert_close(found.xy[0, :2], torch.tensor(truth), atol=0.1, rtol=0)
    assert found.scores[0, 0] > found.scores[0, 1] > 0.5


def test_candidates_follow_keypoint_order_and_threshold():
    found = find_candidates(heatmaps_with_peaks([[(4, 4)], [(6, 6)]], heights=[[0.05], [0.9]]), 2, 0.1)
    assert found.keypoint.tolist() == [0, 0, 1, 1]
    assert found.mask.tolist() == [[False, False, True, False]]


@pytest.mark.parametrize("corner", [(0.0, 0.0), (11.0, 0.0), (0.0, 15.0), (11.0, 15.0)])
def test_candidates_in_corners_stay_on_the_map(corner):
    found = find_candidates(heatmaps_with_peaks([[corner]]), 1, 0.1)
    torch.testing.assert_close(found.xy[0, 0], torch.tensor(corner))


def test_places_are_all_those_above_the_threshold_the_highest_first():
    heatmaps = heatmaps_with_peaks([[(4, 5)], [(6, 6), (9, 12)]])
    found = find_places(heatmaps, 40, 0.3)
    assert found.mask.reshape(2, 40).sum(1).tolist() == (heatmaps > 0.3).sum((0, 2, 3)).tolist()
    for keypoint, xy in zip(found.keypoint[found.mask[0]], found.xy[found.mask], strict=True):
        assert heatmaps[0, keypoint, int(xy[1]), int(xy[0])] > 0.3
    assert found.xy[0, 0].tolist() == [4, 5] and (found.scores.reshape(2, 40).diff() <= 0).all()
    assert find_places(heatmaps, 3, 0.3).mask.all()


def test_the_category_clue_is_a_distribution_over_kinds(parser):
    heatmaps = heatmaps_with_peaks([[(3, 4)], [(8, 9)], [], [(3, 4), (5, 12)]])
    heatmaps[0, 3] *= 0.8
    features, found = torch.randn(1, WIDTH, 16, 12), find_candidates(heatmaps, PEAKS, 0.1)
    parser.category = torch.nn.Identity()
    clues = parser.encode_clues(features, heatmaps, found, bilinear_weights(found.xy, (16, 12)))
    category = clues[0, 0, CLUE : CLUE + KEYPOINTS]  # at (3, 4), where kind 3 is 0.8 high
    wanted = torch.tensor([1.0, 0.0, 0.0, 0.8]).mul(10).exp()
    torch.testing.assert_close(category, wanted / wanted.sum(), atol=2e-3, rtol=0)
    torch.testing.assert_close(clues[0, :, CLUE : CLUE + KEYPOINTS].sum(-1), torch.ones(PEAKS * KEYPOINTS))


def test_the_geometry_clue_is_an_offset_from_the_boxs_centre_and_a_place_in_the_crop(parser):
    heatmaps = heatmaps_with_peaks([[(3, 4)], [], [], []])
    found = find_candidates(heatmaps, PEAKS, 0.1)
    parser.geometry = torch.nn.Identity()
    clues = parser.encode_clues(torch.randn(1, WIDTH, 16, 12), heatmaps, found, bilinear_weights(found.xy, (16, 12)))
    # The middle of the third pixel of 12, the fourth of 16; offsets count in heights of the crop on both axes.
    wanted = torch.tensor([(3.5 - 6) / 16, (4.5 - 8) / 16, 3.5 / 12, 4.5 / 16])
    torch.testing.assert_close(clues[0, 0, :4], wanted, atol=1e-3, rtol=0)


def test_bilinear_weights_sample_as_grid_sample_does():
    torch.manual_seed(2)
    features, xy = torch.randn(2, WIDTH, 7, 9), torch.rand(2, 11, 2) * torch.tensor([8.0, 6.0])
    sampled = bilinear_weights(xy, (7, 9)) @ features.flatten(2).transpose(1, 2)
    grid = xy / torch.tensor([8.0, 6.0]) * 2 - 1
    wanted = F.grid_sample(features, grid[:, None], align_corners=True)[:, :, 0].transpose(1, 2)
    torch.testing.assert_close(sampled, wanted)


def test_bilinear_weights_of_points_off_the_map_are_zero():
    weights = bilinear_weights(torch.tensor([[[-3.0, 2.0], [2.0, 50.0], [1.5, 1.0]]]), (4, 5))
    assert weights.sum(-1).tolist() == [[0.0, 0.0, 1.0]]


def test_relation_map_is_equation_1(parser, crowd):
    features, heatmaps = crowd
    found = parser(features, heatmaps)
    candidates = found.candidates
    clues = parser.encode_clues(features, heatmaps, candidates, bilinear_weights(candidates.xy, (16, 12)))[0]
    assert clues.shape == (PEAKS * KEYPOINTS, 3 * CLUE)
    one, other = F.relu(clues @ parser.first.weight.T), F.relu(clues @ parser.second.weight.T)
    encoding = one[:, None, :] * other[None, :, :]  # E_r, (Np, Np, d)
    wanted = torch.sigmoid(encoding @ parser.score.weight[0] + parser.score.bias)
    real = candidates.mask[0]
    torch.testing.assert_close(found.relation[0][real][:, real], wanted[real][:, real])
    assert found.relation[0][~real].abs().max() == 0
    assert found.relation[0][:, ~real].abs().max() == 0


def test_target_aware_encoding_is_equation_2(parser, crowd):
    features, heatmaps = crowd
    found = parser(features, heatmaps)
    clues = parser.encode_clues(features, heatmaps, found.candidates, bilinear_weights(found.candidates.xy, (16, 12)))
    enhanced = (found.relation @ clues)[0]
    wanted = torch.zeros(3 * CLUE, 16, 12)  # E_t
    for (x, y), values in zip(found.candidates.xy[0], enhanced, strict=True):
        left, top = int(x), int(y)
        for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
            if column < 12 and row < 16:
                wanted[:, row, column] += (1 - abs(x - column)) * (1 - abs(y - row)) * values
    projected = torch.einsum("cd,dhw->chw", parser.project.weight, wanted)
    torch.testing.assert_close(found.encoding[0], projected, atol=1e-5, rtol=1e-5)


def test_what_pads_the_candidates_changes_nothing(crowd):
    features, heatmaps = crowd
    few, many = (
        TargetAwareRelationParser(WIDTH, KEYPOINTS, CandidateRelationConfig(clue_dim=CLUE, peaks_per_keypoint=peaks))
        for peaks in (PEAKS, PEAKS + 4)
    )
    many.load_state_dict(few.state_dict())
    torch.testing.assert_close(few(features, heatmaps).encoding, many(features, heatmaps).encoding)


def test_without_candidates_the_encoding_is_zero(parser):
    found = parser(torch.randn(2, WIDTH, 8, 8), torch.zeros(2, KEYPOINTS, 8, 8))
    assert not found.candidates.mask.any()
    assert found.encoding.abs().max() == 0


def test_gradients(parser, crowd):
    features, heatmaps = (each.double() for each in crowd)
    parser = parser.double()
    names, values = zip(*parser.named_parameters(), strict=True)

    def run(features, *parameters):
        found = torch.func.functional_call(parser, dict(zip(names, parameters, strict=True)), (features, heatmaps))
        return found.encoding, found.relation.double()

    # The relation is kept in single precision, so the check is as coarse as that.
    inputs = (features.requires_grad_(), *(value.detach().clone().requires_grad_() for value in values))
    assert torch.autograd.gradcheck(run, inputs, eps=1e-3, atol=2e-3, rtol=1e-2, nondet_tol=1e-6, fast_mode=True)


def test_support_is_the_mean_over_other_keypoints_of_their_best_candidate():
    # Two keypoints with two candidates each; the last is padding.
    relation = torch.tensor([[[1.0, 0.9, 0.2, 0], [0.9, 1, 0.7, 0], [0.2, 0.7, 1, 0], [0, 0, 0, 0]]])
    found = Candidates(
        xy=torch.arange(8.0).reshape(1, 4, 2),
        keypoint=torch.tensor([0, 0, 1, 1]),
        scores=torch.tensor([[0.9, 0.8, 0.7, 0.05]]),
        mask=torch.tensor([[True, True, True, False]]),
        peaks=2,
    )
    table = candidate_table(found, relation)
    assert table.shape == (1, 2, 2, 4)
    assert table[0, 0, 0].tolist() == pytest.approx([0, 1, 0.9, 0.2])
    assert table[0, 0, 1].tolist() == pytest.approx([2, 3, 0.8, 0.7])
    assert table[0, 1].flatten().tolist() == pytest.approx([4, 5, 0.7, 0.7, 0, 0, 0, 0])


def test_evidence_is_a_gaussian_on_each_candidate_as_high_as_its_support():
    relation = torch.tensor([[[1.0, 0.9, 0.2, 0], [0.9, 1, 0.7, 0], [0.2, 0.7, 1, 0], [0, 0, 0, 0]]])
    found = Candidates(
        xy=torch.tensor([[[2.0, 3.0], [7.5, 9.0], [4.0, 4.0], [0.0, 0.0]]]),
        keypoint=torch.tensor([0, 0, 1, 1]),
        scores=torch.tensor([[0.9, 0.8, 0.7, 0.05]]),
        mask=torch.tensor([[True, True, True, False]]),
        peaks=2,
    )
    drawn = draw_evidence(found, relation.requires_grad_(), (16, 12))
    first = 0.2 * encode(found.xy[0, 0], (16, 12), 1.0) + 0.7 * encode(found.xy[0, 1], (16, 12), 1.0)
    torch.testing.assert_close(drawn, torch.stack([first, 0.7 * encode(found.xy[0, 2], (16, 12), 1.0)])[None])
    drawn[0, 0, 3, 2].backward()
    assert relation.grad[0, 0, 2] == pytest.approx(1) and relation.grad[0, 0, :2].abs().sum() == 0


def test_without_a_candidate_relation_there_is_no_support():
    heatmaps = torch.zeros(2, 3, 8, 8)
    heatmaps[1, 2, 5, 4] = 0.6
    table = candidate_table(find_candidates(heatmaps, 2, 0.1))
    assert table.shape == (2, 3, 2, 4)
    assert table[1, 2, 0].tolist() == pytest.approx([4, 5, 0.6, 0]) and table.count_nonzero() == 3


def test_a_dense_relation_is_read_where_the_candidates_lie():
    heatmaps = torch.zeros(1, 2, 8, 6)
    heatmaps[0, 0, 2, 3], heatmaps[0, 1, 5, 1] = 0.9, 0.8
    dense = DenseRelation(torch.randn(1, 4, 8, 6, generator=torch.Generator().manual_seed(0)).abs())
    candidates = find_candidates(heatmaps, 2, 0.1)
    found = ModelOutput(heatmaps, heatmaps, candidates=candidates, dense_relation=dense).candidate_relation
    first, second = 2 * 6 + 3, 5 * 6 + 1  # the pixels' places in the whole relation
    torch.testing.assert_close(found[0, 0, 2], dense.matrix()[0, first, second])
    assert (found[0, 1] == 0).all() and (found[0, :, 3] == 0).all()  # padding


def test_without_a_relation_there_is_none():
    assert ModelOutput(torch.zeros(1, 2, 8, 6)).candidate_relation is None
