"""Measures the speed of pose networks in each back end, relative to eager PyTorch and to the machine's peak.

`python benchmarks/backend_speed.py [NETWORK ...] [--batch 8]`

A network is a model directory or a preset. A preset gets random weights, and the ranges of 8 bits are measured on
noise, because neither changes the speed; `backend_agreement.py` measures what 8 bits cost in AP. The baseline is eager
PyTorch in float32 with the default memory layout. The machine's peak is that of OpenVINO's product of two large
matrices.
"""

import argparse
import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measurement import Calls, Measurement, Timings, at_least, make_parser, report, set_up

from rsgnet.checkpoint import build, load_pose_model, save_model
from rsgnet.config import ExportOptions, PoseConfig
from rsgnet.config_files import EXPORT_OPTIONS_PROPERTY, INT8_FILE, ONNX_FILE, to_json
from rsgnet.errors import RSGNetError
from rsgnet.export.directory import export_onnx
from rsgnet.export.network_files import read_network, set_metadata, write_network
from rsgnet.export.quantise import quantise_network
from rsgnet.inference.runtime.backends import OPENVINO_PRECISIONS, PRECISIONS
from rsgnet.inference.runtime.engines import describe_processor
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.inference.weights import find_weights
from rsgnet.model.cost import count_cost
from rsgnet.model.layers import normalise
from rsgnet.presets import preset_named

NETWORKS = ["nano", "small", "hrnet-w32-256x192-coco", "rsgnet-w32-256x192-coco"]
BOUNDED = "hrnet-w32-256x192-coco"  # the network that has targets
BOUNDS = {"amx": 12.0, "avx512": 3.0}  # of its fastest precision relative to eager PyTorch, by kind of processor
ENGINES = [(backend, precision) for backend in ("torch", "onnx", "openvino") for precision in PRECISIONS[backend]]
CALIBRATION_CROPS = 16
MATRIX = 2048
EAGER, PRODUCT = "eager PyTorch", "product of matrices"


def write_model(network: str, folder: Path) -> Path:
    """Writes a model directory with the network's files, or random weights for a preset, and an int8 file."""
    directory = folder / network.replace("/", "-")
    try:
        source = find_weights(network).directory
    except RSGNetError:
        source = None
    if source is None:
        config = preset_named(network)
        save_model(build(config), config, directory)
        path = export_onnx(directory)
    else:
        shutil.copytree(source, directory)
        path = directory / ONNX_FILE
    width, height = open_network(directory).config.crop.size_wh
    noise = np.random.default_rng(0).integers(0, 256, (CALIBRATION_CROPS, height, width, 3), np.uint8)
    quantised = quantise_network(read_network(path), noise)
    set_metadata(quantised, EXPORT_OPTIONS_PROPERTY, to_json(ExportOptions(int8=True)))
    write_network(quantised, directory / INT8_FILE)
    return directory


def make_eager(directory: Path, config: PoseConfig, crops: np.ndarray) -> Callable[[], object]:
    """Returns a call of the network in PyTorch without any optimisation."""
    network, pixels = load_pose_model(directory).eval(), torch.from_numpy(crops)

    def forward() -> object:
        with torch.inference_mode():
            return network(normalise(pixels, config.crop.mean, config.crop.std).contiguous()).target_heatmaps

    return forward


def make_matrix_product(threads: int, precision: str) -> Callable[[], object]:
    """Returns a call of OpenVINO's product of two matrices in "float32" or "bf16"."""
    import openvino  # noqa: PLC0415
    from openvino import opset13 as ops  # noqa: PLC0415

    one, other = np.random.default_rng(0).standard_normal((2, MATRIX, MATRIX), np.float32)
    parameter = ops.parameter([MATRIX, MATRIX], np.float32)
    product = openvino.Model([ops.matmul(parameter, ops.constant(other), False, False)], [parameter])
    hints = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[precision],
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(product, "CPU", hints)
    return lambda: compiled(one)


def open_engines(directory: Path, crops: np.ndarray) -> Calls:
    """Returns calls of the network in all back ends and precisions that work on this machine."""
    calls: dict[str, Callable[[], object]] = {}
    for backend, precision in ENGINES:
        try:
            network = open_network(directory, backend, "cpu", precision=precision)
        except RSGNetError as error:
            print(f"  {backend} {precision}: {error}")
        else:
            calls[f"{backend} {precision}"] = functools.partial(network.run, crops)
    return calls


def measure(network: str, directory: Path, arguments: argparse.Namespace) -> list[Measurement]:
    config = open_network(directory).config
    width, height = config.crop.size_wh
    crops = np.random.default_rng(1).integers(0, 256, (arguments.batch, height, width, 3), np.uint8)
    engines = open_engines(directory, crops)
    peaks = [precision for precision in ("float32", "bf16") if f"openvino {precision}" in engines]
    products = {f"{PRODUCT} {precision}": make_matrix_product(arguments.threads, precision) for precision in peaks}
    calls = {EAGER: make_eager(directory, config, crops), **engines, **products}
    times = Timings(calls, arguments.rounds, arguments.seconds)
    prefix = f"{network}, batch {arguments.batch}"
    measurements = [
        Measurement(f"{prefix}: crops per second, {engine}", times.rate(engine, arguments.batch))
        for engine in (EAGER, *engines)
    ]
    measurements += [
        Measurement(f"{prefix}: {engine} relative to {EAGER}", times.ratio(EAGER, to=engine)) for engine in engines
    ]
    if network == BOUNDED:
        best = min(engines, key=lambda engine: times.spread(engine).median)
        name, ratio = f"{prefix}: fastest, {best}, relative to {EAGER}", times.ratio(EAGER, to=best)
        bound = BOUNDS.get(describe_processor().kind)
        measurements.append(Measurement(name, ratio) if bound is None else at_least(name, ratio, bound))
    cost = count_cost(build(config), config.crop.size_wh)
    for engine, precision in ((EAGER, "float32"), *((f"openvino {precision}", precision) for precision in peaks)):
        if precision not in peaks:
            continue
        name = f"{prefix}: share of the machine's peak in {precision}, {engine}"
        share = times.ratio(f"{PRODUCT} {precision}", to=engine).scaled(arguments.batch * cost.macs / MATRIX**3)
        has_bound = (network, engine) == (BOUNDED, "openvino float32")
        measurements.append(at_least(name, share, 0.6) if has_bound else Measurement(name, share))
    for precision in peaks:
        peak = times.rate(f"{PRODUCT} {precision}", 2 * MATRIX**3 / 1e9)
        measurements.append(Measurement(f"the machine's peak in {precision}, 1e9 operations per second", peak))
    return measurements


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    set_up(arguments.threads)
    measurements = []
    for network in arguments.networks:
        with tempfile.TemporaryDirectory() as folder:
            measurements += measure(network, write_model(network, Path(folder)), arguments)
    report("backend_speed", measurements, arguments)


if __name__ == "__main__":
    main()
