"""The Target-aware Relation Parser: everyone's keypoints related to each other, the target's kept.

Section "Target-aware Relation Parser", Eq. (1) and (2). The candidates of a crop are the peaks of its candidate
heatmaps, or all places above a threshold, padded to a fixed number Np and masked, so that crops batch and the network
exports.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from rsgnet.config import CandidateRelationConfig
from rsgnet.heatmaps import encode

# c_i is softmax(sharpness * heights): heights lie in 0..1, and without it all kinds would be nearly as likely.
_CATEGORY_SHARPNESS = 10.0
_EVIDENCE_SIGMA = 1.0  # in heatmap pixels


@dataclass(frozen=True)
class Candidates:
    """The candidate keypoints of each crop: the highest peaks, or places, of every keypoint's heatmap.

    Attributes:
        xy: (B, Np, 2) places in heatmap pixels, below pixel precision.
        keypoint: (Np,) which keypoint each is a candidate for; the same for every crop.
        scores: (B, Np) the heights of the heatmaps there.
        mask: (B, Np) whether it is a candidate at all, not padding.
        peaks: Candidates of each keypoint, padding included; Np is this times K.
    """

    xy: Float[Tensor, "batch candidates 2"]
    keypoint: Int[Tensor, " candidates"]
    scores: Float[Tensor, "batch candidates"]
    mask: Bool[Tensor, "batch candidates"]
    peaks: int


@dataclass(frozen=True)
class Relation:
    """What the parser found.

    Attributes:
        encoding: (B, C, H, W) the target-aware encoding E_t, projected to the width of the visual features or not.
        relation: (B, Np, Np) the relation map A; 0 where either candidate is padding.
        candidates: The candidates that it relates.
        evidence: (B, K, H, W) heatmaps of the target's candidates; None unless the config asks for them.
    """

    encoding: Float[Tensor, "batch channels height width"]
    relation: Float[Tensor, "batch candidates candidates"]
    candidates: Candidates
    evidence: Float[Tensor, "batch keypoints height width"] | None = None


def find_candidates(
    heatmaps: Float[Tensor, "batch keypoints height width"], peaks: int, threshold: float
) -> Candidates:
    """The highest local maxima of each heatmap.

    Args:
        heatmaps: (B, K, H, W) everyone's heatmaps. No gradient flows through the choice.
        peaks: How many peaks of each heatmap are taken.
        threshold: Peaks not above it are masked out.

    Returns:
        K * peaks candidates a crop, keypoint by keypoint, each highest first.
    """
    heatmaps = heatmaps.detach().float()
    keypoints, height, width = heatmaps.shape[1:]
    is_peak = heatmaps >= _highest_around(heatmaps)
    scores, index = torch.where(is_peak, heatmaps, torch.full_like(heatmaps, -1.0)).flatten(2).topk(peaks, dim=-1)
    column, row = index % width, index // width
    pixel = torch.stack([column, row], dim=-1)
    xy = pixel + _parabola_offset(heatmaps.flatten(2), index, pixel, (height, width))
    return Candidates(
        xy=xy.flatten(1, 2),
        keypoint=torch.arange(keypoints * peaks, device=heatmaps.device) // peaks,
        scores=scores.flatten(1),
        mask=scores.flatten(1) > threshold,
        peaks=peaks,
    )


def find_places(heatmaps: Float[Tensor, "batch keypoints height width"], count: int, threshold: float) -> Candidates:
    """The highest places of each heatmap, whether or not they are peaks; arguments and result as `find_candidates`."""
    heatmaps = heatmaps.detach().float()
    keypoints, width = heatmaps.shape[1], heatmaps.shape[3]
    scores, index = heatmaps.flatten(2).topk(count, dim=-1)
    return Candidates(
        xy=torch.stack([index % width, index // width], dim=-1).flatten(1, 2).float(),
        keypoint=torch.arange(keypoints * count, device=heatmaps.device) // count,
        scores=scores.flatten(1),
        mask=scores.flatten(1) > threshold,
        peaks=count,
    )


def _highest_around(heatmaps: Tensor) -> Tensor:
    """The highest value in each pixel's 3x3 surroundings, axis by axis: max_pool2d takes 20 times as long."""
    padded = F.pad(heatmaps, (1, 1, 1, 1), value=-torch.inf)
    across = torch.maximum(torch.maximum(padded[..., :-2], padded[..., 1:-1]), padded[..., 2:])
    return torch.maximum(torch.maximum(across[..., :-2, :], across[..., 1:-1, :]), across[..., 2:, :])


