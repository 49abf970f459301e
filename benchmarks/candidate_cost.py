"""What the paper's relation costs over plain HRNet: the whole forward of both, side by side.

`python benchmarks/candidate_cost.py [--batch 8]`

The network that the authors released relates all pixels and takes 1.36 times as long as its HRNet; ours relates
candidates. Weights are random: how long a forward takes does not depend on them.
"""

import argparse
from collections.abc import Callable

import measuring
import torch

from rsgnet.checkpoint import build
from rsgnet.config import PoseConfig
from rsgnet.presets import preset_named

BOUNDS = {"256x192": 1.08, "384x288": 1.06}


def forward_of(preset: str, batch: int) -> Callable[[], object]:
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


def figures_of(arguments: argparse.Namespace) -> list[measuring.Figure]:
    found = []
    for size, bound in BOUNDS.items():
        rivals = {kind: forward_of(f"{kind}-w32-{size}-coco", arguments.batch) for kind in ("hrnet", "rsgnet")}
        ratio = measuring.SideBySide(rivals, arguments.rounds, arguments.seconds).ratio("rsgnet", "hrnet")
        what = f"W32 {size}, batch {arguments.batch}: RSGNet's forward over HRNet's"
        found.append(measuring.at_most(what, ratio, bound))
    return found


def main() -> None:
    parser = measuring.arguments_of(__doc__, rounds=7)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    measuring.use_threads(arguments.threads)
    measuring.print_machine(arguments.threads)
    measuring.report("candidate_cost", figures_of(arguments), arguments)


if __name__ == "__main__":
    main()
