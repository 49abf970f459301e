"""The losses of pose networks: Eq. (5) to (8) of the paper, and a location loss and distillation, which it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rsgnet.data.dataset import Sample
from rsgnet.model import DenseRelation, ModelOutput
from rsgnet.model.layers import full_precision
from rsgnet.skeletons import Skeleton
from rsgnet.training.labels import dense_relation_labels, make_labels, relation_labels
from rsgnet.training_config import LossConfig

_MASKED_LOGIT = -1e4  # low enough for a probability of 0 after the softmax
_MIN_PROBABILITY = 1e-6  # probabilities are clamped to this distance from 0 and 1, so that logarithms stay finite


@dataclass(frozen=True)
class Losses:
    """The terms of Eq. (8) before weighting, each (); 0 if the network does not predict the output or has no teacher.

    Attributes:
        target: l_t, of the target heatmaps.
        candidates: l_m, of the candidate heatmaps.
        relation: l_r, of the relation map.
        limbs: l_l, of the limb heatmaps.
        location: Divergence of target and candidate heatmaps from the labels as distributions; not in the paper.
        distillation: Squared error and divergence of the target heatmaps from a teacher's; not in the paper.
        total: The weighted sum.
    """

    target: Tensor
    candidates: Tensor
    relation: Tensor
    limbs: Tensor
    location: Tensor
    distillation: Tensor
    total: Tensor


def pose_losses(output: ModelOutput, sample: Sample, skeleton: Skeleton, weights: LossConfig) -> Losses:
    """Computes all losses of a batch.

    Args:
        output: The network's predictions.
        sample: The batch.
        skeleton: The skeleton that the network predicts.
        weights: Weights of the losses and settings of the labels.
    """
    labels = make_labels(sample, skeleton, weights)
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
    labels: Float[Tensor, "batch keypoints h w"],
    weights: Tensor,
    peak_emphasis: float = 0.0,
) -> Tensor:
    """Computes the mean squared error over keypoints and pixels (Eq. 5).

    With `peak_emphasis` each error counts `1 + peak_emphasis * labels` times. Few pixels show a keypoint, so that by
    Eq. (5) alone a network without any peaks has a low loss.

    Args:
        predicted: (B, K, h, w) heatmaps.
        labels: (B, K, h, w) heatmaps in 0..1.
        weights: Weight of each pixel in 0..1, which broadcasts to (B, K, h, w); 0 counts as an error of 0.
        peak_emphasis: Additional weight of an error at a label of 1.
    """
    return (weights * (1 + peak_emphasis * labels) * (predicted.float() - labels).square()).mean()


def location_loss(
    predicted: Float[Tensor, "batch keypoints h w"],
    labels: Float[Tensor, "batch keypoints h w"],
    weights: Tensor,
    sharpness: float,
) -> Tensor:
    """Computes the mean Kullback-Leibler divergence over keypoints between softmax(sharpness * heatmap) of both.

    The squared error hardly differs between a peak at the right pixel and one beside it; this divergence does. Both
    losses are lowest where the heatmaps are equal.

    Args:
        predicted: (B, K, h, w) heatmaps.
        labels: (B, K, h, w) heatmaps in 0..1.
        weights: Broadcasts to (B, K, h, w); pixels of weight 0 are left out. A keypoint whose pixels are all left out
            has a divergence of 0.
        sharpness: Factor of the heatmaps before the softmax.
    """
    is_masked = weights <= 0
    predicted_log, labels_log = (
        (sharpness * heatmaps).masked_fill(is_masked, _MASKED_LOGIT).flatten(2).log_softmax(-1)
        for heatmaps in (predicted.float(), labels)
    )
    return F.kl_div(predicted_log, labels_log, log_target=True, reduction="none").sum(-1).mean()


def relation_loss(
    relation: Float[Tensor, "batch n n"],
    labels: Float[Tensor, "batch n n"],
    weights: Float[Tensor, "batch n n"],
    error: Literal["squared", "cross_entropy"] = "squared",
) -> Tensor:
    """Computes the mean error of the relation map (Eq. 6), first over the pairs of a crop, then over crops.

    Args:
        relation: (B, Np, Np) predicted probabilities.
        labels: (B, Np, Np) 0 or 1.
        weights: (B, Np, Np) 1 for pairs that count, 0 for the others. Crops without pairs are left out.
        error: "squared" as in Eq. (6), or "cross_entropy".
    """
    pairs = weights.sum((1, 2))
    if error == "cross_entropy":
        probabilities = relation.clamp(_MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
        errors = F.binary_cross_entropy(probabilities, labels, reduction="none")
    else:
        errors = (relation - labels).square()
    crop_errors = (weights * errors).sum((1, 2)) / pairs.clamp(min=1)
    return crop_errors.sum() / (pairs > 0).sum().clamp(min=1)


def dense_relation_loss(relation: DenseRelation, target_heatmaps: Float[Tensor, "batch keypoints h w"]) -> Tensor:
    """Computes Eq. (6) between all pixels, as in the released code.

    The label of a pair of pixels is the product of their values in the maximum of the target heatmaps.

    Args:
        relation: The predicted relation.
        target_heatmaps: (B, K, h, w) labels of the target heatmaps.
    """
    height, width = relation.clues.shape[2:]
    with full_precision(relation.clues.device):
        return relation.squared_error(dense_relation_labels(target_heatmaps, (height, width))).mean()


def limb_loss(
    logits: Float[Tensor, "batch limbs h w"], labels: Float[Tensor, "batch limbs h w"], weights: Tensor
) -> Tensor:
    """Computes the mean binary cross entropy over limbs and pixels (Eq. 7).

    Args:
        logits: (B, L, h, w) predicted limbs before the sigmoid.
        labels: (B, L, h, w) 1 on limbs, 0 elsewhere.
        weights: (B, L) 0 counts the limb as an error of 0.
    """
    errors = F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="none")
    return (weights[..., None, None] * errors).mean()
