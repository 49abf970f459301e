"""The labels of the network's outputs, computed from keypoints on the batch's device.

`LossConfig.labels` chooses between two kinds of labels:

- "paper": a limb is a line of a configured width. It is left out of the loss unless both its ends are labelled.
  A candidate heatmap counts at people whose keypoint of its kind is labelled, and where it is known that nobody has
  one: outside the boxes of people who lack the label, and nowhere if the data set has no such keypoint.
- "released", as in the authors' code: a limb is all pixels within a pixel of the line between its rounded ends, and a
  disc around each end. A limb without both ends labelled is background except for the discs. A candidate heatmap
  counts whole if anyone's keypoint of its kind is labelled, otherwise not at all. Because of the code's rounding,
  keypoints up to two pixels further outside the map count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from rsgnet.data.dataset import Sample
from rsgnet.heatmaps import encode
from rsgnet.model import Candidates
from rsgnet.skeletons import Skeleton
from rsgnet.training_config import LossConfig

_REACH_SIGMAS = 3.0  # a Gaussian further off the map than this is left out
_DISC_HEIGHT = 0.9  # released limbs: a disc is where the Gaussian of the end is higher than this
_TOLERANCE = 1e-4  # released limbs: pixels at a distance of exactly one pixel belong to the limb despite rounding
_MIN_HEIGHT = 0.01  # candidate heatmaps count where a label is higher than this


@dataclass(frozen=True)
class Labels:
    """The labels of a batch with their weights, 1 or 0; a weight of 0 leaves a pixel or a map out of the loss.

    Attributes:
        target_heatmaps: (B, K, h, w) a Gaussian for each keypoint of the box's person (Eq. 5), 0..1.
        target_weights: (B, K) 1 where the keypoint is labelled and its Gaussian reaches the map.
        candidate_heatmaps: (B, K, h, w) at each pixel the highest of everyone's Gaussians (Eq. 5), 0..1.
        candidate_weights: (B, K, h, w), or (B, K, 1, 1) for released labels.
        limbs: (B, L, h, w) 1 on the target's limbs (Eq. 7), else 0.
        limb_weights: (B, L) 1 where both ends are labelled; for released labels always 1.
    """

    target_heatmaps: Float[Tensor, "batch keypoints h w"]
    target_weights: Float[Tensor, "batch keypoints"]
    candidate_heatmaps: Float[Tensor, "batch keypoints h w"]
    candidate_weights: Float[Tensor, "batch keypoints #h #w"]
    limbs: Float[Tensor, "batch limbs h w"]
    limb_weights: Float[Tensor, "batch limbs"]


def make_labels(sample: Sample, skeleton: Skeleton, loss: LossConfig) -> Labels:
    """Computes the labels of target, candidate and limb heatmaps.

    Args:
        sample: A batch.
        skeleton: The skeleton of the keypoints.
        loss: Width of Gaussians and limbs, and the kind of the labels.
    """
    shape_hw = (sample.background.shape[-2], sample.background.shape[-1])
    released = loss.labels == "released"
    reaching = sample.labelled & _reaches_map(sample.keypoints_xy, shape_hw, loss.sigma, (2, 1) if released else (0, 0))
    drawn = reaching if released else sample.labelled
    keypoints_xy = torch.where(drawn[..., None], sample.keypoints_xy, torch.nan)
    target_heatmaps = encode(keypoints_xy[:, 0], shape_hw, loss.sigma)
    others = _encode_highest(keypoints_xy[:, 1:], shape_hw, loss.sigma)
    everyone = torch.maximum(target_heatmaps, others)
    if released:
        candidate_weights = drawn.any(1)[..., None, None]
        limbs, limb_weights = _released_limb_labels(sample, skeleton, reaching[:, 0], target_heatmaps)
    else:
        candidate_weights = (everyone > _MIN_HEIGHT) | sample.background
        limbs, limb_weights = _limb_labels(sample, skeleton, loss.limb_width)
    return Labels(
        target_heatmaps=target_heatmaps,
        target_weights=reaching[:, 0].float(),
        candidate_heatmaps=(
            everyone if loss.other_people_peak == 1 else torch.maximum(target_heatmaps, loss.other_people_peak * others)
        ),
        candidate_weights=candidate_weights.float(),
        limbs=limbs,
        limb_weights=limb_weights,
    )


def _encode_highest(
    keypoints_xy: Float[Tensor, "batch people keypoints 2"], shape_hw: tuple[int, int], sigma: float
) -> Float[Tensor, "batch keypoints h w"]:
    """Computes the highest Gaussian at each pixel; absent keypoints are NaN and cost no time."""
    batch, people, keypoints = keypoints_xy.shape[:3]
    highest = keypoints_xy.new_zeros(batch * keypoints, *shape_hw)
    # Within six standard deviations of the map; beyond them a Gaussian is below 2e-8.
    reaching = _reaches_map(keypoints_xy, shape_hw, 2 * sigma, (0, 0))
    for person in range(people):
        row, keypoint = reaching[:, person].nonzero(as_tuple=True)
        if len(row):
            maps = row * keypoints + keypoint
            gaussians = encode(keypoints_xy[row, person, keypoint], shape_hw, sigma)
            highest[maps] = torch.maximum(highest[maps], gaussians)
    return highest.reshape(batch, keypoints, *shape_hw)


def _reaches_map(
    keypoints_xy: Float[Tensor, "*lead 2"], shape_hw: tuple[int, int], sigma: float, margins_px: tuple[int, int]
) -> Bool[Tensor, "*lead"]:
    """Returns whether each keypoint's Gaussian reaches the map.

    Args:
        keypoints_xy: Keypoints in heatmap pixels.
        shape_hw: Height and width of the map.
        sigma: Standard deviation of the Gaussian.
        margins_px: How much further off the map a keypoint may lie at the left or top, and at the right or bottom.
    """
    size = keypoints_xy.new_tensor([shape_hw[1], shape_hw[0]])
    low, high = (_REACH_SIGMAS * sigma + margin for margin in margins_px)
    return ((keypoints_xy > -low) & (keypoints_xy < size - 1 + high)).all(-1)


def _limb_labels(sample: Sample, skeleton: Skeleton, width: float) -> tuple[Tensor, Tensor]:
    """Returns (B, L, h, w) limbs as lines of a width in pixels, and (B, L) their weights."""
    start, end = _select_ends(sample.keypoints_xy[:, 0], skeleton)
    has_both_ends = torch.stack(_select_ends(sample.labelled[:, 0], skeleton)).all(0)
    x, y = _pixel_grid(sample)
    along_x, along_y = (end - start)[..., None, None, :].unbind(-1)
    from_x, from_y = x - start[..., 0, None, None], y - start[..., 1, None, None]  # (B, L, 1, w) and (B, L, h, 1)
    length2 = (along_x.square() + along_y.square()).clamp(min=1e-6)
    # The closest point of the limb, 0..1 from start to end. Operations are in place because the tensors of a batch are
    # larger than the processor's cache.
    position = (from_x * (along_x / length2) + from_y * (along_y / length2)).clamp_(0, 1)
    distance2 = torch.addcmul(from_x, position, along_x, value=-1).square_()
    distance_y = position.mul_(along_y).sub_(from_y)
    return distance2.addcmul_(distance_y, distance_y).le_((width / 2) ** 2), has_both_ends.float()


def _released_limb_labels(
    sample: Sample, skeleton: Skeleton, reaching: Bool[Tensor, "batch keypoints"], gaussians: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns (B, L, h, w) limbs as in the released code, and (B, L) their weights."""
    start, end = _select_ends((sample.keypoints_xy[:, 0] + 0.5).trunc(), skeleton)
    has_both_ends = torch.stack(_select_ends(reaching, skeleton)).all(0)
    x, y = _pixel_grid(sample)
    (along_x, along_y), length = (end - start)[..., None, None, :].unbind(-1), (end - start).norm(dim=-1)
    across = (x - start[..., 0, None, None]) * along_y - (y - start[..., 1, None, None]) * along_x
    low, high = (torch.minimum(start, end) - 1)[..., None, None, :], torch.maximum(start, end)[..., None, None, :]
    inside = (x >= low[..., 0]) & (x <= high[..., 0]) & (y >= low[..., 1]) & (y <= high[..., 1])
    lines = inside & (across.abs() <= (1 + _TOLERANCE) * length[..., None, None]) & has_both_ends[..., None, None]
    discs = torch.stack(_select_ends(gaussians, skeleton)).amax(0) > _DISC_HEIGHT
    return (lines | discs).float(), torch.ones_like(has_both_ends, dtype=torch.float32)


