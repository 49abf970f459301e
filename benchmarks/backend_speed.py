"""Measures the speed of pose networks in each back end, relative to eager PyTorch and to the machine's peak.

`python benchmarks/backend_speed.py [NETWORK ...] [--batch 8]`

A network is a model directory or a preset. A preset gets random weights, and the ranges of 8 bits are measured on
noise, because neither changes the speed; `backend_agreement.py` measures what 8 bits cost in AP. The baseline is eager
PyTorch in float32 with the default memory layout. The machine's peak is that of OpenVINO's product of two large
matrices.
"""

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measurement import Calls, Measurement, Timings, at_least, make_parser, report, set_up

from rsgnet.checkpoint import build, load_pose_model, save_model
from rsgnet.config import ExportOptions, PoseConfig
from rsgnet.config_files import EXPORT_OPTIONS_PROPERTY, INT8_FILE, WEIGHTS_FILE, to_json
from rsgnet.errors import RSGNetError
from rsgnet.export.directory import export_onnx
from rsgnet.export.network_files import read_network, set_metadata, write_network
from rsgnet.export.quantise import quantise_network
from rsgnet.inference.runtime.backends import PRECISIONS
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.inference.weights import find_weights
from rsgnet.model.cost import count_cost
from rsgnet.model.layers import normalise
from rsgnet.presets import preset_named

NETWORKS = ["nano", "hrnet-w32-256x192-coco", "rsgnet-w32-256x192-coco"]
BOUNDED = "hrnet-w32-256x192-coco"  # the network that has targets
ENGINES = [(backend, precision) for backend in ("torch", "onnx", "openvino") for precision in PRECISIONS[backend]]
CALIBRATION_CROPS = 16
MATRIX = 2048
EAGER, PRODUCT = "eager PyTorch", "product of matrices"


def write_model(network: str, folder: Path) -> Path:
    """Writes a model directory with the network's weights, or random ones for a preset, and ONNX and int8 files."""
    directory = folder / network.replace("/", "-")
    try:
        source = find_weights(network).directory
    except RSGNetError:
        source = None
    if source is None:
        config = preset_named(network)
        save_model(build(config), config, directory)
    else:
        directory.mkdir()
        for name in ("config.json", WEIGHTS_FILE):
            (directory / name).write_bytes((source / name).read_bytes())
    path = export_onnx(directory)
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


def make_matrix_product(threads: int) -> Callable[[], object]:
    """Returns a call of OpenVINO's product of two matrices in float32."""
    import openvino  # noqa: PLC0415
    from openvino import opset13 as ops  # noqa: PLC0415

    one, other = np.random.default_rng(0).standard_normal((2, MATRIX, MATRIX), np.float32)
    parameter = ops.parameter([MATRIX, MATRIX], np.float32)
    product = openvino.Model([ops.matmul(parameter, ops.constant(other), False, False)], [parameter])
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
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
    calls = {EAGER: make_eager(directory, config, crops), **engines, PRODUCT: make_matrix_product(arguments.threads)}
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
        exact = [engine for engine in engines if engine.endswith("float32")]
        rounded = [engine for engine in engines if not engine.endswith("float32")]
        for kind, group, bound in (("float32", exact, 2.0), ("bf16 or int8", rounded, 4.0)):
            best = min(group, key=lambda engine: times.spread(engine).median)
            name = f"{prefix}: best in {kind}, {best}, relative to {EAGER}"
            measurements.append(at_least(name, times.ratio(EAGER, to=best), bound))
    cost = count_cost(build(config), config.crop.size_wh)
    for engine in (EAGER, "openvino float32"):
        name = f"{prefix}: share of the machine's peak, {engine}"
        share = times.ratio(PRODUCT, to=engine).scaled(arguments.batch * cost.macs / MATRIX**3)
        has_bound = (network, engine) == (BOUNDED, "openvino float32")
        measurements.append(at_least(name, share, 0.6) if has_bound else Measurement(name, share))
    peak = times.rate(PRODUCT, 2 * MATRIX**3 / 1e9)
    return [*measurements, Measurement("the machine's peak in float32, 1e9 operations per second", peak)]


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
