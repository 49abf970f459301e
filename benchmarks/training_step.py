"""How fast a network trains here: one step of a preset, with its memory laid out both ways, side by side.

`python benchmarks/training_step.py [PRESET] [--threads 1] [--rounds 5]`
"""

import argparse
import platform
import statistics
import time

import torch

from rsgnet.checkpoint import build
from rsgnet.config import PoseConfig
from rsgnet.data.dataset import Sample
from rsgnet.model.pixels import normalise
from rsgnet.presets import preset_named
from rsgnet.skeletons import skeleton_named
from rsgnet.training.losses import pose_losses

STEPS = 4


def random_batch(config: PoseConfig) -> Sample:
    (height, width), keypoints = config.crop.heatmap_shape_hw, len(skeleton_named(config.model.skeleton))
    batch, people = config.training.batch_size, config.training.max_people
    return Sample(
        crop=torch.randint(0, 256, (batch, config.crop.size_wh[1], config.crop.size_wh[0], 3), dtype=torch.uint8),
        keypoints_xy=torch.rand(batch, people, keypoints, 2) * torch.tensor([width, height]),
        labelled=torch.rand(batch, people, keypoints) > 0.5,
        background=torch.ones(batch, height, width, dtype=torch.bool),
        box_area=torch.ones(batch),
    )


def stepper(config: PoseConfig, layout: torch.memory_format, batch: Sample):
    model = build(config).train().to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    skeleton = skeleton_named(config.model.skeleton)

    def step() -> None:
        crops = normalise(batch.crop, config.crop.mean, config.crop.std).contiguous(memory_format=layout)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(crops)
        optimizer.zero_grad()
        pose_losses(output, batch, skeleton, config.training.loss).total.backward()
        optimizer.step()

    return step


def seconds(step) -> float:
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - start) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", nargs="?", default="nano")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    config = preset_named(arguments.preset)
    batch = random_batch(config)
    steps = [stepper(config, layout, batch) for layout in (torch.contiguous_format, torch.channels_last)]
    for step in steps:
        step()
    rounds = [[seconds(step) for step in steps] for _ in range(arguments.rounds)]
    plain, last = (statistics.median(each) for each in zip(*rounds, strict=True))
    ratios = [one / other for one, other in rounds]
    crops = config.training.batch_size
    machine = platform.processor() or platform.machine()
    print(f"{machine}, torch {torch.__version__}, {arguments.threads} threads, bf16")
    print(f"{config.name}, batch {crops}: {crops / plain:.0f} crops/s plain, {crops / last:.0f} channels last")
    print(
        f"ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds)"
    )


if __name__ == "__main__":
    main()
