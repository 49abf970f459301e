"""Labels against arithmetic done pixel by pixel."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rsgnet.data.dataset import Sample
from rsgnet.geometry import apply_affine, compose_affine, crop_affine, flip_affine
from rsgnet.heatmaps import encode, heatmap_affine
from rsgnet.model import Candidates
from rsgnet.skeletons import CROWDPOSE14, get_skeleton
from rsgnet.training.labels import dense_relation_labels, make_labels, relation_labels
from rsgnet.training_config import LossConfig

LOSS = LossConfig(sigma=1.5, limb_width=2.0, match_sigmas=1.0)
SHAPE = (16, 12)


def sample(people=2, seed=0, background=True):
    torch.manual_seed(seed)
    return Sample(
        crop=torch.zeros(1, 64, 48, 3, dtype=torch.uint8),
        keypoints_xy=torch.rand(1, people, 14, 2) * torch.tensor([11.0, 15.0]),
        labelled=torch.ones(1, people, 14, dtype=torch.bool),
        background=torch.full((1, 14, *SHAPE), background),
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


def test_unlabelled_and_far_keypoints_have_weight_zero():
    batch = sample()
    batch.labelled[0, 0, 2] = False
    batch.keypoints_xy[0, 0, 3] = torch.tensor([-5.0, 3.0])  # beyond 3 sigma
    batch.keypoints_xy[0, 0, 4] = torch.tensor([-4.0, 3.0])  # within
    labels = make_labels(batch, CROWDPOSE14, LOSS)
    assert labels.target_weights[0, :6].tolist() == [1, 1, 0, 0, 1, 1]
    assert labels.target_heatmaps[0, 2].max() == 0


def test_only_labelled_people_count_if_not_everyone_is_labelled():
    labels = make_labels(sample(background=False), CROWDPOSE14, LOSS)
    assert torch.equal(labels.candidate_weights > 0, labels.candidate_heatmaps > 0.01)
    assert make_labels(sample(), CROWDPOSE14, LOSS).candidate_weights.min() == 1


def test_candidates_weigh_nothing_where_a_kind_may_be_unlabelled():
    batch = sample()
    batch.background[0, 3, 4:9, 2:7] = False
    labels = make_labels(batch, CROWDPOSE14, LOSS)
    there = labels.candidate_heatmaps[0, 3, 4:9, 2:7] > 0.01  # somebody's labelled keypoint teaches all the same
    assert torch.equal(labels.candidate_weights[0, 3, 4:9, 2:7] > 0, there) and not there.all()
    assert labels.candidate_weights[0, 3].sum() == SHAPE[0] * SHAPE[1] - (~there).sum()
    assert labels.candidate_weights[0, [0, 1, 2, *range(4, 14)]].min() == 1


def test_limbs_cover_pixels_within_half_their_width():
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
    owned, rivals = batch.keypoints_xy[0, 0], batch.keypoints_xy[0, 1]
    batch.labelled[0, 0, 3] = False
    places = torch.stack([owned[0] + 0.3, owned[1], rivals[2], owned[3], rivals[3], torch.tensor([50.0, 50.0])])
    candidates = Candidates(
        xy=places[None],
        keypoint=torch.tensor([0, 1, 2, 3, 3, 5]),
        scores=torch.ones(1, 6),
        mask=torch.tensor([[True, True, True, True, True, False]]),
        peaks=2,
    )
    labels, weights = relation_labels(candidates, batch, LOSS)
    # 0 and 1 are the target's, 2 is the rival's; 3 nobody can judge; 4 is the rival's for sure; 5 is padding.
    wanted = torch.zeros(6, 6)
    wanted[:2, :2] = 1
    judged = torch.tensor([1.0, 1, 1, 0, 1, 0])
    assert torch.equal(labels[0] * weights[0], wanted)
    assert torch.equal(weights[0], judged[:, None] * judged)


def test_other_peoples_peaks_can_be_lower():
    batch = sample()
    half = make_labels(batch, CROWDPOSE14, replace(LOSS, other_people_peak=0.5))
    owned = half.target_heatmaps
    rival = encode(batch.keypoints_xy[:, 1], SHAPE, LOSS.sigma)
    torch.testing.assert_close(half.candidate_heatmaps, torch.maximum(owned, 0.5 * rival))


class TestReleased:
    RELEASED = replace(LOSS, sigma=2.0, other_people_peak=0.5, labels="released")

    @staticmethod
    def batch(places, labelled, shape_hw):
        """A batch of (B, P, K, 2) keypoints."""
        count = len(places)
        return Sample(
            crop=torch.zeros(count, 1, 1, 3, dtype=torch.uint8),
            keypoints_xy=torch.from_numpy(places).float(),
            labelled=torch.from_numpy(labelled),
            background=torch.zeros(count, places.shape[2], *shape_hw, dtype=torch.bool),
            box_area=torch.ones(count),
        )

    @pytest.mark.parametrize(
        ("name", "skeleton"),
        [
            ("14_256x192_hm128x96_s2", "crowdpose14"),
            ("14_384x288_hm192x144_s3", "crowdpose14"),
            ("17_256x192_hm128x96_s3", "coco17"),
            ("17_256x192_hm64x48_s2", "coco17"),
        ],
    )
    def test_golden_targets_and_limbs(self, shared, name, skeleton):
        golden = np.load(shared(f"golden/ops/targets_{name}.npz"))
        batch = self.batch(
            golden["joints_heat"][:, None, :, :2], golden["vis"][:, None, :, 0] > 0, golden["limb_final"].shape[2:]
        )
        loss = replace(self.RELEASED, sigma=float(golden["sigma"]))
        labels = make_labels(batch, get_skeleton(skeleton), loss)
        np.testing.assert_array_equal(labels.limbs, golden["limb_final"])
        np.testing.assert_array_equal(labels.target_weights, golden["weight_unb"][..., 0])
        np.testing.assert_allclose(labels.target_heatmaps, golden["target_unb"], atol=1e-5)
        assert labels.limb_weights.min() == 1

    @pytest.mark.parametrize(
        ("draw", "flipped"),
        [("eval0", False), ("train0", True), ("train1", True), ("train2", False), ("train3", False)],
    )
    def test_golden_labels_of_a_crowded_crop(self, shared, draw, flipped):
        golden = np.load(shared("golden/ops/getitem_crowdpose.npz"))
        size_wh, rotation = (192, 256), float(golden[f"{draw}_rotation"])
        affine = crop_affine(golden[f"{draw}_center"], golden[f"{draw}_scale"] * 200, size_wh, rotation)
        to_heatmap = compose_affine(heatmap_affine(2, 0.0), affine)
        order = np.arange(14)
        if flipped:
            order = CROWDPOSE14.flip_indices
            to_heatmap = compose_affine(to_heatmap, flip_affine(golden["image_bgr"].shape[1]))
        places = np.stack([apply_affine(to_heatmap, golden[f"person{i}_joints"][order, :2]) for i in range(3)])
        labelled = np.stack([golden[f"person{i}_vis"][order, 0] > 0 for i in range(3)])
        labels = make_labels(self.batch(places[None], labelled[None], (128, 96)), CROWDPOSE14, self.RELEASED)
        np.testing.assert_allclose(labels.target_heatmaps[0], golden[f"{draw}_target"], atol=1e-5)
        np.testing.assert_allclose(labels.candidate_heatmaps[0], golden[f"{draw}_all_target"], atol=1e-5)
        np.testing.assert_array_equal(labels.target_weights[0], golden[f"{draw}_target_weight"][:, 0])
        np.testing.assert_array_equal(labels.candidate_weights[0, :, :, 0], golden[f"{draw}_all_weight"])
        np.testing.assert_array_equal(labels.limbs[0], golden[f"{draw}_limbs"])

    def test_a_limb_without_an_end_is_a_disc_and_counts(self):
        batch = sample()
        batch.labelled[0, 0, 6] = False  # the left hip: limbs to the right hip, the knee and the shoulder
        labels = make_labels(batch, CROWDPOSE14, self.RELEASED)
        limb = CROWDPOSE14.limbs.index((6, 7))
        disc = encode(batch.keypoints_xy[:, 0, 7], SHAPE, 2.0) > 0.9
        assert torch.equal(labels.limbs[0, limb] > 0, disc[0]) and labels.limb_weights[0, limb] == 1

    def test_candidate_heatmaps_without_labelled_keypoints_have_weight_zero(self):
        batch = sample()
        batch.labelled[0, :, 3] = False
        weights = make_labels(batch, CROWDPOSE14, self.RELEASED).candidate_weights
        assert weights.shape == (1, 14, 1, 1) and weights.flatten().tolist() == [1, 1, 1, 0, *[1] * 10]

    @pytest.mark.parametrize("origin", ["golden/ops/losses.npz", "golden/released/rsgnet_tiny14_up2_train.safetensors"])
    def test_golden_relation_labels(self, shared, origin):
        path = shared(origin)
        if path.suffix == ".npz":
            golden = np.load(path)
            heatmaps, wanted = torch.from_numpy(golden["target"]), torch.from_numpy(golden["person_half"])
        else:
            tensors = load_file(path)
            heatmaps, wanted = tensors["train.target"], tensors["train.person_target_half"].unflatten(1, (32, 24))
        torch.testing.assert_close(dense_relation_labels(heatmaps, tuple(wanted.shape[1:]))[:, 0], wanted)
