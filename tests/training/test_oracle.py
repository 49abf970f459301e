"""What training on the truth puts in the place of a network's candidates and relation."""

import pytest
import torch

from rsgnet.checkpoint import build
from rsgnet.config import CandidateRelationConfig, CropConfig, ModelConfig, PoseConfig
from rsgnet.data.dataset import Sample
from rsgnet.errors import RSGNetError
from rsgnet.training.oracle import true_candidates, use_oracle
from rsgnet.training.task import PoseTask
from rsgnet.training_config import LossConfig, TrainingConfig

CROP = CropConfig((64, 64))
MODEL = ModelConfig(backbone="lite_hrnet_w40", relation=CandidateRelationConfig(clue_dim=8, candidate_threshold=-9))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(PoseConfig("x", crop=CROP, model=MODEL)).eval()


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


def test_true_candidates_are_the_labelled_keypoints_in_the_crop(batch):
    candidates = true_candidates(batch, torch.zeros(1, 17, 16, 16), 4)
    assert candidates.mask[0].nonzero()[:, 0].tolist() == [0, 1, 4]
    assert candidates.xy[0, candidates.mask[0]].tolist() == [[4, 5], [10, 5], [6, 9]]
    assert candidates.keypoint.tolist() == [kind for kind in range(17) for _ in range(4)]


def test_the_true_relation_joins_the_targets_candidates_alone(network, batch):
    with torch.inference_mode(), use_oracle(network, "both", batch, LossConfig()):
        relation = network(torch.zeros(1, 3, 64, 64)).relation
    assert relation[0].nonzero().tolist() == [[0, 0], [0, 4], [4, 0], [4, 4]]


@pytest.mark.parametrize(
    ("oracle", "has_own_candidates", "has_own_relation"),
    [
        ("none", True, True),
        ("no_relation", True, False),
        ("relation", True, False),
        ("candidates", False, False),
        ("both", False, False),
    ],
)
def test_the_network_is_as_before_afterwards(network, batch, oracle, has_own_candidates, has_own_relation):
    crops = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(crops)
        with use_oracle(network, oracle, batch, LossConfig()):
            replaced = network(crops)
        after = network(crops)
    assert torch.equal(before.relation, after.relation) and torch.equal(before.target_heatmaps, after.target_heatmaps)
    assert torch.equal(before.candidates.xy, replaced.candidates.xy) == has_own_candidates
    assert torch.equal(before.relation, replaced.relation) == has_own_relation


def test_training_uses_it(batch):
    config = PoseConfig("x", crop=CROP, model=MODEL, training=TrainingConfig(oracle="relation"))
    assert float(PoseTask(config)._losses(batch).relation) < 1e-6


def test_networks_without_a_relation_have_no_oracle(batch):
    plain = build(PoseConfig("x", crop=CROP, model=ModelConfig(backbone="lite_hrnet_w40", relation=None)))
    with pytest.raises(RSGNetError, match="networks with"), use_oracle(plain, "both", batch, LossConfig()):
        pass