def _parabola_offset(flat: Tensor, index: Tensor, pixel: Tensor, shape_hw: tuple[int, int]) -> Tensor:
    """(B, K, peaks, 2) where a parabola through a peak and its two neighbours on each axis has its top."""
    offsets = []
    for axis, step in ((0, 1), (1, shape_hw[1])):
        size = shape_hw[1 - axis]
        inside = (pixel[..., axis] > 0) & (pixel[..., axis] < size - 1)
        here, stride = flat.gather(2, index), torch.where(inside, step, 0)
        before, after = flat.gather(2, index - stride), flat.gather(2, index + stride)
        curvature = (2 * here - before - after).clamp(min=1e-6)
        offsets.append(((after - before) / (2 * curvature)).clamp(-0.5, 0.5))
    return torch.stack(offsets, dim=-1)


def bilinear_weights(
    xy: Float[Tensor, "batch points 2"], shape_hw: tuple[int, int]
) -> Float[Tensor, "batch points pixels"]:
    """The bilinear interpolation of a map at some points, as a matrix.

    Its product with a flattened map samples the map at the points; its transpose spreads values of the points back
    over the map (the psi of Eq. 2). Both are plain matrix products, the same in every runtime.

    Args:
        xy: (B, P, 2) places in map pixels; points off the map have no weight.
        shape_hw: Height and width of the map.

    Returns:
        (B, P, H * W), rows summing to 1 for points inside the map.
    """
    across = torch.arange(shape_hw[1], device=xy.device, dtype=xy.dtype)
    down = torch.arange(shape_hw[0], device=xy.device, dtype=xy.dtype)
    across_weights = (1 - (xy[..., 0, None] - across).abs()).clamp(min=0)
    down_weights = (1 - (xy[..., 1, None] - down).abs()).clamp(min=0)
    return (down_weights[..., :, None] * across_weights[..., None, :]).flatten(2)


class TargetAwareRelationParser(nn.Module):
    """Relates all candidate keypoints of a crop and encodes those of the box's own person.

    Args:
        width: Channels of the visual features.
        keypoints: K, the number of keypoint categories.
        config: Sizes, and which places are candidates.
        projected: Whether E_t is projected to the width of the features, or given out with its 3 d channels.
    """

    def __init__(self, width: int, keypoints: int, config: CandidateRelationConfig, projected: bool = True) -> None:
        super().__init__()
        self.peaks, self.threshold = config.peaks_per_keypoint, config.candidate_threshold
        self.find_candidates = find_candidates if config.selection == "peaks" else find_places
        self.gradient_to_features = config.gradient_to_features
        self.gives_evidence = config.evidence
        clue_dim = config.clue_dim
        self.geometry = nn.Linear(4, clue_dim)
        self.category = nn.Linear(keypoints, clue_dim)
        self.visual = nn.Linear(width, clue_dim)
        self.first = nn.Linear(3 * clue_dim, clue_dim, bias=False)  # V of Eq. (1)
        self.second = nn.Linear(3 * clue_dim, clue_dim, bias=False)  # U of Eq. (1)
        self.score = nn.Linear(clue_dim, 1)  # W_r
        # The 1x1 convolution through which E_t enters the network. Like the interpolation it is linear, so it may come
        # first, on Np candidates instead of H * W pixels, and the 3 d channels of E_t are never laid out as a map.
        self.project = nn.Linear(3 * clue_dim, width, bias=False) if projected else nn.Identity()

    def forward(
        self,
        features: Float[Tensor, "batch channels height width"],
        candidate_heatmaps: Float[Tensor, "batch keypoints height width"],
    ) -> Relation:
        """Finds and relates the candidates.

        Args:
            features: (B, C, H, W) visual features.
            candidate_heatmaps: (B, K, H, W) everyone's heatmaps.

        Returns:
            The target-aware encoding, the relation map and the candidates.
        """
        shape_hw = (features.shape[2], features.shape[3])
        candidates = self.find_candidates(candidate_heatmaps, self.peaks, self.threshold)
        places = bilinear_weights(candidates.xy, shape_hw).to(features.dtype)
        clues = self.encode_clues(features, candidate_heatmaps, candidates, places)
        relation = self.relate(clues, candidates.mask)
        enhanced = self.project(relation.to(clues.dtype) @ clues)
        encoding = places.transpose(1, 2) @ enhanced
        evidence = draw_evidence(candidates, relation, shape_hw).to(features.dtype) if self.gives_evidence else None
        return Relation(encoding.transpose(1, 2).unflatten(2, shape_hw), relation, candidates, evidence)

    def encode_clues(
        self, features: Tensor, candidate_heatmaps: Tensor, candidates: Candidates, places: Tensor
    ) -> Float[Tensor, "batch candidates clues"]:
        """(B, Np, 3 d) E_c: where each candidate lies, which keypoint it may be, what it looks like."""
        size_wh = candidates.xy.new_tensor([features.shape[3], features.shape[2]])
        share = (candidates.xy + 0.5) / size_wh
        offset = (share - 0.5) * (size_wh / size_wh[1])  # from the centre of the crop, which is that of the box
        geometry = torch.cat([offset, share], dim=-1).to(features.dtype)
        heights = places @ candidate_heatmaps.flatten(2).transpose(1, 2).to(features.dtype)
        category = torch.softmax(_CATEGORY_SHARPNESS * heights, dim=-1)
        visual = places @ features.flatten(2).transpose(1, 2)
        return torch.cat([self.geometry(geometry), self.category(category), self.visual(visual)], dim=-1)

    def relate(
        self, clues: Float[Tensor, "batch candidates clues"], mask: Bool[Tensor, "batch candidates"]
    ) -> Float[Tensor, "batch candidates candidates"]:
        """(B, Np, Np) A of Eq. (1), as W_r (a_i * b_j) = (a_i * W_r) . b_j: the (Np, Np, d) tensor is never made."""
        one, other = F.relu(self.first(clues)), F.relu(self.second(clues))
        logits = (one * self.score.weight[0]) @ other.transpose(1, 2) + self.score.bias
        return torch.sigmoid(logits.float()) * (mask[:, :, None] & mask[:, None, :])


