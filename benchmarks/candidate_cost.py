"""Compares the forward pass of RSGNet with candidate relations and of plain HRNet: the cost of the paper's relation.

`python benchmarks/candidate_cost.py [--batch 8]`

The network that the authors released relates all pixels and takes 1.36 times as long as its HRNet; ours relates
candidates. Weights are random, because the time of a forward pass does not depend on them.
"""

import argparse
from collections.abc import Callable

import torch
from measurement import Measurement, Timings, at_most, make_parser, report, set_up

from rsgnet.checkpoint import build
from rsgnet.config import PoseConfig
from rsgnet.presets import preset_named

BOUNDS = {"256x192": 1.08, "384x288": 1.06}


def make_forward(preset: str, batch: int) -> Callable[[], object]:
    config = preset_named(preset)
    assert isinstance(config, PoseConfig)
    torch.manual_seed(0)
    network = build(config).eval().to(memory_format=torch.channels_last)
    width, height = config.crop.size_wh
    crops = torch.randn(batch, 3, height, width).contiguous(memory_format=torch.channels_last)

    def forward() -> object:
        with torch.inference_mode():
            return network(crops)

    return forward


def measure(arguments: argparse.Namespace) -> list[Measurement]:
    measurements = []
    for size, bound in BOUNDS.items():
        calls = {kind: make_forward(f"{kind}-w32-{size}-coco", arguments.batch) for kind in ("hrnet", "rsgnet")}
        ratio = Timings(calls, arguments.rounds, arguments.seconds).ratio("rsgnet", "hrnet")
        name = f"W32 {size}, batch {arguments.batch}: RSGNet's forward over HRNet's"
        measurements.append(at_most(name, ratio, bound))
    return measurements


def main() -> None:
    parser = make_parser(__doc__, rounds=7)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    set_up(arguments.threads)
    report("candidate_cost", measure(arguments), arguments)


if __name__ == "__main__":
    main()
