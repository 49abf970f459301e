"""The losses against Eq. (5) to (8)."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.training.test_labels import SHAPE, sample

from rsgnet.heatmaps import encode
from rsgnet.model import DenseRelation, ModelOutput
from rsgnet.skeletons import CROWDPOSE14
from rsgnet.training.losses import (
    dense_relation_loss,
    heatmap_loss,
    limb_loss,
    location_loss,
    pose_losses,
    relation_loss,
)
from rsgnet.training_config import LossConfig


def test_heatmap_loss_is_the_mean_squared_error_with_zero_at_masked_pixels():
    predicted, wanted = torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]]]), torch.zeros(1, 2, 1, 2)
    assert heatmap_loss(predicted, wanted, torch.ones(1, 2, 1, 1)).item() == pytest.approx((1 + 4 + 9 + 25) / 4)
    assert heatmap_loss(predicted, wanted, torch.tensor([[[[1.0]], [[0.0]]]])).item() == pytest.approx(5 / 4)


def test_errors_at_peaks_count_more_where_emphasised():
    predicted, wanted = torch.tensor([[[[0.5, 0.5]]]]), torch.tensor([[[[1.0, 0.0]]]])
    assert heatmap_loss(predicted, wanted, torch.ones(1), 5.0).item() == pytest.approx((6 * 0.25 + 0.25) / 2)


def test_location_loss_is_the_divergence_of_the_sharpened_softmaxes():
    predicted, wanted = torch.tensor([[[[0.5, 0.1, 9.0]]]]), torch.tensor([[[[1.0, 0.0, 7.0]]]])
    weights = torch.tensor([[[[1.0, 1.0, 0.0]]]])  # the third place is masked, whatever stands there
    is_at, should_be = (math.exp(4 * 0.4) / (1 + math.exp(4 * 0.4)), math.exp(4) / (1 + math.exp(4)))
    divergence = should_be * math.log(should_be / is_at) + (1 - should_be) * math.log((1 - should_be) / (1 - is_at))
    assert location_loss(predicted, wanted, weights, sharpness=4.0).item() == pytest.approx(divergence, rel=1e-5)


def test_location_loss_grows_with_the_distance_of_a_peak_and_is_zero_for_equal_heatmaps():
    places = torch.tensor([[[8.0, 6.0]], [[8.3, 6.0]], [[9.5, 6.0]], [[14.0, 6.0]]])
    heatmaps = encode(places, (12, 16), 1.5)
    right = heatmaps[:1].expand(4, -1, -1, -1)
    losses = [location_loss(one[None], other[None], torch.ones(1, 1, 1, 1), 10.0).item() for one, other in
              zip(heatmaps, right, strict=True)]  # fmt: skip
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses == sorted(losses)
    assert losses[1] > 0.05  # a third of a pixel
    masked = location_loss(heatmaps[3:], heatmaps[:1], torch.zeros(1, 1, 1, 1), 10.0)
    assert masked.item() == pytest.approx(0, abs=1e-6)


def test_relation_loss_weights_crops_equally():
    relation = torch.tensor([[[0.5, 1.0], [0.0, 0.0]], [[0.2, 0.2], [0.2, 0.2]], [[0.9, 0.9], [0.9, 0.9]]])
    weights = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    loss = relation_loss(relation, torch.ones(3, 2, 2), weights)
    assert loss.item() == pytest.approx((0.25 + 0.64) / 2)


def test_the_error_of_pairs_can_be_the_cross_entropy():
    relation = torch.tensor([[[0.5, 0.25], [0.0, 1.0]]])
    wanted = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    loss = relation_loss(relation, wanted, torch.ones(1, 2, 2), "cross_entropy")
    assert loss.item() == pytest.approx((math.log(2) - math.log(0.75)) / 4, abs=1e-5)


def test_only_cross_entropy_has_a_gradient_where_all_pairs_are_predicted_zero():
    def slope(error):
        logits = torch.full((1, 1, 1), -6.0, requires_grad=True)
        relation_loss(logits.sigmoid(), torch.ones(1, 1, 1), torch.ones(1, 1, 1), error).backward()
        return -logits.grad.item()

    assert slope("cross_entropy") > 0.99
    assert slope("squared") < 0.01


def test_limb_loss_is_the_binary_cross_entropy():
    logits, wanted = torch.tensor([[[[0.0, 2.0]], [[7.0, 7.0]]]]), torch.tensor([[[[1.0, 0.0]], [[1.0, 1.0]]]])
    value = limb_loss(logits, wanted, torch.tensor([[1.0, 0.0]])).item()
    assert value == pytest.approx((math.log(2) + math.log(1 + math.exp(2.0))) / 4, rel=1e-5)


def output(**changes):
    torch.manual_seed(1)
    return replace(
        ModelOutput(
            target_heatmaps=torch.rand(1, 14, *SHAPE),
            candidate_heatmaps=torch.rand(1, 14, *SHAPE),
            limb_logits=torch.randn(1, 14, *SHAPE),
        ),
        **changes,
    )


def test_the_total_is_the_weighted_sum():
    weights = LossConfig(target=2.0, candidates=3.0, relation=5.0, limbs=7.0, location=11.0)
    losses = pose_losses(output(), sample(), CROWDPOSE14, weights)
    wanted = 2 * losses.target + 3 * losses.candidates + 5 * losses.relation + 7 * losses.limbs + 11 * losses.location
    torch.testing.assert_close(losses.total, wanted)
    assert min(losses.target, losses.candidates, losses.limbs, losses.location) > 0


def test_location_counts_both_kinds_of_heatmap():
    weights = LossConfig(location=1.0)
    both = pose_losses(output(), sample(), CROWDPOSE14, weights).location
    target = pose_losses(output(candidate_heatmaps=None), sample(), CROWDPOSE14, weights).location
    assert both > target > 0


def test_distillation_is_squared_error_and_divergence_where_the_teacher_is_known():
    weights, given = LossConfig(distillation=1.0, location=2.0, peak_emphasis=5.0), output()
    teacher = torch.rand(1, 14, *SHAPE)
    teacher[:, 3:] = math.nan
    losses = pose_losses(given, replace(sample(), teacher_heatmaps=teacher), CROWDPOSE14, weights)
    ours, theirs = given.target_heatmaps[:, :3], teacher[:, :3]
    by_height = ((1 + 5 * theirs) * (ours - theirs).square()).mean()
    by_place = location_loss(ours, theirs, torch.ones(1, 3, 1, 1), weights.sharpness)
    torch.testing.assert_close(losses.distillation, 3 / 14 * (by_height + 2 * by_place))
    alone = pose_losses(given, sample(), CROWDPOSE14, weights)
    assert alone.distillation == 0
    torch.testing.assert_close(losses.total, alone.total + losses.distillation)


def test_losses_of_outputs_that_are_not_predicted_are_zero():
    losses = pose_losses(output(candidate_heatmaps=None, limb_logits=None), sample(), CROWDPOSE14, LossConfig())
    assert (losses.candidates, losses.relation, losses.limbs, losses.location) == (0, 0, 0, 0)
    torch.testing.assert_close(losses.total, losses.target)


def test_golden_losses(shared):
    golden = {name: torch.from_numpy(value) for name, value in np.load(shared("golden/ops/losses.npz")).items()}
    heatmaps, weights = (golden["output"], golden["target"]), golden["weight"][..., None]
    torch.testing.assert_close(0.5 * heatmap_loss(*heatmaps, weights), golden["joints_mse"])
    torch.testing.assert_close(0.5 * heatmap_loss(*heatmaps, torch.ones(1)), golden["joints_mse_noweight"])
    limbs = golden["limb_target"].float()
    found = limb_loss(golden["limb_pred"].logit(), limbs, torch.ones(limbs.shape[:2]))
    torch.testing.assert_close(found, golden["limb_bce"], rtol=1e-4, atol=0)
    person = golden["person_half"].flatten(1)
    wanted = person[:, :, None] * person[:, None]
    torch.testing.assert_close(wanted, golden["relation_target"])
    errors = (golden["relation_pred"] - wanted).square().mean((1, 2))
    torch.testing.assert_close(errors, golden["relation_mse_per_image"])


def test_the_dense_relation_loss_is_that_of_the_whole_relation():
    torch.manual_seed(0)
    relation, heatmaps = DenseRelation(torch.rand(2, 3, 8, 6)), torch.rand(2, 5, 8, 6)
    person = heatmaps.amax(1).flatten(1)
    loss = dense_relation_loss(relation, heatmaps)
    torch.testing.assert_close(loss, (relation.matrix() - person[:, :, None] * person[:, None]).square().mean())


def test_heatmap_losses_scale():
    whole, half = (
        pose_losses(output(), sample(), CROWDPOSE14, LossConfig(heatmap_scale=scale)) for scale in (1.0, 0.5)
    )
    torch.testing.assert_close(half.target, 0.5 * whole.target)
    torch.testing.assert_close(half.candidates, 0.5 * whole.candidates)
    torch.testing.assert_close(half.limbs, whole.limbs)
