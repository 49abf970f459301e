"""All hostile cases. `python -m tests.hostile.corpus FOLDER` writes them to a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tests.hostile.cases import Case
from tests.hostile.clips import clip_cases
from tests.hostile.images import image_cases
from tests.hostile.labels import label_cases
from tests.hostile.models import model_cases
from tests.hostile.results import result_cases
from tests.hostile.shards import shard_cases

CATEGORIES: dict[str, Callable[[np.random.Generator], Iterator[Case]]] = {
    "images": image_cases,
    "clips": clip_cases,
    "labels": label_cases,
    "results": result_cases,
    "models": model_cases,
    "shards": shard_cases,
}


def make_cases(category: str, seed: int = 0) -> list[Case]:
    """Returns the cases of a category, which are the same for the same seed."""
    return list(CATEGORIES[category](np.random.default_rng(seed)))


if __name__ == "__main__":
    for each in CATEGORIES:
        for number, case in enumerate(make_cases(each)):
            print(case.write(Path(sys.argv[1]) / each / f"{number:04}"), case.name, sep="\t")
