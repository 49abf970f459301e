"""Measures pose networks and detectors side by side: each published one relative to the first, which ships.

`python benchmarks/published_speed.py [--pose WEIGHTS ...] [--detector DETECTOR ...] [--batch 1 8 32]`

WEIGHTS and DETECTOR are what `--weights` and `--detector` of `rsgnet predict` take. Crops and the image of 640x480 are
noise. Pose networks are timed without decoding, each batch relative to the first as well, detectors from the decoded
image to boxes.
"""

import argparse
import functools
from collections.abc import Sequence

import numpy as np
from measurement import Measurement, Timings, make_parser, report, set_up

from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.detectors.open_detector import open_detector
from rsgnet.inference.runtime.open_network import open_network


def measure_networks(
    weights: Sequence[str], batches: Sequence[int], arguments: argparse.Namespace
) -> list[Measurement]:
    calls = {}
    for name in weights:
        network = open_network(name, "onnx" if ":" in name else arguments.backend)
        width, height = network.config.crop.size_wh
        for batch in batches:
            crops = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), np.uint8)
            calls[f"{name} {batch}"] = functools.partial(network.run, crops)
    times = Timings(calls, arguments.rounds, arguments.seconds)
    first, measurements = weights[0], []
    for batch in batches:
        prefix = f"batch {batch}, {arguments.backend}"
        for name in weights:
            per_crop = times.spread(f"{name} {batch}").scaled(1000 / batch)
            measurements.append(Measurement(f"{prefix}: milliseconds per crop, {name}", per_crop))
        for name in weights[1:]:
            ratio = times.ratio(f"{name} {batch}", to=f"{first} {batch}")
            measurements.append(Measurement(f"{prefix}: speed of {first} relative to {name}", ratio))
        for name in weights if batch != batches[0] else ():
            gain = times.ratio(f"{name} {batches[0]}", to=f"{name} {batch}").scaled(batch / batches[0])
            measurements.append(Measurement(f"{prefix}: crops per second relative to batch {batches[0]}, {name}", gain))
    return measurements


def measure_detectors(names: Sequence[str], arguments: argparse.Namespace) -> list[Measurement]:
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    calls = {
        name: functools.partial(open_detector(name, backend=arguments.backend).detect, [LoadedImage(pixels)])
        for name in names
    }
    times = Timings(calls, arguments.rounds, arguments.seconds)
    return [
        *(
            Measurement(f"{arguments.backend}: milliseconds per image, {name}", times.spread(name).scaled(1000))
            for name in names
        ),
        *(
            Measurement(f"{arguments.backend}: speed of {names[0]} relative to {name}", times.ratio(name, to=names[0]))
            for name in names[1:]
        ),
    ]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--pose", nargs="+", default=["nano", "small"], help="weights; the first is compared")
    parser.add_argument("--detector", nargs="*", default=["nano"], help="detectors; the first is compared")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--backend", default="openvino", help="of weights that name none")
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    set_up(arguments.threads)
    measurements = measure_networks(arguments.pose, arguments.batch, arguments)
    report("published_speed", [*measurements, *measure_detectors(arguments.detector, arguments)], arguments)


if __name__ == "__main__":
    main()
