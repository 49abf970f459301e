"""What the benchmark of the ceiling puts in the place of candidates and relation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import load_script

from rsgnet.checkpoint import build
from rsgnet.config import CandidateRelationConfig, CropConfig, ModelConfig, PoseConfig
from rsgnet.data.dataset import Sample
from rsgnet.training_config import LossConfig

FILE = Path(__file__).parents[2] / "benchmarks" / "relation_ladder.py"
KINDS = "as it is", "no relation", "true relation", "true candidates", "true candidates and relation"


@pytest.fixture(scope="module")
def benchmark():
    load_script(FILE.with_name("relation_accuracy.py"))  # which it imports
    return load_script(FILE)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    config = ModelConfig(
        backbone="lite_hrnet_w40", relation=CandidateRelationConfig(clue_dim=8, candidate_threshold=-9)
    )
    return build(PoseConfig("x", crop=CropConfig((64, 64)), model=config)).eval()


@pytest.fixture
def batch():
    """Two people's keypoints 0 and 1; the second person's keypoint 1 lies outside of the crop."""
    places, labelled = torch.zeros(1, 3, 17, 2), torch.zeros(1, 3, 17, dtype=torch.bool)
    places[0, :2, :2] = torch.tensor([[[4.0, 5.0], [6.0, 9.0]], [[10.0, 5.0], [2.0, 99.0]]])
    labelled[0, :2, :2] = True
    return Sample(
        crop=torch.zeros(1, 64, 64, 3, dtype=torch.uint8),
        keypoints_xy=places,
        labelled=labelled,
        background=torch.ones(1, 17, 16, 16, dtype=torch.bool),
        box_area=torch.ones(1),
    )


def test_true_candidates_are_the_labelled_keypoints_in_the_crop(benchmark, batch):
    candidates = benchmark.true_candidates(batch, torch.zeros(1, 17, 16, 16), 4)
    assert candidates.mask[0].nonzero()[:, 0].tolist() == [0, 1, 4]
    assert candidates.xy[0, candidates.mask[0]].tolist() == [[4, 5], [10, 5], [6, 9]]
    assert candidates.keypoint.tolist() == [kind for kind in range(17) for _ in range(4)]


def test_the_true_relation_joins_the_targets_candidates_alone(benchmark, network, batch):
    with torch.inference_mode(), benchmark.replaced(network, KINDS[4], batch, LossConfig()):
        relation = network(torch.zeros(1, 3, 64, 64)).relation
    assert relation[0].nonzero().tolist() == [[0, 0], [0, 4], [4, 0], [4, 4]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_is_as_before_afterwards(benchmark, network, batch, kind):
    crops = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(crops)
        with benchmark.replaced(network, kind, batch, LossConfig()):
            replaced = network(crops)
        after = network(crops)
    assert torch.equal(before.relation, after.relation) and torch.equal(before.target_heatmaps, after.target_heatmaps)
    same = torch.equal(before.candidates.xy, replaced.candidates.xy), torch.equal(before.relation, replaced.relation)
    assert same == {KINDS[0]: (True, True), KINDS[1]: (True, False), KINDS[2]: (True, False)}.get(kind, (False, False))


def test_recall_and_its_interval(benchmark):
    scores, others = np.array([0.97, 0.76, 0.3]), np.array([0.97, 0.49, 0.3])
    assert benchmark.recall(scores).tolist() == pytest.approx([1, 0.6, 0])
    low, difference, high = benchmark.interval(scores, others)
    assert difference == pytest.approx(0.2) and low == 0 and high == pytest.approx(0.6, abs=0.21)
