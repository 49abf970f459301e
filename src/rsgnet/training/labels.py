"""What each of the network's outputs should have been. Everything is made on the batch's device, from keypoints.

Limbs and the weights of heatmaps are labelled in one of two ways, as `LossConfig.labels` says. Where they differ:

- "paper": a limb is a line of a configured width, left out of the loss unless both its ends are labelled. A candidate
  heatmap counts where somebody's keypoint of that kind is labelled, and where it is known that nobody has one: not in
  the box of a person who lacks the label, and nowhere if the data set has no such kind.
- "released", as the authors' code has it: a limb is what lies within a pixel of the line between its rounded ends, and
  a disc about each end; one whose ends are not both labelled counts as background but for its discs. A candidate
  heatmap counts whole if anyone's keypoint of that kind is labelled, else not at all. Keypoints may lie further off the
  map, by what its rounding makes of it.
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

_REACH_SIGMAS = 3.0  # a Gaussian is nothing beyond this
_DISC_HEIGHT = 0.9  # released limbs: a disc is where the end's Gaussian is higher
_TIE = 1e-4  # released limbs: pixels exactly on the rim belong to the limb, whichever way rounding goes


@dataclass(frozen=True)
class Labels:
    """Supervision for a batch; a weight of 0 leaves a place out.

    Attributes:
        target_heatmaps: (B, K, h, w) one Gaussian a keypoint of the box's person (Eq. 5).
        target_weights: (B, K) 1 where that keypoint is labelled and in reach of the crop.
        candidate_heatmaps: (B, K, h, w) everyone's Gaussians, the highest at each place (Eq. 5).
        candidate_weights: (B, K, h, w), or (B, K, 1, 1) for released labels.
        limbs: (B, L, h, w) 1 on the target's limbs (Eq. 7).
        limb_weights: (B, L) 1 where both ends are labelled; for released labels everywhere.
    """

    target_heatmaps: Float[Tensor, "batch keypoints h w"]
    target_weights: Float[Tensor, "batch keypoints"]
    candidate_heatmaps: Float[Tensor, "batch keypoints h w"]
    candidate_weights: Float[Tensor, "batch keypoints #h #w"]
    limbs: Float[Tensor, "batch limbs h w"]
    limb_weights: Float[Tensor, "batch limbs"]


def make_labels(sample: Sample, skeleton: Skeleton, loss: LossConfig) -> Labels:
    """The labels of the three kinds of heatmap.

    Args:
        sample: A batch.
        skeleton: Whose limbs are labelled.
        loss: Gaussian and limb widths, and how limbs and weights are labelled.
    """
    shape_hw = (sample.background.shape[-2], sample.background.shape[-1])
    released = loss.labels == "released"
    reached = sample.labelled & _in_reach(sample.keypoints_xy, shape_hw, loss.sigma, (2, 1) if released else (0, 0))
    shown = reached if released else sample.labelled
    places = torch.where(shown[..., None], sample.keypoints_xy, torch.nan)
    target_heatmaps = encode(places[:, 0], shape_hw, loss.sigma)
    rivals = _highest(places[:, 1:], shape_hw, loss.sigma)
    everyone = torch.maximum(target_heatmaps, rivals)
    if released:
        candidate_weights = shown.any(1)[..., None, None]
        limbs, limb_weights = _released_limbs(sample, skeleton, reached[:, 0], target_heatmaps)
    else:
        candidate_weights = (everyone > 0.01) | sample.background
        limbs, limb_weights = _limb_labels(sample, skeleton, loss.limb_width)
    return Labels(
        target_heatmaps=target_heatmaps,
        target_weights=reached[:, 0].float(),
        candidate_heatmaps=(
            everyone if loss.other_people_peak == 1 else torch.maximum(target_heatmaps, loss.other_people_peak * rivals)
        ),
        candidate_weights=candidate_weights.float(),
        limbs=limbs,
        limb_weights=limb_weights,
    )


def _highest(places: Float[Tensor, "batch people keypoints 2"], shape_hw: tuple[int, int], sigma: float) -> Tensor:
    """(B, K, h, w) the highest Gaussian at each place; what is absent, or far off the map, costs nothing."""
    batch, people, keypoints = places.shape[:3]
    highest = places.new_zeros(batch * keypoints, *shape_hw)
    seen = _in_reach(places, shape_hw, 2 * sigma, (0, 0))  # six standard deviations: next to nothing in float32
    for person in range(people):
        of, keypoint = seen[:, person].nonzero(as_tuple=True)
        if len(of):
            maps = of * keypoints + keypoint
            highest[maps] = torch.maximum(highest[maps], encode(places[of, person, keypoint], shape_hw, sigma))
    return highest.reshape(batch, keypoints, *shape_hw)


def _in_reach(
    keypoints_xy: Float[Tensor, "*lead 2"], shape_hw: tuple[int, int], sigma: float, further_px: tuple[int, int]
) -> Bool[Tensor, "*lead"]:
    """Whether a keypoint's Gaussian touches the map, or lies no further off it before and behind than that."""
    size = keypoints_xy.new_tensor([shape_hw[1], shape_hw[0]])
    before, behind = (_REACH_SIGMAS * sigma + further for further in further_px)
    return ((keypoints_xy > -before) & (keypoints_xy < size - 1 + behind)).all(-1)


