"""Measures how the time of nano grows with people, images, the size of the heatmaps and the number of candidates.

`python benchmarks/growth.py IMAGES_DIR [--plot docs/images/growth.svg]`

Times are medians on ONNX Runtime; those of the relation are of its module alone, in PyTorch.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from measurement import Measurement, Spread, Timings, make_parser, report, set_up
from pipeline_speed import add_boxes, consume

from rsgnet.config import CandidateRelationConfig
from rsgnet.images import read_image
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.sources import find_images
from rsgnet.model.relation_parser import TargetAwareRelationParser

PEOPLE = (1, 5, 10, 20, 40, 60)
IMAGES = (1, 2, 4, 8, 16, 32)
HEATMAP_HEIGHTS = (16, 32, 64, 96)  # the width is three quarters of the height
PEAKS = (1, 2, 4, 8, 16)  # candidates per keypoint
KEYPOINTS, WIDTH, BATCH = 19, 64, 8


def make_relation(height: int, peaks: int) -> Callable[[], object]:
    torch.manual_seed(0)
    parser = TargetAwareRelationParser(
        WIDTH, KEYPOINTS, CandidateRelationConfig(clue_dim=32, peaks_per_keypoint=peaks)
    ).eval()
    features = torch.randn(BATCH, WIDTH, height, height * 3 // 4)
    heatmaps = torch.rand(BATCH, KEYPOINTS, height, height * 3 // 4)

    def call() -> object:
        with torch.inference_mode():
            return parser(features, heatmaps)

    return call


def median_ms(calls: dict[int, Callable[[], object]], arguments: argparse.Namespace) -> dict[int, float]:
    times = Timings({str(amount): call for amount, call in calls.items()}, arguments.rounds, arguments.seconds)
    return {amount: 1000 * times.spread(str(amount)).median for amount in calls}


def measure(photos: list[LoadedImage], arguments: argparse.Namespace) -> dict[str, dict[int, float]]:
    """Returns milliseconds by the quantity that grows and its amount."""
    estimator = PoseEstimator("nano", flip_test=False)
    crowds = {count: add_boxes(photos[0], count) for count in PEOPLE}
    series = {count: [add_boxes(photo, 3) for photo in photos[:count]] for count in IMAGES}
    calls = {
        "people in an image": {count: lambda crowd=crowd: estimator(crowd) for count, crowd in crowds.items()},
        "images of three people": {
            count: lambda images=images: consume(estimator.stream(images)) for count, images in series.items()
        },
        f"height of the heatmaps, relation of {BATCH} crops": {
            height: make_relation(height, 4) for height in HEATMAP_HEIGHTS
        },
        f"candidates Np, relation of {BATCH} crops": {KEYPOINTS * peaks: make_relation(32, peaks) for peaks in PEAKS},
    }
    return {quantity: median_ms(each, arguments) for quantity, each in calls.items()}


def draw(times: dict[str, dict[int, float]], path: Path) -> None:
    import matplotlib  # noqa: PLC0415

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot  # noqa: PLC0415

    figure, axes = pyplot.subplots(2, 2, figsize=(8, 6), layout="constrained")
    for axis, (quantity, each) in zip(axes.flat, times.items(), strict=True):
        axis.plot(list(each), list(each.values()), marker="o", color="#0072b2")
        axis.set(xlabel=quantity, ylabel="milliseconds", ylim=(0, None), xlim=(0, None))
        axis.grid(alpha=0.25)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--plot", type=Path, help="an .svg file to write")
    arguments = parser.parse_args()
    set_up(arguments.threads)
    files = find_images([str(arguments.images)])[: max(IMAGES)]
    times = measure([LoadedImage(read_image(file.path), file.file_name) for file in files], arguments)
    if arguments.plot is not None:
        draw(times, arguments.plot)
    measurements = [
        Measurement(f"milliseconds at {amount} ({quantity})", Spread.of(value))
        for quantity, each in times.items()
        for amount, value in each.items()
    ]
    report("growth", measurements, arguments)


if __name__ == "__main__":
    main()