def _select_ends(values: Shaped[Tensor, "batch keypoints *rest"], skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Returns the keypoints' values at the two ends of each limb, each (B, L, ...)."""
    ends = torch.tensor(skeleton.limbs, device=values.device)
    return values[:, ends[:, 0]], values[:, ends[:, 1]]


def _pixel_grid(sample: Sample) -> tuple[Tensor, Tensor]:
    """Returns the x of the heatmaps' pixels, (w,), and their y, (h, 1)."""
    height, width = sample.background.shape[-2:]
    like = sample.keypoints_xy
    x = torch.arange(width, device=like.device, dtype=like.dtype)
    return x, torch.arange(height, device=like.device, dtype=like.dtype)[:, None]


def relation_labels(
    candidates: Candidates, sample: Sample, loss: LossConfig
) -> tuple[Float[Tensor, "batch n n"], Float[Tensor, "batch n n"]]:
    """Computes the labels of the relation map (Eq. 6): 1 where both candidates are the target's.

    A candidate is the target's if it lies near the target's keypoint of its kind. If that keypoint is not labelled, the
    candidate counts only if it lies near another person's keypoint; it is not the target's then.

    Args:
        candidates: The network's candidates.
        sample: The batch.
        loss: The distance within which a candidate lies near a keypoint.

    Returns:
        (B, Np, Np) labels and (B, Np, Np) weights, both 0 or 1.
    """
    radius = loss.match_sigmas * loss.sigma
    keypoints_xy = sample.keypoints_xy[:, :, candidates.keypoint]  # (B, P, Np, 2)
    labelled = sample.labelled[:, :, candidates.keypoint]
    is_near = ((keypoints_xy - candidates.xy[:, None]).square().sum(-1) < radius**2) & labelled
    is_targets, is_known = is_near[:, 0], labelled[:, 0] | is_near[:, 1:].any(1)
    is_counted = is_known & candidates.mask
    labels = is_targets[:, :, None] & is_targets[:, None, :]
    return labels.float(), (is_counted[:, :, None] & is_counted[:, None, :]).float()


def dense_relation_labels(
    target_heatmaps: Float[Tensor, "batch keypoints h w"], shape_hw: tuple[int, int]
) -> Float[Tensor, "batch 1 rows columns"]:
    """Computes for each pixel of a map how far it belongs to the target, 0..1, as in the released code.

    The label of the relation between two pixels is the product of their values.

    Args:
        target_heatmaps: (B, K, h, w) labels of the target heatmaps.
        shape_hw: Height and width of the map whose pixels are related.
    """
    person = target_heatmaps.amax(1, keepdim=True)
    return F.interpolate(person, shape_hw, mode="bilinear", align_corners=True)
