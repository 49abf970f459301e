"""Measures the gain from `torch.compile` and the channels-last layout in forward passes on the CPU or a GPU.

`python benchmarks/compile_speed.py [NETWORK ...] [--device cpu] [--batches 1 32] [--precision float32]`

The baseline is the network with PyTorch's default layout, not compiled. Compiling takes its time once for each shape;
that is printed, and not part of the ratios. The peak is that of a product of large matrices in the same precision. On
a GPU the memory is measured, too.
"""

import argparse
import time
from collections.abc import Callable

import torch
from measurement import Measurement, Spread, Timings, make_parser, report, set_up
from torch import Tensor, nn

from rsgnet.checkpoint import build
from rsgnet.config import PoseConfig
from rsgnet.model.cost import count_cost
from rsgnet.presets import preset_named

NETWORKS = ["nano", "rsgnet-w32-256x192-coco"]
BASELINE, PRODUCT = "contiguous", "product of matrices"
MATRIX = 4096


def make_forward(network: nn.Module, crops: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    def forward() -> object:
        with torch.inference_mode(), torch.autocast(crops.device.type, dtype, enabled=dtype != torch.float32):
            heatmaps = network(crops).target_heatmaps
        if crops.device.type == "cuda":
            torch.cuda.synchronize()
        return heatmaps

    return forward


def make_product(device: torch.device, dtype: torch.dtype) -> Callable[[], object]:
    one, other = (torch.randn(MATRIX, MATRIX, device=device, dtype=dtype) for _ in range(2))

    def multiply() -> object:
        product = one @ other
        if device.type == "cuda":
            torch.cuda.synchronize()
        return product

    return multiply


def measure(name: str, batch: int, arguments: argparse.Namespace) -> list[Measurement]:
    config = preset_named(name)
    assert isinstance(config, PoseConfig)
    device, dtype = torch.device(arguments.device), getattr(torch, arguments.precision)
    torch.manual_seed(0)
    network = build(config).eval().to(device)
    width, height = config.crop.size_wh
    crops = torch.randn(batch, 3, height, width, device=device)
    last = build(config).eval().to(device, memory_format=torch.channels_last)
    last.load_state_dict(network.state_dict())
    last_crops = crops.contiguous(memory_format=torch.channels_last)
    torch._dynamo.reset()
    compiled = make_forward(torch.compile(last), last_crops, dtype)  # type: ignore[arg-type]
    start = time.perf_counter()
    compiled()
    print(f"  {name}, batch {batch}: compiled in {time.perf_counter() - start:.0f} s", flush=True)
    forwards = {
        BASELINE: make_forward(network, crops, dtype),
        "channels last": make_forward(last, last_crops, dtype),
        "channels last, compiled": compiled,
    }
    times = Timings({**forwards, PRODUCT: make_product(device, dtype)}, arguments.rounds, arguments.seconds)
    prefix = f"{name}, {arguments.device}, {arguments.precision}, batch {batch}"
    work = batch * count_cost(build(config), config.crop.size_wh).macs / MATRIX**3  # relative to the product's
    measurements = []
    for form in forwards:
        measurements.append(Measurement(f"{prefix}: crops per second, {form}", times.rate(form, batch)))
        if form != BASELINE:
            ratio = times.ratio(BASELINE, to=form)
            measurements.append(Measurement(f"{prefix}: {form} relative to {BASELINE}", ratio))
        share = times.ratio(PRODUCT, to=form).scaled(work)
        measurements.append(Measurement(f"{prefix}: share of the machine's peak, {form}", share))
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated() / 1e6
        measurements.append(Measurement(f"{prefix}: maximum MB", Spread.of(memory)))
    return measurements


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    set_up(arguments.threads)
    measurements = [
        measurement
        for name in arguments.networks
        for batch in arguments.batches
        for measurement in measure(name, batch, arguments)
    ]
    kind = None if arguments.device == "cpu" else "gpu"
    report(f"compile_speed_{arguments.device}_{arguments.precision}", measurements, arguments, kind)


if __name__ == "__main__":
    main()
