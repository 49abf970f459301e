"""What the relation map says of each candidate, small enough to leave the network with the heatmaps."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from rsgnet.model.relation_parser import Candidates, bilinear_weights, find_candidates
from rsgnet.model.rsgnet import ModelOutput


def candidate_table(
    output: ModelOutput, peaks: int, threshold: float
) -> Float[Tensor, "batch keypoints peaks columns"] | None:
    """The candidates of each keypoint, highest first: x, y in heatmap pixels, height, support.

    A candidate's support is its mean relation to the other keypoints, each taking part with the candidate that it is
    related to most: how well the rest of the box's person agrees that this candidate is theirs, too. A network whose
    relation goes between all pixels ("dense") gives candidates without support.

    Args:
        output: What the network predicts.
        peaks: Candidates of each keypoint, as the network was built with.
        threshold: Peaks not above it are no candidates.

    Returns:
        (B, K, peaks, 4); rows of padding are 0. None where the network has no candidate heatmaps.
    """
    if output.candidate_heatmaps is None:
        return None
    found = output.candidates or find_candidates(output.candidate_heatmaps, peaks, threshold)
    support = torch.zeros_like(found.scores) if output.relation is None else _support(output.relation, found, peaks)
    rows = torch.cat([found.xy, found.scores[..., None], support[..., None]], dim=-1)
    kept = torch.where(found.mask[..., None], rows, torch.zeros_like(rows))
    return kept.reshape(kept.shape[0], -1, peaks, rows.shape[2])


def candidate_relation(
    output: ModelOutput, peaks: int, threshold: float
) -> Float[Tensor, "batch candidates candidates"] | None:
    """(B, Np, Np) the relation between the candidates of `candidate_table`; 0 for padding.

    Of a relation between all pixels ("dense") it is read where the candidates lie. None without a relation.
    """
    if output.dense_relation is None or output.candidate_heatmaps is None:
        return output.relation
    found = find_candidates(output.candidate_heatmaps, peaks, threshold)
    clues, shape_hw = output.dense_relation.clues, output.candidate_heatmaps.shape[2:]
    scale = found.xy.new_tensor([clues.shape[3] / shape_hw[1], clues.shape[2] / shape_hw[0]])
    places = bilinear_weights((found.xy + 0.5) * scale - 0.5, (clues.shape[2], clues.shape[3]))
    at_candidates = places @ clues.flatten(2).transpose(1, 2)
    kept = found.mask[:, :, None] & found.mask[:, None, :]
    related: Tensor = torch.sigmoid(at_candidates @ at_candidates.transpose(1, 2)) * kept
    return related


def _support(relation: Tensor, candidates: Candidates, peaks: int) -> Tensor:
    """(B, Np) the mean, over the other keypoints, of the highest relation to one of their candidates."""
    batch, count = relation.shape[:2]
    best = relation.float().reshape(batch, count, -1, peaks).amax(-1)  # (B, Np, K)
    keypoints = best.shape[2]
    others = (candidates.keypoint[:, None] != torch.arange(keypoints, device=best.device)).to(best.dtype)
    support: Tensor = (best * others).sum(-1) / max(keypoints - 1, 1)
    return support
