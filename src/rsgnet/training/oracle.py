"""Training on the truth instead of the network's own candidates or relation, to measure what they could bring at best.

A network trained so cannot be used, because nobody knows the truth about a new image; `benchmarks/relation_ladder.py`
measures it with the truth of labelled images.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rsgnet.data.dataset import Sample
from rsgnet.errors import RSGNetError
from rsgnet.model import Candidates
from rsgnet.model.relation_parser import TargetAwareRelationParser
from rsgnet.training.labels import relation_labels
from rsgnet.training_config import LossConfig, Oracle


@contextmanager
def use_oracle(model: nn.Module, oracle: Oracle, batch: Sample, loss: LossConfig) -> Iterator[None]:
    """Replaces a network's candidates, its relation or both by the truth about the batch that is to be run.

    Args:
        model: The network.
        oracle: What is replaced, as `TrainingConfig.oracle`.
        batch: The batch.
        loss: The distance within which a candidate lies near a keypoint.

    Raises:
        RSGNetError: The network has no relation of candidates.
    """
    if oracle == "none":
        yield
        return
    parser = getattr(model, "relation_parser", None)
    if not isinstance(parser, TargetAwareRelationParser):
        raise RSGNetError(f"training.oracle={oracle} is for networks with model.relation=candidates")
    own_find = parser.find_candidates
    found: list[Candidates] = []

    def find(heatmaps: Tensor, peaks: int, threshold: float) -> Candidates:
        is_own = oracle in ("no_relation", "relation")
        found[:] = [own_find(heatmaps, peaks, threshold) if is_own else true_candidates(batch, heatmaps, peaks)]
        return found[0]

    def relate(clues: Tensor, mask: Tensor) -> Tensor:
        labels, _ = relation_labels(found[0], batch, loss)
        return labels * (mask[:, :, None] & mask[:, None, :]) * (oracle != "no_relation")

    parser.find_candidates = find
    if oracle != "candidates":
        parser.relate = relate  # type: ignore[method-assign]
    try:
        yield
    finally:
        parser.find_candidates = own_find
        parser.__dict__.pop("relate", None)


def true_candidates(batch: Sample, heatmaps: Tensor, peaks: int) -> Candidates:
    """Returns the labelled keypoints in the crops, of the target and as many others as there are places for.

    Args:
        batch: The batch.
        heatmaps: (B, K, h, w) heatmaps, of which only the shape is used.
        peaks: The number of candidates of each keypoint, padding included.
    """
    keypoints, height, width = heatmaps.shape[1:]
    limits = batch.keypoints_xy.new_tensor([width - 1, height - 1])
    xy = batch.keypoints_xy[:, :peaks]
    mask = batch.labelled[:, :peaks] & ((xy >= 0) & (xy <= limits)).all(-1)
    missing = peaks - xy.shape[1]  # fewer people than places
    xy = torch.cat([xy, xy.new_zeros(len(xy), missing, keypoints, 2)], 1).transpose(1, 2).flatten(1, 2)
    mask = torch.cat([mask, mask.new_zeros(len(mask), missing, keypoints)], 1).transpose(1, 2).flatten(1, 2)
    kinds = torch.arange(keypoints * peaks, device=xy.device) // peaks
    return Candidates(xy, kinds, mask.float(), mask, peaks)
