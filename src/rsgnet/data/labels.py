"""What each of the network's outputs should have been. Everything is made on the batch's device, from keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rsgnet.config import LossConfig
from rsgnet.data.dataset import Sample
from rsgnet.heatmaps import encode
from rsgnet.model import Candidates
from rsgnet.skeletons import Skeleton

_REACH_SIGMAS = 3.0  # a Gaussian is nothing beyond this


@dataclass(frozen=True)
class Labels:
    """Supervision for a batch; a weight of 0 leaves a place out.

    Attributes:
        target_heatmaps: (B, K, h, w) one Gaussian a keypoint of the box's person (Eq. 5).
        target_weights: (B, K) 1 where that keypoint is labelled and in reach of the crop.
        candidate_heatmaps: (B, K, h, w) everyone's Gaussians, the highest at each place (Eq. 5).
        candidate_weights: (B, K, h, w).
        limbs: (B, L, h, w) 1 on the target's limbs (Eq. 7).
        limb_weights: (B, L) 1 where both ends are labelled.
    """

    target_heatmaps: Float[Tensor, "batch keypoints h w"]
    target_weights: Float[Tensor, "batch keypoints"]
    candidate_heatmaps: Float[Tensor, "batch keypoints h w"]
    candidate_weights: Float[Tensor, "batch keypoints h w"]
    limbs: Float[Tensor, "batch limbs h w"]
    limb_weights: Float[Tensor, "batch limbs"]


def make_labels(sample: Sample, skeleton: Skeleton, loss: LossConfig) -> Labels:
    """The labels of the three kinds of heatmap.

    Args:
        sample: A batch.
        skeleton: Whose limbs are labelled.
        loss: Gaussian and limb widths.
    """
    shape_hw = (sample.background.shape[-2], sample.background.shape[-1])
    places = torch.where(sample.labelled[..., None], sample.keypoints_xy, torch.nan)
    everyone = encode(places, shape_hw, loss.sigma)
    candidate_heatmaps = everyone.amax(1)
    near_somebody = candidate_heatmaps > 0.01
    limbs, limb_weights = _limb_labels(sample, skeleton, loss.limb_width)
    return Labels(
        target_heatmaps=everyone[:, 0],
        target_weights=(sample.labelled[:, 0] & in_reach(sample.keypoints_xy[:, 0], shape_hw, loss.sigma)).float(),
        candidate_heatmaps=candidate_heatmaps,
        candidate_weights=(near_somebody | sample.background[:, None]).float(),
        limbs=limbs,
        limb_weights=limb_weights,
    )


def in_reach(keypoints_xy: Float[Tensor, "*lead 2"], shape_hw: tuple[int, int], sigma: float) -> Bool[Tensor, "*lead"]:
    """Whether a keypoint's Gaussian touches the map at all."""
    size = keypoints_xy.new_tensor([shape_hw[1], shape_hw[0]])
    reach = _REACH_SIGMAS * sigma
    return ((keypoints_xy > -reach) & (keypoints_xy < size - 1 + reach)).all(-1)


def _limb_labels(sample: Sample, skeleton: Skeleton, width: float) -> tuple[Tensor, Tensor]:
    height, columns = sample.background.shape[-2:]
    ends = torch.tensor(skeleton.limbs, device=sample.crop.device)
    start, end = sample.keypoints_xy[:, 0, ends[:, 0]], sample.keypoints_xy[:, 0, ends[:, 1]]
    known = sample.labelled[:, 0, ends[:, 0]] & sample.labelled[:, 0, ends[:, 1]]
    x = torch.arange(columns, device=start.device, dtype=start.dtype)
    y = torch.arange(height, device=start.device, dtype=start.dtype)[:, None]
    along = (end - start)[..., None, None, :]
    from_x, from_y = x - start[..., 0, None, None], y - start[..., 1, None, None]
    length2 = along.square().sum(-1).clamp(min=1e-6)
    place = ((from_x * along[..., 0] + from_y * along[..., 1]) / length2).clamp(0, 1)
    distance2 = (from_x - place * along[..., 0]).square() + (from_y - place * along[..., 1]).square()
    return (distance2 <= (width / 2) ** 2).float(), known.float()


def relation_labels(
    candidates: Candidates, sample: Sample, loss: LossConfig
) -> tuple[Float[Tensor, "batch n n"], Float[Tensor, "batch n n"]]:
    """The relation map as it should be (Eq. 6): 1 where both candidates are the target's.

    A candidate is the target's if it lies on the target's keypoint of its kind. Where that keypoint is not labelled
    nobody knows, unless the candidate lies on somebody else's.

    Returns:
        (B, Np, Np) labels of 0 and 1, and weights of 0 and 1.
    """
    reach = loss.match_sigmas * loss.sigma
    places = sample.keypoints_xy[:, :, candidates.keypoint]  # (B, P, Np, 2)
    labelled = sample.labelled[:, :, candidates.keypoint]
    near = ((places - candidates.xy[:, None]).square().sum(-1) < reach**2) & labelled
    mine, known = near[:, 0], labelled[:, 0] | near[:, 1:].any(1)
    counted = known & candidates.mask
    labels = mine[:, :, None] & mine[:, None, :]
    return labels.float(), (counted[:, :, None] & counted[:, None, :]).float()
