"""Measures what a network would gain if its candidates, its relation or both were perfect.

`python benchmarks/relation_ladder.py ANNOTATIONS.json IMAGES_DIR MODEL_DIR [MODEL_DIR ...] [--crops 1000] [--paste]`

A network with a relation of candidates is run five times: as it is; without its relation (A = 0); with the true
relation between its own candidates; with the labelled keypoints of everyone in the crop as candidates and its own
relation; and with both. What a perfect relation is worth shows a network that was trained with it
(`rsgnet train ... --set training.oracle=relation`), run with it. Networks without a relation are run as they are.

Printed are the mean OKS of the crops' persons, and the mean share of them over the OKS thresholds 0.5, 0.55, ... 0.95
(AR), with the difference to the first row, paired by person, and the interval of 95 % of resamples of people.
"""

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from relation_accuracy import open_people
from torch import Tensor

from rsgnet.checkpoint import load_model
from rsgnet.config import CandidateRelationConfig, PoseConfig
from rsgnet.data.dataset import DataSource, Sample
from rsgnet.evaluation.intervals import bootstrap_counts, percentile_interval
from rsgnet.evaluation.ranking import OKS_THRESHOLDS
from rsgnet.model.layers import normalise
from rsgnet.skeletons import get_skeleton
from rsgnet.training.oracle import use_oracle
from rsgnet.training.task import target_oks
from rsgnet.training_config import Oracle

BATCH = 16
RESAMPLES = 1000
TITLES: dict[Oracle, str] = {
    "none": "as it is",
    "no_relation": "no relation",
    "relation": "true relation",
    "candidates": "true candidates",
    "both": "true candidates and relation",
}


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
        rows |= {f"{path}, {TITLES[oracle]}": scores for oracle, scores in measure(path, source, arguments).items()}
    print("| network | mean OKS | AR | less the first row |\n|---|---|---|---|")
    first = next(iter(rows.values()))
    for name, scores in rows.items():
        low, difference, high = interval(scores, first)
        less_first = "" if scores is first else f"{difference:+.3f} ({low:+.3f} to {high:+.3f})"
        print(f"| {name} | {scores.mean():.3f} | {recall(scores).mean():.3f} | {less_first} |")


def measure(path: Path, source: DataSource, arguments: argparse.Namespace) -> dict[Oracle, np.ndarray]:
    """Returns the (N,) OKS of the people by what is replaced."""
    model, config = load_model(path)
    if not isinstance(config, PoseConfig):
        raise SystemExit(f"{path}: is no pose network")
    people, sigmas = open_people(config, source, arguments.paste), get_skeleton(config.model.skeleton).sigmas
    has_relation = isinstance(config.model.relation, CandidateRelationConfig)
    oracles: tuple[Oracle, ...] = get_args(Oracle) if has_relation else ("none",)
    scores: dict[Oracle, list[Tensor]] = {oracle: [] for oracle in oracles}
    count = min(arguments.crops, len(people))
    for start in range(0, count, BATCH):
        batch = Sample.stack([people[index] for index in range(start, min(start + BATCH, count))])
        crops = normalise(batch.crop, config.crop.mean, config.crop.std)
        for oracle in oracles:
            with torch.inference_mode(), use_oracle(model, oracle, batch, config.training.loss):
                heatmaps = model(crops).target_heatmaps
            scores[oracle].append(target_oks(heatmaps, batch, config, sigmas))
    return {oracle: torch.cat(each).numpy() for oracle, each in scores.items()}


def recall(scores: np.ndarray) -> np.ndarray:
    """Returns the share of the OKS thresholds that each person passes."""
    return (scores[:, None] >= OKS_THRESHOLDS).mean(1)


def interval(scores: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """Returns the lower end, the value and the upper end of the difference of AR to the same people's other scores."""
    difference = recall(scores) - recall(others)
    low, high = percentile_interval(bootstrap_counts(len(difference), RESAMPLES) @ difference / len(difference))
    return low, float(difference.mean()), high


if __name__ == "__main__":
    main()