def _limb_labels(sample: Sample, skeleton: Skeleton, width: float) -> tuple[Tensor, Tensor]:
    start, end = _ends(sample.keypoints_xy[:, 0], skeleton)
    known = torch.stack(_ends(sample.labelled[:, 0], skeleton)).all(0)
    x, y = _grid(sample)
    along_x, along_y = (end - start)[..., None, None, :].unbind(-1)
    from_x, from_y = x - start[..., 0, None, None], y - start[..., 1, None, None]  # (B, L, 1, w) and (B, L, h, 1)
    length2 = (along_x.square() + along_y.square()).clamp(min=1e-6)
    # In place, for these are large: a batch of them leaves the processor's cache.
    place = (from_x * (along_x / length2) + from_y * (along_y / length2)).clamp_(0, 1)
    distance2 = torch.addcmul(from_x, place, along_x, value=-1).square_()
    off_y = place.mul_(along_y).sub_(from_y)
    return distance2.addcmul_(off_y, off_y).le_((width / 2) ** 2), known.float()


def _released_limbs(
    sample: Sample, skeleton: Skeleton, reached: Bool[Tensor, "batch keypoints"], gaussians: Tensor
) -> tuple[Tensor, Tensor]:
    start, end = _ends((sample.keypoints_xy[:, 0] + 0.5).trunc(), skeleton)
    known = torch.stack(_ends(reached, skeleton)).all(0)
    x, y = _grid(sample)
    (along_x, along_y), length = (end - start)[..., None, None, :].unbind(-1), (end - start).norm(dim=-1)
    across = (x - start[..., 0, None, None]) * along_y - (y - start[..., 1, None, None]) * along_x
    low, high = (torch.minimum(start, end) - 1)[..., None, None, :], torch.maximum(start, end)[..., None, None, :]
    inside = (x >= low[..., 0]) & (x <= high[..., 0]) & (y >= low[..., 1]) & (y <= high[..., 1])
    lines = inside & (across.abs() <= (1 + _TIE) * length[..., None, None]) & known[..., None, None]
    discs = torch.stack(_ends(gaussians, skeleton)).amax(0) > _DISC_HEIGHT
    return (lines | discs).float(), torch.ones_like(known, dtype=torch.float32)


def _ends(of_keypoints: Shaped[Tensor, "batch keypoints *rest"], skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """What the keypoints have at one end of each limb and at the other, each (B, L, ...)."""
    ends = torch.tensor(skeleton.limbs, device=of_keypoints.device)
    return of_keypoints[:, ends[:, 0]], of_keypoints[:, ends[:, 1]]


def _grid(sample: Sample) -> tuple[Tensor, Tensor]:
    """(w,) and (h, 1) the places of the heatmaps' pixels."""
    height, width = sample.background.shape[-2:]
    like = sample.keypoints_xy
    x = torch.arange(width, device=like.device, dtype=like.dtype)
    return x, torch.arange(height, device=like.device, dtype=like.dtype)[:, None]


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
    owned, known = near[:, 0], labelled[:, 0] | near[:, 1:].any(1)
    counted = known & candidates.mask
    labels = owned[:, :, None] & owned[:, None, :]
    return labels.float(), (counted[:, :, None] & counted[:, None, :]).float()


def dense_relation_labels(
    target_heatmaps: Float[Tensor, "batch keypoints h w"], shape_hw: tuple[int, int]
) -> Float[Tensor, "batch 1 rows columns"]:
    """How much of the target each pixel of a map is, 0..1; released code: A's label between two is their product.

    Args:
        target_heatmaps: (B, K, h, w) the labels of the target heatmaps.
        shape_hw: Height and width of the map whose pixels are related.
    """
    person = target_heatmaps.amax(1, keepdim=True)
    return F.interpolate(person, shape_hw, mode="bilinear", align_corners=True)
