"""Measures how the speed of `small` and `nano` changes with people, threads and batch size, and draws three plots.

`python benchmarks/growth.py IMAGES_DIR [--plot docs/images/growth.svg]`

People: milliseconds per image with given boxes, without flip test, from the decoded image to poses. Threads and batch:
crops per second of the network alone, with batches of 8 crops and with all threads.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from measurement import Measurement, Spread, Timings, make_parser, print_machine, report
from pipeline_speed import add_boxes

from rsgnet.images import read_image
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.runtime.engines import describe_processor
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.inference.sources import find_images

NETWORKS = {"small": "#0072b2", "nano": "#d55e00"}
BACKENDS = {"onnx": "-", "openvino": "--"}
PEOPLE = (1, 5, 10, 20, 40, 60)
BATCHES = (1, 2, 4, 8, 16, 32)
BATCH = 8  # of the measurement by threads

Speeds = dict[str, dict[int, Spread]]  # by series and amount


def thread_counts(most: int) -> list[int]:
    """Returns 1, 2, 4, ... and the largest number."""
    return sorted({*(2**power for power in range(most.bit_length())), most})


def measure_people(photo: LoadedImage, arguments: argparse.Namespace) -> Speeds:
    """Returns milliseconds per image."""
    calls = {}
    for network in NETWORKS:
        estimator = PoseEstimator(network, backend="onnx", flip_test=False)
        for count in PEOPLE:
            calls[f"{network}, onnx", count] = partial(estimator, add_boxes(photo, count))
    return time_calls(calls, arguments, lambda seconds, _: 1000 * seconds)


def measure_networks(settings: dict[int, tuple[int, int]], arguments: argparse.Namespace) -> Speeds:
    """Returns crops per second by the keys of the settings, each a number of threads and of crops in a batch."""
    calls = {
        (f"{network}, {backend}", amount): open_run(network, backend, *setting)
        for network in NETWORKS
        for backend in BACKENDS
        for amount, setting in settings.items()
    }
    return time_calls(calls, arguments, lambda seconds, amount: settings[amount][1] / seconds)


def open_run(network: str, backend: str, threads: int, batch: int) -> Callable[[], object]:
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when a network is opened
    opened = open_network(network, backend)
    width, height = opened.config.crop.size_wh
    return partial(opened.run, np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), np.uint8))


def time_calls(
    calls: dict[tuple[str, int], Callable[[], object]],
    arguments: argparse.Namespace,
    convert: Callable[[float, int], float],
) -> Speeds:
    """Times calls side by side and returns the converted seconds per call by series and amount."""
    times = Timings({repr(key): call for key, call in calls.items()}, arguments.rounds, arguments.seconds)
    speeds: Speeds = {}
    for series, amount in calls:
        values = [convert(seconds, amount) for seconds in times.seconds[repr((series, amount))]]
        speeds.setdefault(series, {})[amount] = Spread.of(*values)
    return speeds


def draw(plots: dict[str, tuple[str, Speeds]], title: str, path: Path) -> None:
    import matplotlib  # noqa: PLC0415

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot  # noqa: PLC0415

    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    for axis, (quantity, (unit, speeds)) in zip(axes, plots.items(), strict=True):
        for series, values in speeds.items():
            network, _, backend = series.partition(", ")
            medians = [spread.median for spread in values.values()]
            axis.plot(list(values), medians, BACKENDS[backend], marker="o", color=NETWORKS[network], label=series)
        axis.set(xlabel=quantity, ylabel=unit, ylim=(0, None), xlim=(0, None))
        amounts = sorted({amount for values in speeds.values() for amount in values})
        axis.set_xticks([amount for amount in amounts if amount >= amounts[-1] / 8 or amount == 1])
        axis.grid(alpha=0.25)
    handles, labels = axes[-1].get_legend_handles_labels()
    axes[0].legend(handles, labels, fontsize=8, frameon=False)
    figure.suptitle(title)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--plot", type=Path, help="an .svg file to write")
    arguments = parser.parse_args()
    print_machine(arguments.threads)
    file = find_images([str(arguments.images)])[0]
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    people = measure_people(LoadedImage(read_image(file.path), file.file_name), arguments)
    plots = {
        "people in an image": ("milliseconds per image", people),
        "threads": (
            "crops per second",
            measure_networks({count: (count, BATCH) for count in thread_counts(arguments.threads)}, arguments),
        ),
        "crops in a batch": (
            "crops per second",
            measure_networks({batch: (arguments.threads, batch) for batch in BATCHES}, arguments),
        ),
    }
    if arguments.plot is not None:
        draw(plots, f"{describe_processor().kind.upper()}, {arguments.threads} threads", arguments.plot)
    measurements = [
        Measurement(f"{unit} by {quantity}, {series}: {amount}", spread)
        for quantity, (unit, speeds) in plots.items()
        for series, values in speeds.items()
        for amount, spread in values.items()
    ]
    report("growth", measurements, arguments)


if __name__ == "__main__":
    main()
