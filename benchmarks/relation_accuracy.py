"""Compares a network's relation map with the true relations on held-out crops.

`python benchmarks/relation_accuracy.py MODEL_DIR ANNOTATIONS.json IMAGES_DIR [--crops 320]`

A correlation of 0, or a squared error of at least the variance of the true relations, means that the map contains no
information.
"""

import argparse
from pathlib import Path

import torch

from rsgnet.checkpoint import load_model
from rsgnet.data.dataset import DataSource, PoseDataset, Sample
from rsgnet.model.layers import normalise
from rsgnet.training.labels import relation_labels

BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--crops", type=int, default=320, help="the number of people")
    arguments = parser.parse_args()
    model, config = load_model(arguments.model)
    model.eval()
    people = PoseDataset([DataSource(arguments.annotations, arguments.images)], config, augmented=False)
    predicted, true = [], []
    for first in range(0, min(arguments.crops, len(people)), BATCH):
        last = min(first + BATCH, arguments.crops, len(people))
        batch = Sample.stack([people[index] for index in range(first, last)])
        with torch.no_grad():
            output = model(normalise(batch.crop, config.crop.mean, config.crop.std))
        if output.relation is None:
            parser.error(f"{arguments.model}: has no relation of candidates")
        labels, known = relation_labels(output.candidates, batch, config.training.loss)
        predicted.append(output.relation[known > 0])
        true.append(labels[known > 0])
    relation, label = torch.cat(predicted), torch.cat(true)
    print(
        f"{arguments.model}: {len(label)} pairs, {label.mean():.1%} of them of the target person; variance of the "
        f"labels {label.var():.4f}, squared error {(relation - label).square().mean():.4f}, "
        f"correlation {torch.corrcoef(torch.stack([relation, label]))[0, 1]:.3f}, highest {relation.max():.3f}"
    )


if __name__ == "__main__":
    main()
