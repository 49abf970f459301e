"""Measures what a network knows about everyone in a crop: whose keypoints it finds, and whether it tells them apart.

`python benchmarks/relation_accuracy.py MODEL_DIR ANNOTATIONS.json IMAGES_DIR [--crops 320] [--paste]`

Printed are

- the recall of candidates: the share of labelled keypoints in the crop, of its own person and of others, that a
  candidate of their kind lies on;
- the AUC of "this candidate is the crop's person's": by the relation map (the mean over the other kinds of the highest
  relation to one of their candidates), by the candidate's height in the target heatmaps, and in everyone's;
- the correlation of the relation map with the true relations over all pairs, and that of the product of both heights.

A relation that knows less than the heights that it starts from is worth nothing.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from rsgnet.checkpoint import load_model
from rsgnet.config import PoseConfig
from rsgnet.data.dataset import DataSource, PoseDataset, Sample
from rsgnet.model import Candidates, ModelOutput
from rsgnet.model.layers import normalise
from rsgnet.model.relation_parser import bilinear_weights, candidate_table
from rsgnet.training.labels import relation_labels
from rsgnet.training_config import AugmentConfig

BATCH = 16


@dataclass(frozen=True)
class Measured:
    """What a batch adds.

    Attributes:
        found: (2, 2) of the crops' persons and of others: keypoints found, and all.
        candidates: (N, 4) of each candidate whose owner is known: support, target height, height, truth.
        pairs: (M, 3) of each pair: relation, product of the target heights, truth.
    """

    found: Tensor
    candidates: Tensor
    pairs: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--crops", type=int, default=320, help="the number of people")
    parser.add_argument("--paste", action="store_true", help="paste other people of the data set into every crop")
    arguments = parser.parse_args()
    model, config = load_model(arguments.model)
    if not isinstance(config, PoseConfig) or config.model.candidates is None:
        parser.error(f"{arguments.model}: has no relation of candidates")
    people = open_people(config, DataSource(arguments.annotations, arguments.images), arguments.paste)
    reach, parts = config.training.loss.match_sigmas * config.training.loss.sigma, []
    for first in range(0, min(arguments.crops, len(people)), BATCH):
        last = min(first + BATCH, arguments.crops, len(people))
        batch = Sample.stack([people[index] for index in range(first, last)])
        with torch.inference_mode():
            output = model(normalise(batch.crop, config.crop.mean, config.crop.std))
        parts.append(measure(output, batch, config, reach))
    print(f"{arguments.model}, {min(arguments.crops, len(people))} crops{', people pasted in' * arguments.paste}:")
    (own, all_own), (others, all_others) = sum(part.found for part in parts).tolist()
    print(f"candidates hold {own / all_own:.3f} of the person's keypoints, {others / all_others:.3f} of other people's")
    support, target_height, height, is_own = torch.cat([part.candidates for part in parts]).T
    print(
        f"AUC of the person's own: relation {auc(support, is_own):.3f}, height in the target heatmap "
        f"{auc(target_height, is_own):.3f}, in everyone's {auc(height, is_own):.3f}"
    )
    relation, product, together = torch.cat([part.pairs for part in parts]).T
    print(
        f"correlation with the truth over {len(together)} pairs: relation {correlation(relation, together):.3f}, "
        f"product of heights {correlation(product, together):.3f}"
    )


def open_people(config: PoseConfig, source: DataSource, paste: bool) -> PoseDataset:
    """Opens the people of a data set, each in an upright crop, with people pasted into all of them or none."""
    still = AugmentConfig(rotation_deg=0, scale=0, flip=0, half_body=0, paste=float(paste))
    return PoseDataset([source], replace(config, training=replace(config.training, augment=still)), augmented=paste)


def measure(output: ModelOutput, batch: Sample, config: PoseConfig, reach: float) -> Measured:
    """Measures one batch."""
    candidates, relation = output.candidates, output.candidate_relation
    assert candidates is not None and relation is not None
    labels, known = relation_labels(candidates, batch, config.training.loss)
    is_own, is_known = labels.diagonal(dim1=1, dim2=2), known.diagonal(dim1=1, dim2=2) > 0
    support = candidate_table(candidates, relation)[..., 3].flatten(1)
    height, width = output.target_heatmaps.shape[2:]
    kinds = candidates.keypoint.expand(len(support), -1)
    sampled = bilinear_weights(candidates.xy, (height, width)) @ output.target_heatmaps.flatten(2).transpose(1, 2)
    target_height = sampled.gather(2, kinds[..., None])[..., 0]
    product = target_height[:, :, None] * target_height[:, None]
    return Measured(
        found=count_found(candidates, batch, reach, (height, width)),
        candidates=torch.stack([support, target_height, candidates.scores, is_own], -1)[is_known],
        pairs=torch.stack([relation, product, labels], -1)[known > 0],
    )


def count_found(candidates: Candidates, batch: Sample, reach: float, shape_hw: tuple[int, int]) -> Tensor:
    """(2, 2) of the crops' persons and of others: the labelled keypoints in the crop that were found, and all."""
    places = batch.keypoints_xy
    limits = places.new_tensor([shape_hw[1] - 1, shape_hw[0] - 1])
    there = batch.labelled & ((places >= 0) & (places <= limits)).all(-1)  # (B, P, K)
    xy, mask = (each.unflatten(1, (-1, candidates.peaks)) for each in (candidates.xy, candidates.mask))
    near = (places[:, :, :, None] - xy[:, None]).norm(dim=-1) < reach  # (B, P, K, peaks)
    found = there & (near & mask[:, None]).any(-1)
    return torch.tensor([[found[:, 0].sum(), there[:, 0].sum()], [found[:, 1:].sum(), there[:, 1:].sum()]])


def auc(scores: Tensor, truth: Tensor) -> float:
    """Returns how often a true one scores higher than a false one; equal scores count half."""
    positive, negative = scores[truth > 0], scores[truth <= 0].sort().values
    lower = torch.searchsorted(negative, positive) + torch.searchsorted(negative, positive, right=True)
    return float(lower.double().mean() / 2 / len(negative))


def correlation(values: Tensor, truth: Tensor) -> float:
    """Returns the correlation coefficient."""
    return float(torch.corrcoef(torch.stack([values, truth]))[0, 1])


if __name__ == "__main__":
    main()
