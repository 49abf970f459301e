"""How the cost of nano grows: with people, images, the size of the heatmaps and the number of candidates.

`python benchmarks/growth.py IMAGES_DIR [--plot docs/images/growth.svg]`

Times are medians, on ONNX Runtime; the relation's on PyTorch, with everything else left out.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import measuring
import torch
from whole_line import consume, with_boxes

from rsgnet.config import CandidateRelationConfig
from rsgnet.images import read_image
from rsgnet.inference.detectors.boxes import LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.sources import find_images
from rsgnet.model.relation_parser import TargetAwareRelationParser

PEOPLE = (1, 5, 10, 20, 40, 60)
IMAGES = (1, 2, 4, 8, 16, 32)
MAPS = (16, 32, 64, 96)  # heights; three quarters as wide
PEAKS = (1, 2, 4, 8, 16)  # of each of 19 heatmaps
KEYPOINTS, WIDTH, BATCH = 19, 64, 8


def relation(height: int, peaks: int) -> Callable[[], object]:
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
    rivals = {str(amount): call for amount, call in calls.items()}
    times = measuring.SideBySide(rivals, arguments.rounds, arguments.seconds)
    return {amount: 1000 * times.spread(str(amount)).median for amount in calls}


def measured(photos: list[LoadedImage], arguments: argparse.Namespace) -> dict[str, dict[int, float]]:
    """Milliseconds by what grows."""
    estimator = PoseEstimator("nano", flip_test=False)
    crowds = {count: with_boxes(photos[0], count) for count in PEOPLE}
    many = {count: [with_boxes(photo, 3) for photo in photos[:count]] for count in IMAGES}
    calls = {
        "people in an image": {count: lambda crowd=crowd: estimator(crowd) for count, crowd in crowds.items()},
        "images of three people": {
            count: lambda some=some: consume(estimator.stream(some)) for count, some in many.items()
        },
        f"height of the heatmaps, relation of {BATCH} crops": {height: relation(height, 4) for height in MAPS},
        f"candidates Np, relation of {BATCH} crops": {KEYPOINTS * peaks: relation(32, peaks) for peaks in PEAKS},
    }
    return {what: median_ms(each, arguments) for what, each in calls.items()}


def draw(times: dict[str, dict[int, float]], path: Path) -> None:
    import matplotlib  # noqa: PLC0415

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot  # noqa: PLC0415

    figure, axes = pyplot.subplots(2, 2, figsize=(8, 6), layout="constrained")
    for axis, (what, each) in zip(axes.flat, times.items(), strict=True):
        axis.plot(list(each), list(each.values()), marker="o", color="#0072b2")
        axis.set(xlabel=what, ylabel="milliseconds", ylim=(0, None), xlim=(0, None))
        axis.grid(alpha=0.25)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = measuring.arguments_of(__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--plot", type=Path, help="an .svg file to draw into")
    arguments = parser.parse_args()
    measuring.use_threads(arguments.threads)
    measuring.print_machine(arguments.threads)
    files = find_images([str(arguments.images)])[: max(IMAGES)]
    times = measured([LoadedImage(read_image(file.path), file.file_name) for file in files], arguments)
    if arguments.plot is not None:
        draw(times, arguments.plot)
    figures = [
        measuring.Figure(f"milliseconds at {amount} ({what})", measuring.Spread.of([value]))
        for what, each in times.items()
        for amount, value in each.items()
    ]
    measuring.report("growth", figures, arguments)


if __name__ == "__main__":
    main()
