"""Measures the pipeline from image files to result files: cost per person, share of the networks, and batching.

`python benchmarks/pipeline_speed.py IMAGES_DIR [--weights DIR]`

The network is RSGNet W32 at 256x192, with random weights by default. Measured are the time of an image with 1 to 60
boxes, and with it the cost of an additional person; the share of detector and network in the time of reading,
predicting, drawing and writing images; the speed of images of two people in one stream relative to one call per image,
also for nano; and the time of one photo of eight people from its file to poses, with the shipped detector and the
default weights with flip test, in each back end.
"""

import argparse
import contextlib
import functools
import itertools
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from measurement import Measurement, Spread, Timings, at_least, at_most, make_parser, report, set_up

from rsgnet.checkpoint import build, save_model
from rsgnet.defaults import DEFAULT_DETECTOR, DEFAULT_WEIGHTS
from rsgnet.errors import RSGNetError
from rsgnet.export.directory import export_onnx
from rsgnet.images import read_image
from rsgnet.inference.detectors.detector import Boxes, Detector, LoadedImage
from rsgnet.inference.detectors.open_detector import open_detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import choose_overlay_paths, record_run, write_predictions
from rsgnet.inference.runtime.backends import PRECISIONS
from rsgnet.inference.runtime.engines import describe_processor
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.inference.runtime.outputs import DecodedOutput, HeatmapOutput
from rsgnet.inference.sources import find_images
from rsgnet.presets import preset_named

PRESET = "rsgnet-w32-256x192-coco"
CROWDS = (1, 10, 20, 30, 40, 50, 60)
FEW = 2  # people in an image of the batching measurement
PHOTO_PEOPLE = 8
PHOTO_MS = {"amx": 60.0, "avx512": 150.0, "avx2": 150.0}  # targets by kind of processor


class TimedDetector(Detector):
    """Runs another detector and sums up the seconds that it takes."""

    def __init__(self, detector: Detector) -> None:
        self.name, self.threshold, self.path = detector.name, detector.threshold, detector.path
        self.detector, self.seconds = detector, 0.0

    def detect(self, images: Sequence[LoadedImage]) -> list[Boxes]:
        start = time.perf_counter()
        boxes = self.detector.detect(images)
        self.seconds += time.perf_counter() - start
        return boxes


class BoxesAfterDetection(Detector):
    """Runs another detector and returns random boxes, so that an image has a chosen number of people."""

    def __init__(self, detector: Detector, count: int) -> None:
        self.name, self.threshold, self.path = detector.name, detector.threshold, detector.path
        self.detector, self.count = detector, count

    def detect(self, images: Sequence[LoadedImage]) -> list[Boxes]:
        self.detector.detect(images)
        return [random_boxes(image.size_wh, self.count) for image in images]


class TimedNetwork(PoseNetwork):
    """Runs another network and sums up the seconds that it takes."""

    def __init__(self, network: PoseNetwork) -> None:
        self.config, self.capabilities = network.config, network.capabilities
        self.ownership, self.path = network.ownership, network.path
        self.network, self.seconds = network, 0.0

    def run(self, crops: np.ndarray) -> HeatmapOutput | DecodedOutput:
        start = time.perf_counter()
        output = self.network.run(crops)
        self.seconds += time.perf_counter() - start
        return output


def random_boxes(size_wh: tuple[int, int], count: int, seed: int = 0) -> Boxes:
    """Returns random boxes of the size of people."""
    random, (width, height) = np.random.default_rng(seed), size_wh
    sides = np.stack([random.uniform(0.1, 0.2, count) * width, random.uniform(0.3, 0.6, count) * height], 1)
    corners = random.uniform(0, 1, (count, 2)) * ([width, height] - sides)
    return Boxes(np.concatenate([corners, corners + sides], 1), np.ones(count))


def add_boxes(photo: LoadedImage, count: int, seed: int = 0) -> LoadedImage:
    """Returns the photo with random boxes."""
    return LoadedImage(photo.pixels, photo.file_name, boxes=random_boxes(photo.size_wh, count, seed))


def consume(outcomes: Iterable[object]) -> None:
    for _ in outcomes:
        pass


