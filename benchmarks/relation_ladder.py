"""Measures what a network would gain if its candidates, its relation or both were perfect.

`python benchmarks/relation_ladder.py ANNOTATIONS.json IMAGES_DIR MODEL_DIR [MODEL_DIR ...] [--crops 1000] [--paste]`

A network with a relation of candidates is run five times: as it is; without its relation (A = 0); with the true
relation between its own candidates; with the labelled keypoints of everyone in the crop as candidates and its own
relation; and with both. It was trained on its own relation, so that the last three are estimates of a ceiling. Networks
without a relation are run as they are.

Printed are the mean OKS of the crops' persons, and the mean share of them over the OKS thresholds 0.5, 0.55, ... 0.95
(AR), with the difference to the first row, paired by person, and the interval of 95 % of resamples of people.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from relation_accuracy import open_people
from torch import Tensor

from rsgnet.checkpoint import load_model
from rsgnet.config import PoseConfig
from rsgnet.data.dataset import DataSource, Sample
from rsgnet.model import Candidates
from rsgnet.model.layers import normalise
from rsgnet.model.relation_parser import TargetAwareRelationParser
from rsgnet.skeletons import get_skeleton
from rsgnet.training.labels import relation_labels
from rsgnet.training.task import target_oks
from rsgnet.training_config import LossConfig

BATCH = 16
THRESHOLDS = np.arange(0.5, 0.96, 0.05)
RESAMPLES = 1000
OWN, NO_RELATION, TRUE_RELATION = "as it is", "no relation", "true relation"
TRUE_CANDIDATES, TRUE_BOTH = "true candidates", "true candidates and relation"
REPLACED = NO_RELATION, TRUE_RELATION, TRUE_CANDIDATES, TRUE_BOTH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--crops", type=int, default=1000, help="the number of people")
    parser.add_argument("--paste", action="store_true", help="paste other people of the data set into every crop")
    arguments = parser.parse_args()
    source = DataSource(arguments.annotations, arguments.images)
    rows: dict[str, np.ndarray] = {}
    for path in arguments.models:
        rows |= {f"{path}, {kind}": scores for kind, scores in measure(path, source, arguments).items()}
    print("| network | mean OKS | AR | less the first row |\n|---|---|---|---|")
    first = next(iter(rows.values()))
    for name, scores in rows.items():
        low, difference, high = interval(scores, first)
        less_first = "" if scores is first else f"{difference:+.3f} ({low:+.3f} to {high:+.3f})"
        print(f"| {name} | {scores.mean():.3f} | {recall(scores).mean():.3f} | {less_first} |")


def measure(path: Path, source: DataSource, arguments: argparse.Namespace) -> dict[str, np.ndarray]:
    """Returns the (N,) OKS of the people by what is replaced."""
    model, config = load_model(path)
    if not isinstance(config, PoseConfig):
        raise SystemExit(f"{path}: is no pose network")
    people, sigmas = open_people(config, source, arguments.paste), get_skeleton(config.model.skeleton).sigmas
    has_relation = config.model.candidates is not None and isinstance(
        getattr(model, "relation_parser", None), TargetAwareRelationParser
    )
    kinds = (OWN, *REPLACED) if has_relation else (OWN,)
    scores: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
    count = min(arguments.crops, len(people))
    for start in range(0, count, BATCH):
        batch = Sample.stack([people[index] for index in range(start, min(start + BATCH, count))])
        crops = normalise(batch.crop, config.crop.mean, config.crop.std)
        for kind in kinds:
            with torch.inference_mode(), replaced(model, kind, batch, config.training.loss):
                heatmaps = model(crops).target_heatmaps
            scores[kind].append(target_oks(heatmaps, batch, config, sigmas))
    return {kind: torch.cat(each).numpy() for kind, each in scores.items()}


@contextmanager
def replaced(model: torch.nn.Module, kind: str, batch: Sample, loss: LossConfig) -> Iterator[None]:
    """Replaces a network's relation by nothing, or its candidates, its relation or both by the truth about a batch."""
    if kind == OWN:
        yield
        return
    parser = model.relation_parser
    assert isinstance(parser, TargetAwareRelationParser)
    own_find, found = parser.find_candidates, []

    def find(heatmaps: Tensor, peaks: int, threshold: float) -> Candidates:
        is_own = kind in (NO_RELATION, TRUE_RELATION)
        found[:] = [own_find(heatmaps, peaks, threshold) if is_own else true_candidates(batch, heatmaps, peaks)]
        return found[0]

    def relate(clues: Tensor, mask: Tensor) -> Tensor:
        labels, _ = relation_labels(found[0], batch, loss)
        return labels * (kind != NO_RELATION) * (mask[:, :, None] & mask[:, None, :])

    parser.find_candidates = find
    if kind != TRUE_CANDIDATES:
        parser.relate = relate  # type: ignore[method-assign]
    try:
        yield
    finally:
        parser.find_candidates = own_find
        parser.__dict__.pop("relate", None)


def true_candidates(batch: Sample, heatmaps: Tensor, peaks: int) -> Candidates:
    """The labelled keypoints in the crops, of the target and as many others as there are places for."""
    keypoints, height, width = heatmaps.shape[1:]
    limits = heatmaps.new_tensor([width - 1, height - 1])
    xy = batch.keypoints_xy[:, :peaks]
    mask = batch.labelled[:, :peaks] & ((xy >= 0) & (xy <= limits)).all(-1)
    missing = peaks - xy.shape[1]  # fewer people than places
    xy = torch.cat([xy, xy.new_zeros(len(xy), missing, keypoints, 2)], 1).transpose(1, 2).flatten(1, 2)
    mask = torch.cat([mask, mask.new_zeros(len(mask), missing, keypoints)], 1).transpose(1, 2).flatten(1, 2)
    kinds = torch.arange(keypoints * peaks, device=xy.device) // peaks
    return Candidates(xy, kinds, mask.float(), mask, peaks)


def recall(scores: np.ndarray) -> np.ndarray:
    """Returns the share of the OKS thresholds that each person passes."""
    return (scores[:, None] >= THRESHOLDS).mean(1)


def interval(scores: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """Returns the lower end, the value and the upper end of the difference of AR to the same people's other scores."""
    difference = recall(scores) - recall(others)
    chosen = np.random.default_rng(0).integers(0, len(difference), (RESAMPLES, len(difference)))
    low, high = np.quantile(difference[chosen].mean(1), (0.025, 0.975))
    return float(low), float(difference.mean()), float(high)


if __name__ == "__main__":
    main()
