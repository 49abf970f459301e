"""What an image costs from file to file: with the people in it, one by one or together, and where the time goes.

`python benchmarks/whole_line.py IMAGES_DIR [--weights DIR]`

Three things are measured with W32 at 256x192, random weights where none are given. An image's cost with 1 to 60 boxes
in it: what one more person costs, at every step. The share of the time that is the detector's and the network's while
images are read, drawn and written with the detector that ships. And how many images of two people a second go
through together beside one call for each, which is measured with nano, too.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import measuring
import numpy as np

from rsgnet.checkpoint import build, save_model
from rsgnet.export.directory import export_onnx
from rsgnet.images import read_image
from rsgnet.inference.detectors.boxes import Boxes, LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import overlay_names, record_run, write_predictions
from rsgnet.inference.sources import find_images
from rsgnet.presets import preset_named

PRESET = "rsgnet-w32-256x192-coco"
CROWDS = (1, 10, 20, 30, 40, 50, 60)
FEW = 2  # people in an image that has few


class Stopwatch:
    """Calls through to a part of the line and counts the time in it."""

    def __init__(self, part: Any) -> None:
        self._part, self.seconds = part, 0.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        return self._timed(found) if name in ("detect", "maps") else found

    def __call__(self, crops: np.ndarray) -> Any:
        return self._timed(self._part)(crops)

    def _timed(self, call: Any) -> Any:
        def timed(*given: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*given)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


def with_boxes(photo: LoadedImage, count: int, seed: int = 0) -> LoadedImage:
    """The photo with that many boxes of the size of people, somewhere in it."""
    random, (width, height) = np.random.default_rng(seed), photo.size_wh
    sides = np.stack([random.uniform(0.1, 0.2, count) * width, random.uniform(0.3, 0.6, count) * height], 1)
    corners = random.uniform(0, 1, (count, 2)) * ([width, height] - sides)
    boxes = Boxes(np.concatenate([corners, corners + sides], 1), np.ones(count))
    return LoadedImage(photo.pixels, photo.file_name, boxes=boxes)


def consume(outcomes: Iterable[object]) -> None:
    for _ in outcomes:
        pass


def further_people(weights: Path, photo: LoadedImage, arguments: argparse.Namespace) -> list[measuring.Figure]:
    estimator = PoseEstimator(weights, backend=arguments.backend, flip_test=False)
    crowds = {count: with_boxes(photo, count) for count in CROWDS}
    rivals = {str(count): lambda crowd=crowd: estimator(crowd) for count, crowd in crowds.items()}
    times = measuring.SideBySide(rivals, arguments.rounds, arguments.seconds)
    seconds = {count: times.spread(str(count)).median for count in CROWDS}
    steps = list(itertools.pairwise(CROWDS))
    each = [(seconds[more] - seconds[fewer]) / (more - fewer) for fewer, more in steps]
    whole = (seconds[CROWDS[-1]] - seconds[CROWDS[0]]) / (CROWDS[-1] - CROWDS[0])
    figures = [
        measuring.Figure(f"milliseconds of an image with {count} people", times.spread(str(count)).scaled(1000))
        for count in CROWDS
    ]
    apart = measuring.Spread.of([abs(step / whole - 1) for step in each])
    worst = measuring.Spread(apart.high, apart.low, apart.high)
    return [
        *figures,
        measuring.Figure("milliseconds of one more person", measuring.Spread.of([1000 * step for step in each])),
        measuring.at_most("cost of one more person, furthest from its mean over all steps", worst, 0.15),
    ]


def share_in_networks(weights: Path, folder: Path, arguments: argparse.Namespace) -> list[measuring.Figure]:
    files = find_images([str(folder)])[: arguments.images_in_line]
    shares = []
    for _ in range(arguments.rounds):
        estimator = PoseEstimator(weights, backend=arguments.backend, flip_test=False)
        record = record_run(estimator, str(weights), "nano")
        parts = Stopwatch(estimator.detector), Stopwatch(estimator.runner)
        estimator.detector, estimator.runner = parts
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            overlays = overlay_names(files, Path(out))
            write_predictions(estimator.stream(files), Path(out), overlays, lambda *_: None, record)
            passed = time.perf_counter() - start
        shares.append(sum(part.seconds for part in parts) / passed)
    what = f"share of the time in detector and network, {len(files)} images drawn and written"
    return [measuring.at_least(what, measuring.Spread.of(shares), 0.85)]


def together(
    name: str, weights: str | Path, photos: list[LoadedImage], arguments: argparse.Namespace
) -> measuring.Figure:
    estimator = PoseEstimator(weights, backend=arguments.backend, flip_test=False)
    rivals = {
        "together": lambda: consume(estimator.stream(photos)),
        "one by one": lambda: [estimator(photo) for photo in photos],
    }
    times = measuring.SideBySide(rivals, arguments.rounds, arguments.seconds)
    what = f"{name}: images of {FEW} people together, to one call for each"
    return measuring.at_least(what, times.ratio("one by one", to="together"), 1.5)


def main() -> None:
    parser = measuring.arguments_of(__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--weights", type=Path, help="a model directory")
    parser.add_argument("--backend", default="onnx")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--images-in-line", type=int, default=48)
    arguments = parser.parse_args()
    measuring.use_threads(arguments.threads)
    measuring.print_machine(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        weights = arguments.weights or Path(folder)
        if arguments.weights is None:
            config = preset_named(PRESET)
            save_model(build(config), config, weights)
            export_onnx(weights)
        files = find_images([str(arguments.images)])[:32]
        photos = [LoadedImage(read_image(file.path), file.file_name) for file in files]
        few = [with_boxes(photo, FEW, seed) for seed, photo in enumerate(photos)]
        figures = further_people(weights, photos[0], arguments)
        figures += share_in_networks(weights, arguments.images, arguments)
        figures += [together("nano", "nano", few, arguments), together(PRESET, weights, few, arguments)]
    measuring.report("whole_line", figures, arguments)


if __name__ == "__main__":
    main()
