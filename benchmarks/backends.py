"""How fast each back end runs pose networks here, and how near that is to what the machine can do.

`python benchmarks/backends.py [NETWORK ...] [--batch 8]`

A network is a model directory, or a preset, which gets random weights: how fast it is does not depend on them. The
ranges of 8 bits are measured on noise, for the same reason; what 8 bits cost in AP is for `agreement.py` to say. Eager
PyTorch in float32, laid out as it is by default, is 1. The machine's peak is a product of two large matrices by the
same library, with the same threads and type, in turn with the networks.
"""

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import measuring
import numpy as np
import torch

from rsgnet.checkpoint import build, load_pose_model, save_model
from rsgnet.config import ExportOptions, PoseConfig
from rsgnet.config_files import EXPORT_OPTIONS_PROPERTY, INT8_FILE, WEIGHTS_FILE, to_json
from rsgnet.errors import RSGNetError
from rsgnet.export.directory import export_onnx
from rsgnet.export.network_files import read_network, set_metadata, write_network
from rsgnet.export.quantise import quantised
from rsgnet.inference.runtime.backends import PRECISIONS
from rsgnet.inference.runtime.network import open_runner
from rsgnet.inference.weights import find_weights
from rsgnet.model.cost import cost_of
from rsgnet.model.layers import normalise
from rsgnet.presets import preset_named

NETWORKS = ["nano", "hrnet-w32-256x192-coco", "rsgnet-w32-256x192-coco"]
JUDGED = "hrnet-w32-256x192-coco"  # what the bounds are for
ENGINES = [(backend, precision) for backend in ("torch", "onnx", "openvino") for precision in PRECISIONS[backend]]
CALIBRATION = 16
MATRIX = 2048
EAGER, PRODUCT = "eager PyTorch", "product of matrices"

Rivals = dict[str, Callable[[], object]]


def model_directory(network: str, folder: Path) -> Path:
    """A directory in `folder` of the network's weights and files; random weights for a preset that is not shipped."""
    directory = folder / network.replace("/", "-")
    try:
        given = find_weights(network).directory
    except RSGNetError:
        given = None
    if given is None:
        config = preset_named(network)
        save_model(build(config), config, directory)
    else:
        directory.mkdir()
        for name in ("config.json", WEIGHTS_FILE):
            (directory / name).write_bytes((given / name).read_bytes())
    path = export_onnx(directory)
    width, height = open_runner(directory).config.crop.size_wh
    noise = np.random.default_rng(0).integers(0, 256, (CALIBRATION, height, width, 3), np.uint8)
    small = quantised(read_network(path), noise)
    set_metadata(small, EXPORT_OPTIONS_PROPERTY, to_json(ExportOptions(int8=True)))
    write_network(small, directory / INT8_FILE)
    return directory


def eager(directory: Path, config: PoseConfig, crops: np.ndarray) -> Callable[[], object]:
    """The network as a script would call it."""
    network, pixels = load_pose_model(directory).eval(), torch.from_numpy(crops)

    def forward() -> object:
        with torch.inference_mode():
            return network(normalise(pixels, config.crop.mean, config.crop.std).contiguous()).target_heatmaps

    return forward


def matrix_product(threads: int) -> Callable[[], object]:
    """OpenVINO's product of two matrices, in float32."""
    import openvino  # noqa: PLC0415
    from openvino import opset13 as ops  # noqa: PLC0415

    one, other = np.random.default_rng(0).standard_normal((2, MATRIX, MATRIX), np.float32)
    given = ops.parameter([MATRIX, MATRIX], np.float32)
    product = openvino.Model([ops.matmul(given, ops.constant(other), False, False)], [given])
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(product, "CPU", hints)
    return lambda: compiled(one)


def engines(directory: Path, crops: np.ndarray) -> Rivals:
    """The network in every back end and precision that works here."""
    rivals: Rivals = {}
    for backend, precision in ENGINES:
        try:
            runner = open_runner(directory, backend, "cpu", precision=precision)
        except RSGNetError as error:
            print(f"  {backend} {precision}: {error}")
        else:
            rivals[f"{backend} {precision}"] = functools.partial(runner, crops)
    return rivals


def figures_of(network: str, directory: Path, arguments: argparse.Namespace) -> list[measuring.Figure]:
    config = open_runner(directory).config
    width, height = config.crop.size_wh
    crops = np.random.default_rng(1).integers(0, 256, (arguments.batch, height, width, 3), np.uint8)
    ours = engines(directory, crops)
    rivals: Rivals = {EAGER: eager(directory, config, crops), **ours, PRODUCT: matrix_product(arguments.threads)}
    times = measuring.SideBySide(rivals, arguments.rounds, arguments.seconds)
    name = f"{network}, batch {arguments.batch}"
    found = []
    for engine in [EAGER, *ours]:
        found.append(measuring.Figure(f"{name}: crops a second, {engine}", times.rate(engine, arguments.batch)))
    for engine in ours:
        found.append(measuring.Figure(f"{name}: {engine} to {EAGER}", times.ratio(EAGER, to=engine)))
    if network == JUDGED:
        full = [engine for engine in ours if engine.endswith("float32")]
        rounded = [engine for engine in ours if not engine.endswith("float32")]
        for kind, among, bound in (("float32", full, 2.0), ("bf16 or int8", rounded, 4.0)):
            best = min(among, key=lambda engine: times.spread(engine).median)
            value = times.ratio(EAGER, to=best)
            found.append(measuring.at_least(f"{name}: best in {kind}, {best}, to {EAGER}", value, bound))
    cost = cost_of(build(config), config.crop.size_wh)
    share = arguments.batch * cost.macs / MATRIX**3  # of the product's multiply-adds
    for engine in (EAGER, "openvino float32"):
        of_peak = times.ratio(PRODUCT, to=engine).scaled(share)
        judge = measuring.at_least if (network, engine) == (JUDGED, "openvino float32") else _known
        found.append(judge(f"{name}: share of the machine's peak, {engine}", of_peak, 0.6))
    peak = times.rate(PRODUCT, 2 * MATRIX**3 / 1e9)
    return [*found, measuring.Figure("the machine's peak in float32, 1e9 operations a second", peak)]


def _known(what: str, value: measuring.Spread, _: float) -> measuring.Figure:
    return measuring.Figure(what, value)


def main() -> None:
    parser = measuring.arguments_of(__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    measuring.use_threads(arguments.threads)
    measuring.print_machine(arguments.threads)
    figures = []
    for network in arguments.networks:
        with tempfile.TemporaryDirectory() as folder:
            figures += figures_of(network, model_directory(network, Path(folder)), arguments)
    measuring.report("backends", figures, arguments)


if __name__ == "__main__":
    main()
