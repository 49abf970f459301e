"""Whether a network knows who belongs together: its relation map held to the truth on held-out crops.

`python benchmarks/relations.py MODEL_DIR ANNOTATIONS.json IMAGES_DIR [--crops 320]`

A correlation of 0, or an error no smaller than the variance of the truth, says that the map knows nothing.
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
    parser.add_argument("--crops", type=int, default=320, help="the first so many people")
    arguments = parser.parse_args()
    model, config = load_model(arguments.model)
    model.eval()
    people = PoseDataset([DataSource(arguments.annotations, arguments.images)], config, augmented=False)
    found, wanted = [], []
    for first in range(0, min(arguments.crops, len(people)), BATCH):
        last = min(first + BATCH, arguments.crops, len(people))
        batch = Sample.stack([people[index] for index in range(first, last)])
        with torch.no_grad():
            output = model(normalise(batch.crop, config.crop.mean, config.crop.std))
        if output.relation is None:
            parser.error(f"{arguments.model}: has no relation of candidates")
        truth, known = relation_labels(output.candidates, batch, config.training.loss)
        found.append(output.relation[known > 0])
        wanted.append(truth[known > 0])
    relation, together = torch.cat(found), torch.cat(wanted)
    print(
        f"{arguments.model}: {len(together)} pairs, {together.mean():.1%} of them the target's; variance of the truth "
        f"{together.var():.4f}, squared error {(relation - together).square().mean():.4f}, "
        f"correlation {torch.corrcoef(torch.stack([relation, together]))[0, 1]:.3f}, highest {relation.max():.3f}"
    )


if __name__ == "__main__":
    main()