def measure_people(weights: Path, photo: LoadedImage, arguments: argparse.Namespace) -> list[Measurement]:
    estimator = PoseEstimator(weights, backend=arguments.backend, flip_test=False)
    crowds = {count: add_boxes(photo, count) for count in CROWDS}
    calls = {str(count): lambda crowd=crowd: estimator(crowd) for count, crowd in crowds.items()}
    times = Timings(calls, arguments.rounds, arguments.seconds)
    seconds = {count: times.spread(str(count)).median for count in CROWDS}
    steps = [(seconds[more] - seconds[fewer]) / (more - fewer) for fewer, more in itertools.pairwise(CROWDS)]
    mean = (seconds[CROWDS[-1]] - seconds[CROWDS[0]]) / (CROWDS[-1] - CROWDS[0])
    deviation = Spread.of(*(abs(step / mean - 1) for step in steps))
    largest = Spread(deviation.high, deviation.low, deviation.high)
    return [
        *(
            Measurement(f"milliseconds per image with {count} people", times.spread(str(count)).scaled(1000))
            for count in CROWDS
        ),
        Measurement("milliseconds per additional person", Spread.of(*(1000 * step for step in steps))),
        at_most("time per additional person, largest relative deviation from its mean", largest, 0.15),
    ]


def measure_share_of_networks(weights: Path, folder: Path, arguments: argparse.Namespace) -> Measurement:
    files = find_images([str(folder)])[: arguments.image_count]
    shares = []
    for _ in range(arguments.rounds):
        estimator = PoseEstimator(weights, backend=arguments.backend, flip_test=False)
        record = record_run(estimator, str(weights), "nano")
        estimator.detector = detector = TimedDetector(estimator.detector)
        estimator.network = network = TimedNetwork(estimator.network)
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            overlays = choose_overlay_paths(files, Path(out))
            write_predictions(estimator.stream(files), Path(out), overlays, lambda *_: None, record)
            passed = time.perf_counter() - start
        shares.append((detector.seconds + network.seconds) / passed)
    name = f"share of time in detector and network, {len(files)} images drawn and written"
    return at_least(name, Spread.of(*shares), 0.85)


def measure_batching(
    name: str, weights: str | Path, photos: list[LoadedImage], arguments: argparse.Namespace
) -> Measurement:
    estimator = PoseEstimator(weights, backend=arguments.backend, flip_test=False)
    calls = {
        "stream": lambda: consume(estimator.stream(photos)),
        "one by one": lambda: [estimator(photo) for photo in photos],
    }
    times = Timings(calls, arguments.rounds, arguments.seconds)
    title = f"{name}: images of {FEW} people in one stream, relative to one call per image"
    return at_least(title, times.ratio("one by one", to="stream"), 1.5)


def measure_one_photo(file: Path, arguments: argparse.Namespace) -> list[Measurement]:
    calls = {}
    for backend in ("onnx", "openvino"):
        for precision in PRECISIONS[backend]:
            with contextlib.suppress(RSGNetError):  # this processor does not have the precision, or no file has it
                detector = BoxesAfterDetection(open_detector(DEFAULT_DETECTOR, backend=backend), PHOTO_PEOPLE)
                estimator = PoseEstimator(detector=detector, backend=backend, precision=precision)
                calls[f"{backend} {precision}"] = functools.partial(estimator, file)
    times = Timings(calls, arguments.rounds, arguments.seconds)
    title = f"one photo of {PHOTO_PEOPLE} people, {DEFAULT_WEIGHTS} with flip test: milliseconds from file to poses"
    bound = PHOTO_MS.get(describe_processor().kind)
    best = min(calls, key=lambda call: times.spread(call).median)
    spreads = {call: times.spread(call).scaled(1000) for call in calls}
    return [
        at_most(f"{title}, {call}", spread, bound)
        if call == best and bound
        else Measurement(f"{title}, {call}", spread)
        for call, spread in spreads.items()
    ]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--weights", type=Path, help="a model directory")
    parser.add_argument("--backend", default="onnx")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--image-count", type=int, default=48)
    arguments = parser.parse_args()
    set_up(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        weights = arguments.weights or Path(folder)
        if arguments.weights is None:
            config = preset_named(PRESET)
            save_model(build(config), config, weights)
            export_onnx(weights)
        files = find_images([str(arguments.images)])[:32]
        photos = [LoadedImage(read_image(file.path), file.file_name) for file in files]
        few = [add_boxes(photo, FEW, seed) for seed, photo in enumerate(photos)]
        measurements = [
            *measure_people(weights, photos[0], arguments),
            measure_share_of_networks(weights, arguments.images, arguments),
            measure_batching("nano", "nano", few, arguments),
            measure_batching(PRESET, weights, few, arguments),
            *measure_one_photo(files[0].path, arguments),
        ]
    report("pipeline_speed", measurements, arguments)


if __name__ == "__main__":
    main()
