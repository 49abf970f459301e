"""Where `torch.compile` and channels last pay: forwards in PyTorch, side by side, on the CPU or a GPU.

`python benchmarks/compiled.py [NETWORK ...] [--device cpu] [--batches 1 32] [--precision float32]`

The network laid out as PyTorch does by default and not compiled is 1. Compiling takes its time once for each shape; it
is printed, and not part of the ratios. The peak is that of a product of large matrices in the same precision; on a GPU
the memory is printed, too.
"""

import argparse
import time
from collections.abc import Callable

import measuring
import torch
from torch import Tensor, nn

from rsgnet.checkpoint import build
from rsgnet.config import PoseConfig
from rsgnet.model.cost import cost_of
from rsgnet.presets import preset_named

NETWORKS = ["nano", "rsgnet-w32-256x192-coco"]
PLAIN, PRODUCT = "contiguous", "product of matrices"
MATRIX = 4096


def forward_of(network: nn.Module, crops: Tensor, kind: torch.dtype) -> Callable[[], object]:
    def forward() -> object:
        with torch.inference_mode(), torch.autocast(crops.device.type, kind, enabled=kind != torch.float32):
            found = network(crops).target_heatmaps
        if crops.device.type == "cuda":
            torch.cuda.synchronize()
        return found

    return forward


def product_of(device: torch.device, kind: torch.dtype) -> Callable[[], object]:
    one, other = (torch.randn(MATRIX, MATRIX, device=device, dtype=kind) for _ in range(2))

    def product() -> object:
        found = one @ other
        if device.type == "cuda":
            torch.cuda.synchronize()
        return found

    return product


def figures_of(name: str, batch: int, arguments: argparse.Namespace) -> list[measuring.Figure]:
    config = preset_named(name)
    assert isinstance(config, PoseConfig)
    device, kind = torch.device(arguments.device), getattr(torch, arguments.precision)
    torch.manual_seed(0)
    network = build(config).eval().to(device)
    width, height = config.crop.size_wh
    crops = torch.randn(batch, 3, height, width, device=device)
    last = build(config).eval().to(device, memory_format=torch.channels_last)
    last.load_state_dict(network.state_dict())
    stored = crops.contiguous(memory_format=torch.channels_last)
    torch._dynamo.reset()
    compiled = forward_of(torch.compile(last), stored, kind)  # type: ignore[arg-type]
    start = time.perf_counter()
    compiled()
    print(f"  {name}, batch {batch}: compiled in {time.perf_counter() - start:.0f} s", flush=True)
    rivals = {
        PLAIN: forward_of(network, crops, kind),
        "channels last": forward_of(last, stored, kind),
        "channels last, compiled": compiled,
        PRODUCT: product_of(device, kind),
    }
    times = measuring.SideBySide(rivals, arguments.rounds, arguments.seconds)
    what = f"{name}, {arguments.device}, {arguments.precision}, batch {batch}"
    cost = cost_of(build(config), config.crop.size_wh)
    share = batch * cost.macs / MATRIX**3  # of the product's multiply-adds
    figures = []
    for rival in list(rivals)[:-1]:
        figures.append(measuring.Figure(f"{what}: crops a second, {rival}", times.rate(rival, batch)))
        if rival != PLAIN:
            figures.append(measuring.Figure(f"{what}: {rival} to {PLAIN}", times.ratio(PLAIN, to=rival)))
        of_peak = times.ratio(PRODUCT, to=rival).scaled(share)
        figures.append(measuring.Figure(f"{what}: share of the machine's peak, {rival}", of_peak))
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated() / 1e6
        figures.append(measuring.Figure(f"{what}: MB at the most", measuring.Spread.of([memory])))
    return figures


def main() -> None:
    parser = measuring.arguments_of(__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    measuring.use_threads(arguments.threads)
    measuring.print_machine(arguments.threads)
    figures = [
        figure
        for name in arguments.networks
        for batch in arguments.batches
        for figure in figures_of(name, batch, arguments)
    ]
    measuring.report(f"compiled_{arguments.device}_{arguments.precision}", figures, arguments)


if __name__ == "__main__":
    main()
