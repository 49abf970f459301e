"""The learning objectives, Eq. (5) to (8)."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rsgnet.config import LossConfig
from rsgnet.data.dataset import Sample
from rsgnet.data.labels import Labels, dense_relation_labels, make_labels, relation_labels
from rsgnet.model import DenseRelation, ModelOutput
from rsgnet.model.layers import full_precision
from rsgnet.skeletons import Skeleton


@dataclass(frozen=True)
class Losses:
    """The terms of Eq. (8), each unweighted; 0 where the network does not predict it.

    Attributes:
        target: l_t.
        candidates: l_m.
        relation: l_r.
        limbs: l_l.
        total: Their weighted sum.
    """

    target: Tensor
    candidates: Tensor
    relation: Tensor
    limbs: Tensor
    total: Tensor


def pose_losses(output: ModelOutput, sample: Sample, skeleton: Skeleton, weights: LossConfig) -> Losses:
    """All losses of a batch."""
    labels: Labels = make_labels(sample, skeleton, weights)
    emphasis = weights.peak_emphasis
    scale = weights.heatmap_scale
    target = scale * heatmap_loss(
        output.target_heatmaps, labels.target_heatmaps, labels.target_weights[..., None, None], emphasis
    )
    candidates = relation = limbs = target.new_zeros(())
    if output.candidate_heatmaps is not None:
        candidates = scale * heatmap_loss(
            output.candidate_heatmaps, labels.candidate_heatmaps, labels.candidate_weights, emphasis
        )
    if output.relation is not None and output.candidates is not None:
        relation = relation_loss(output.relation, *relation_labels(output.candidates, sample, weights))
    if output.dense_relation is not None:
        relation = dense_relation_loss(output.dense_relation, labels.target_heatmaps)
    if output.limb_logits is not None:
        limbs = limb_loss(output.limb_logits, labels.limbs, labels.limb_weights)
    total = (
        weights.target * target + weights.candidates * candidates + weights.relation * relation + weights.limbs * limbs
    )
    return Losses(target, candidates, relation, limbs, total)


def heatmap_loss(
    predicted: Float[Tensor, "batch keypoints h w"],
    wanted: Float[Tensor, "batch keypoints h w"],
    weights: Tensor,
    peak_emphasis: float = 0.0,
) -> Tensor:
    """Eq. (5): the mean over keypoints and pixels of the squared error, masked places counting as right.

    With an emphasis each error counts `1 + peak_emphasis * wanted` times: few pixels hold a keypoint, and an untrained
    network does well by Eq. (5) if it predicts none.
    """
    return (weights * (1 + peak_emphasis * wanted) * (predicted.float() - wanted).square()).mean()


def relation_loss(
    relation: Float[Tensor, "batch n n"], wanted: Float[Tensor, "batch n n"], weights: Float[Tensor, "batch n n"]
) -> Tensor:
    """Eq. (6): the mean squared error over the pairs that count; Np differs from crop to crop, so each counts alike."""
    pairs = weights.sum((1, 2))
    errors = (weights * (relation - wanted).square()).sum((1, 2)) / pairs.clamp(min=1)
    return errors.sum() / (pairs > 0).sum().clamp(min=1)


def dense_relation_loss(relation: DenseRelation, target_heatmaps: Float[Tensor, "batch keypoints h w"]) -> Tensor:
    """Eq. (6) between all pixels, as released: the mean squared error to the product of how much each is the target."""
    height, width = relation.clues.shape[2:]
    with full_precision(relation.clues.device):
        return relation.squared_error(dense_relation_labels(target_heatmaps, (height, width))).mean()


def limb_loss(
    logits: Float[Tensor, "batch limbs h w"], wanted: Float[Tensor, "batch limbs h w"], weights: Tensor
) -> Tensor:
    """Eq. (7): the mean over limbs and pixels of the binary cross entropy, limbs with an unlabelled end left out."""
    errors = F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")
    return (weights[..., None, None] * errors).mean()
