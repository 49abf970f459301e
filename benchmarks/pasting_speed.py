"""Measures how many training crops per second one core makes, with and without people pasted into them.

`python benchmarks/pasting_speed.py ANNOTATIONS.json IMAGES_DIR [--preset nano] [--crops 1000]`
"""

import argparse
import platform
import time
from pathlib import Path

import torch

from rsgnet.config_files import with_settings
from rsgnet.data.batches import SeededDraws
from rsgnet.data.dataset import DataSource, PoseDataset
from rsgnet.presets import preset_named


def crops_per_second(dataset: PoseDataset, crops: int) -> tuple[float, float]:
    """Returns the speed of the first pass, which reads images, and of the second, with images in memory."""
    draws = list(SeededDraws(dataset.weights, crops, seed=0))
    speeds = []
    for _ in range(2):
        start = time.process_time()
        for draw in draws:
            dataset[draw]
        speeds.append(crops / (time.process_time() - start))
    return speeds[0], speeds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--crops", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    source = DataSource(arguments.annotations, arguments.images)
    print(f"{platform.processor() or platform.machine()}, one thread, {arguments.preset}, {arguments.crops} crops")
    for paste in (0.0, 0.5, 1.0):
        config = with_settings(preset_named(arguments.preset), [f"training.augment.paste={paste}"])
        start = time.process_time()
        dataset = PoseDataset([source], config, augmented=True)
        seconds = time.process_time() - start
        first, second = crops_per_second(dataset, arguments.crops)
        print(f"paste {paste}: {first:.0f} crops/s, then {second:.0f} from memory; data set read in {seconds:.1f} s")


if __name__ == "__main__":
    main()
