"""What the benchmark of the relation counts, against arithmetic done another way."""

from pathlib import Path

import pytest
import torch
from tests.conftest import load_script

from rsgnet.config import CandidateRelationConfig, ModelConfig, PoseConfig
from rsgnet.data.dataset import Sample
from rsgnet.heatmaps import encode
from rsgnet.model import ModelOutput
from rsgnet.model.relation_parser import find_candidates

FILE = Path(__file__).parents[2] / "benchmarks" / "relation_accuracy.py"


@pytest.fixture(scope="module")
def benchmark():
    return load_script(FILE)


@pytest.fixture
def crowd():
    """Two people's keypoints 0 and 1, and candidates on all but the second person's keypoint 1."""
    places, labelled = torch.zeros(1, 3, 17, 2), torch.zeros(1, 3, 17, dtype=torch.bool)
    places[0, :2, :2] = torch.tensor([[[4.0, 5.0], [6.0, 9.0]], [[10.0, 5.0], [2.0, 12.0]]])
    places[0, 1, 2] = torch.tensor([-4.0, 3.0])  # labelled, but outside of the crop
    labelled[0, :2, :2], labelled[0, 1, 2] = True, True
    own = encode(places[:, 0], (16, 12), 1.0) * labelled[:, 0, :, None, None]
    everyone = torch.maximum(own, 0.8 * encode(places[:, 1], (16, 12), 1.0) * labelled[:, 1, :, None, None])
    everyone[0, 1] = own[0, 1]
    sample = Sample(
        crop=torch.zeros(1, 64, 48, 3, dtype=torch.uint8),
        keypoints_xy=places,
        labelled=labelled,
        background=torch.ones(1, 17, 16, 12, dtype=torch.bool),
        box_area=torch.ones(1),
    )
    return sample, own, everyone


def test_found_are_those_that_a_candidate_of_their_kind_lies_on(benchmark, crowd):
    sample, _, everyone = crowd
    counted = benchmark.count_found(find_candidates(everyone, 2, 0.1), sample, 1.5, (16, 12))
    assert counted.tolist() == [[2, 2], [1, 2]]


def test_heights_relation_and_truth_of_each_candidate(benchmark, crowd):
    sample, own, everyone = crowd
    candidates = find_candidates(everyone, 2, 0.1)
    relation = torch.zeros(1, 34, 34)
    relation[0, 0, 2] = relation[0, 2, 0] = 0.9  # the person's two keypoints
    output = ModelOutput(own, everyone, relation=relation, candidates=candidates)
    config = PoseConfig("x", model=ModelConfig(relation=CandidateRelationConfig()))
    measured = benchmark.measure(output, sample, config, 1.5)
    wanted = [[0.9 / 16, 1.0, 1.0, 1], [0, 0, 0.8, 0], [0.9 / 16, 1.0, 1.0, 1]]
    torch.testing.assert_close(measured.candidates, torch.tensor(wanted), atol=2e-2, rtol=0)
    assert measured.pairs.shape == (9, 3) and measured.pairs[:, 2].sum() == 4
    assert measured.pairs[:, 0].max() == pytest.approx(0.9)


def test_auc_is_the_share_of_pairs_in_order(benchmark):
    torch.manual_seed(0)
    scores, truth = torch.randint(0, 9, (60,)) / 8, torch.rand(60) > 0.6
    pairs = [(a > b) + (a == b) / 2 for a in scores[truth] for b in scores[~truth]]
    assert benchmark.auc(scores, truth.float()) == pytest.approx(float(torch.stack(pairs).mean()))