def candidate_table(
    candidates: Candidates, relation: Float[Tensor, "batch candidates candidates"] | None = None
) -> Float[Tensor, "batch keypoints peaks columns"]:
    """The candidates of each keypoint, highest first: x, y in heatmap pixels, height, support.

    A candidate's support is its mean relation to the other keypoints, each taking part with the candidate that it is
    related to most: how well the rest of the box's person agrees that this candidate is theirs, too.

    Args:
        candidates: The candidates of a batch.
        relation: (B, Np, Np) A between them; without it there is no support.

    Returns:
        (B, K, peaks, 4); rows of padding are 0.
    """
    support = torch.zeros_like(candidates.scores) if relation is None else _support(relation, candidates)
    rows = torch.cat([candidates.xy, candidates.scores[..., None], support[..., None]], dim=-1)
    kept = torch.where(candidates.mask[..., None], rows, torch.zeros_like(rows))
    return kept.reshape(kept.shape[0], -1, candidates.peaks, rows.shape[2])


def draw_evidence(
    candidates: Candidates, relation: Float[Tensor, "batch candidates candidates"], shape_hw: tuple[int, int]
) -> Float[Tensor, "batch keypoints height width"]:
    """Draws a Gaussian on each candidate, as high as its support, into the heatmap of its keypoint.

    Args:
        candidates: The candidates of a batch.
        relation: (B, Np, Np) A between them.
        shape_hw: Height and width of the heatmaps.
    """
    support = _support(relation, candidates)  # 0 for padding, as A is
    drawn: Tensor = encode(candidates.xy, shape_hw, _EVIDENCE_SIGMA) * support[..., None, None]
    # -1 is the batch: its size stays free in exported networks.
    return drawn.reshape(-1, drawn.shape[1] // candidates.peaks, candidates.peaks, *shape_hw).sum(2)


def _support(relation: Tensor, candidates: Candidates) -> Tensor:
    """(B, Np) the mean, over the other keypoints, of the highest relation to one of their candidates."""
    batch, count = relation.shape[:2]
    best = relation.float().reshape(batch, count, -1, candidates.peaks).amax(-1)  # (B, Np, K)
    keypoints = best.shape[2]
    others = (candidates.keypoint[:, None] != torch.arange(keypoints, device=best.device)).to(best.dtype)
    support: Tensor = (best * others).sum(-1) / max(keypoints - 1, 1)
    return support
