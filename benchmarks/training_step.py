"""Measures the speed of a training step of a preset, and the gain from channels last and faster depthwise gradients.

`python benchmarks/training_step.py [PRESET] [--threads 1] [--bf16]`

The baseline is PyTorch's default memory layout. The third form is the trainer's on CPUs: with channels last, the
larger depthwise convolutions take their gradients from 3x3 windows, and in bfloat16 those of stride 2 by stride 1.
"""

from collections.abc import Callable

import torch
from measurement import Measurement, Timings, make_parser, report, set_up

from rsgnet.checkpoint import build
from rsgnet.config import PoseConfig
from rsgnet.data.dataset import Sample
from rsgnet.model.layers import normalise
from rsgnet.presets import preset_named
from rsgnet.skeletons import get_skeleton
from rsgnet.training.depthwise import use_fast_depthwise
from rsgnet.training.losses import pose_losses

CONTIGUOUS, LAST, FAST = "contiguous", "channels last", "channels last, depthwise gradients from windows"


def random_batch(config: PoseConfig) -> Sample:
    (height, width), keypoints = config.crop.heatmap_shape_hw, len(get_skeleton(config.model.skeleton))
    batch, people = config.training.batch_size, config.training.max_people
    return Sample(
        crop=torch.randint(0, 256, (batch, config.crop.size_wh[1], config.crop.size_wh[0], 3), dtype=torch.uint8),
        keypoints_xy=torch.rand(batch, people, keypoints, 2) * torch.tensor([width, height]),
        labelled=torch.rand(batch, people, keypoints) > 0.5,
        background=torch.ones(batch, keypoints, height, width, dtype=torch.bool),
        box_area=torch.ones(batch),
    )


def make_step(config: PoseConfig, kind: str, batch: Sample, bf16: bool) -> Callable[[], None]:
    layout = torch.contiguous_format if kind == CONTIGUOUS else torch.channels_last
    model = build(config).train()
    if kind == FAST:
        use_fast_depthwise(model)
    model = model.to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    skeleton = get_skeleton(config.model.skeleton)

    def step() -> None:
        crops = normalise(batch.crop, config.crop.mean, config.crop.std).contiguous(memory_format=layout)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            losses = pose_losses(model(crops), batch, skeleton, config.training.loss)
        losses.total.backward()
        optimizer.step()

    return step


def main() -> None:
    parser = make_parser(__doc__, threads=1)
    parser.add_argument("preset", nargs="?", default="nano")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16, as training.precision=bf16-mixed")
    arguments = parser.parse_args()
    set_up(arguments.threads)
    torch.manual_seed(0)
    config = preset_named(arguments.preset)
    assert isinstance(config, PoseConfig)
    batch, crops = random_batch(config), config.training.batch_size
    steps = {kind: make_step(config, kind, batch, arguments.bf16) for kind in (CONTIGUOUS, LAST, FAST)}
    times = Timings(steps, arguments.rounds, arguments.seconds)
    prefix = f"{config.name}, training in batches of {crops}{' in bfloat16' if arguments.bf16 else ''}"
    measurements = []
    for kind in steps:
        measurements.append(Measurement(f"{prefix}: crops per second, {kind}", times.rate(kind, crops)))
        if kind != CONTIGUOUS:
            ratio = times.ratio(CONTIGUOUS, to=kind)
            measurements.append(Measurement(f"{prefix}: {kind} relative to {CONTIGUOUS}", ratio))
    report("training_step", measurements, arguments)


if __name__ == "__main__":
    main()
