"""How fast each back end runs pose networks here, side by side in one run, eager PyTorch in float32 being 1.

`python benchmarks/backends.py [NETWORK ...] [--threads 1] [--batch 16] [--rounds 7] [--seconds 2]`

A network is a model directory, or a preset, which gets random weights: how fast it is does not depend on them. The
ranges of 8 bits are measured on noise, for the same reason; what 8 bits cost in AP is for `rsgnet evaluate` to say.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from rsgnet.checkpoint import build, save_model
from rsgnet.config import GRAPH_FORM_PROPERTY, INT8_FILE, WEIGHTS_FILE, GraphForm
from rsgnet.errors import RSGNetError
from rsgnet.export.directory import export_onnx
from rsgnet.export.openvino_file import read_network, set_metadata, write_network
from rsgnet.export.quantise import quantised
from rsgnet.inference.backends import PRECISIONS
from rsgnet.inference.runner import open_runner
from rsgnet.inference.weights import find_weights
from rsgnet.presets import preset_named
from rsgnet.settings import to_json

NETWORKS = ["nano", "hrnet-w32-256x192-coco", "rsgnet-w32-256x192-coco"]
ENGINES = [(backend, precision) for backend in ("torch", "onnx", "openvino") for precision in PRECISIONS[backend]]
CALIBRATION = 16


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
    set_metadata(small, GRAPH_FORM_PROPERTY, to_json(GraphForm(int8=True)))
    write_network(small, directory / INT8_FILE)
    return directory


def crops_per_second(runner, crops: np.ndarray, seconds: float) -> float:
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        runner(crops)
        count += len(crops)
    return count / passed


def compare(network: str, arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = model_directory(network, Path(folder))
        runners = {}
        for backend, precision in ENGINES:
            try:
                runners[f"{backend} {precision}"] = open_runner(directory, backend, "cpu", precision=precision)
            except RSGNetError as error:
                print(f"  {backend} {precision}: {error}")
        config = next(iter(runners.values())).config
        width, height = config.crop.size_wh
        crops = np.random.default_rng(1).integers(0, 256, (arguments.batch, height, width, 3), np.uint8)
        for runner in runners.values():
            runner(crops)
        rounds = [
            {name: crops_per_second(runner, crops, arguments.seconds) for name, runner in runners.items()}
            for _ in range(arguments.rounds)
        ]
    print(f"{network}: {config.model.backbone}, {height}x{width}, batch {arguments.batch}, {arguments.rounds} rounds")
    for name in runners:
        speeds = [each[name] for each in rounds]
        ratios = [each[name] / each["torch float32"] for each in rounds]
        print(
            f"  {name:18} {statistics.median(speeds):8.1f} crops/s   ratio {statistics.median(ratios):5.2f} "
            f"(from {min(ratios):.2f} to {max(ratios):.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # what the sessions take for leave
    torch.set_num_threads(arguments.threads)
    print(f"{processor()}, {os.cpu_count()} cores, {arguments.threads} threads, Python {platform.python_version()}")
    print(", ".join(f"{name} {installed(name)}" for name in ("torch", "onnxruntime", "openvino", "nncf")))
    for network in arguments.networks:
        compare(network, arguments)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


if __name__ == "__main__":
    main()
