"""The learning objectives: Eq. (5) to (8), one of ours that says where a keypoint is, and distillation."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rsgnet.data.dataset import Sample
from rsgnet.model import DenseRelation, ModelOutput
from rsgnet.model.layers import full_precision
from rsgnet.skeletons import Skeleton
from rsgnet.training.labels import Labels, dense_relation_labels, make_labels, relation_labels
from rsgnet.training_config import LossConfig

_NOWHERE = 1e4  # a logit so far below all others that its place has no probability
_SURE = 1e-6  # probabilities nearer to 0 or 1 than this are held off, so that their logarithms stay finite


@dataclass(frozen=True)
class Losses:
    """The terms of Eq. (8), each unweighted; 0 where the network does not predict it.

    Attributes:
        target: l_t.
        candidates: l_m.
        relation: l_r.
        limbs: l_l.
        location: How far the heatmaps of both kinds are from saying where keypoints are; not in the paper.
        distillation: How far the target heatmaps are from a teacher's, by height and by place; not in the paper.
        total: Their weighted sum.
    """

    target: Tensor
    candidates: Tensor
    relation: Tensor
    limbs: Tensor
    location: Tensor
    distillation: Tensor
    total: Tensor


def pose_losses(output: ModelOutput, sample: Sample, skeleton: Skeleton, weights: LossConfig) -> Losses:
    """All losses of a batch."""
    labels: Labels = make_labels(sample, skeleton, weights)
    emphasis = weights.peak_emphasis
    scale = weights.heatmap_scale
    heatmaps = (output.target_heatmaps, labels.target_heatmaps, labels.target_weights[..., None, None])
    target = scale * heatmap_loss(*heatmaps, emphasis)
    candidates = relation = limbs = location = distillation = target.new_zeros(())
    if weights.distillation and sample.teacher_heatmaps.numel():
        teacher = (
            output.target_heatmaps,
            sample.teacher_heatmaps.nan_to_num(),
            sample.teacher_heatmaps.isfinite(),
        )
        distillation = scale * heatmap_loss(*teacher, emphasis)
        distillation = distillation + weights.location * location_loss(*teacher, weights.sharpness)
    if weights.location:
        location = location_loss(*heatmaps, weights.sharpness)
    if output.candidate_heatmaps is not None:
        heatmaps = (output.candidate_heatmaps, labels.candidate_heatmaps, labels.candidate_weights)
        candidates = scale * heatmap_loss(*heatmaps, emphasis)
        if weights.location:
            location = location + location_loss(*heatmaps, weights.sharpness)
    if output.relation is not None and output.candidates is not None:
        pairs = relation_labels(output.candidates, sample, weights)
        relation = relation_loss(output.relation, *pairs, weights.relation_error)
    if output.dense_relation is not None:
        relation = dense_relation_loss(output.dense_relation, labels.target_heatmaps)
    if output.limb_logits is not None:
        limbs = limb_loss(output.limb_logits, labels.limbs, labels.limb_weights)
    total = (
        weights.target * target
        + weights.candidates * candidates
        + weights.relation * relation
        + weights.limbs * limbs
        + weights.location * location
        + weights.distillation * distillation
    )
    return Losses(target, candidates, relation, limbs, location, distillation, total)


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


def location_loss(
    predicted: Float[Tensor, "batch keypoints h w"],
    wanted: Float[Tensor, "batch keypoints h w"],
    weights: Tensor,
    sharpness: float,
) -> Tensor:
    """The mean over keypoints of the Kullback-Leibler divergence between softmax(sharpness * heatmap) of both.

    A squared error hardly tells a peak that is a pixel off from one that is right; this does. Both have their optimum
    where the heatmaps are equal. Masked places take no part, keypoints masked everywhere count as right.
    """
    masked = weights <= 0
    given, meant = (
        (sharpness * heatmaps).masked_fill(masked, -_NOWHERE).flatten(2).log_softmax(-1)
        for heatmaps in (predicted.float(), wanted)
    )
    return F.kl_div(given, meant, log_target=True, reduction="none").sum(-1).mean()


def relation_loss(
    relation: Float[Tensor, "batch n n"],
    wanted: Float[Tensor, "batch n n"],
    weights: Float[Tensor, "batch n n"],
    error: str = "squared",
) -> Tensor:
    """Eq. (6): the mean error over the pairs that count; Np differs from crop to crop, so each counts alike.

    Where the error is "cross_entropy" it stands for Eq. (6)'s square.
    """
    pairs = weights.sum((1, 2))
    if error == "cross_entropy":
        each = F.binary_cross_entropy(relation.clamp(_SURE, 1 - _SURE), wanted, reduction="none")
    else:
        each = (relation - wanted).square()
    errors = (weights * each).sum((1, 2)) / pairs.clamp(min=1)
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
