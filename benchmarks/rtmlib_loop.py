"""Measures the pipeline side by side with rtmlib's loop over images and people, with the same two networks.

`pip install rtmlib`, then `python benchmarks/rtmlib_loop.py DETECTOR.onnx IMAGES_DIR [--people 1 8 30]`

DETECTOR is a published RTMDet with suppression in its file, such as rtmdet-nano-person. The pose network is `small`.
rtmlib reads SimCC networks, so that it gets a file with small's layers whose SimCC scores are the maxima of the rows
and columns of its heatmaps. Both read image files, detect, and estimate poses in the same number of boxes per image,
without flip test; the boxes are random, because no images have a chosen number of people. rtmlib runs one person at a
time.
"""

import contextlib
import io
import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from measurement import Measurement, Timings, make_parser, report, set_up
from pipeline_speed import BoxesAfterDetection, consume, random_boxes
from torch import Tensor, nn

from rsgnet.checkpoint import load_pose_model
from rsgnet.export.in_place_shuffles import make_exportable
from rsgnet.inference.detectors.open_detector import open_detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.sources import ImageFile, find_images
from rsgnet.inference.weights import find_weights

WEIGHTS, SIZE_WH, BINS = "small", (192, 256), 2  # SimCC positions per crop pixel
DETECTOR_SIDE = 320
BACKENDS = {"onnx": "onnxruntime", "openvino": "openvino"}  # rtmlib's names


class SimccGraph(nn.Module):
    """A heatmap network with the outputs of a SimCC network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        heatmaps = self.network(crops).target_heatmaps
        repeats = BINS * SIZE_WH[0] // heatmaps.shape[3]
        return heatmaps.amax(2).repeat_interleave(repeats, 2), heatmaps.amax(3).repeat_interleave(repeats, 2)


def export_simcc(path: Path) -> None:
    network = make_exportable(load_pose_model(find_weights(WEIGHTS).directory))
    crops = torch.zeros(1, 3, SIZE_WH[1], SIZE_WH[0])
    program = torch.onnx.export(
        SimccGraph(network).eval(), (crops,), input_names=["crops"], output_names=["simcc_x", "simcc_y"], dynamo=True,
        verbose=False,
    )  # fmt: skip
    assert program is not None
    program.save(path)


def make_rtmlib_loop(
    detector_file: Path, pose_file: Path, backend: str, files: Sequence[ImageFile], people: int
) -> Callable[[], object]:
    import cv2  # noqa: PLC0415
    from rtmlib import RTMDet, RTMPose  # noqa: PLC0415

    with contextlib.redirect_stdout(io.StringIO()):
        detector = RTMDet(str(detector_file), (DETECTOR_SIDE, DETECTOR_SIDE), backend=BACKENDS[backend])
        network = RTMPose(str(pose_file), SIZE_WH, backend=BACKENDS[backend])

    def run() -> None:
        for file in files:
            pixels = cv2.imread(str(file.path))
            detector(pixels)
            network(pixels, random_boxes((pixels.shape[1], pixels.shape[0]), people).boxes_xyxy)

    return run


def make_pipeline(detector: str, backend: str, files: Sequence[ImageFile], people: int) -> Callable[[], object]:
    estimator = PoseEstimator(
        WEIGHTS, BoxesAfterDetection(open_detector(detector, backend=backend), people), backend=backend, flip_test=False
    )
    return lambda: consume(estimator.stream(files))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("detector", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 8, 30])
    parser.add_argument("--image-count", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    set_up(arguments.threads)
    files = find_images([str(arguments.images)])[: arguments.image_count]
    measurements = []
    with tempfile.TemporaryDirectory() as folder:
        simcc = Path(folder) / "simcc.onnx"
        export_simcc(simcc)
        calls = {}
        for people, backend in itertools.product(arguments.people, BACKENDS):
            key = f"{people} {backend}"
            calls[f"rtmlib {key}"] = make_rtmlib_loop(arguments.detector, simcc, backend, files, people)
            calls[f"ours {key}"] = make_pipeline(f"onnx:{arguments.detector}", backend, files, people)
        times = Timings(calls, arguments.rounds, arguments.seconds)
    for people, backend in itertools.product(arguments.people, BACKENDS):
        prefix, key = f"{backend}, {people} people in an image", f"{people} {backend}"
        for name in ("ours", "rtmlib"):
            rate = times.rate(f"{name} {key}", len(files))
            measurements.append(Measurement(f"{prefix}: images per second, {name}", rate))
        ratio = times.ratio(f"rtmlib {key}", to=f"ours {key}")
        measurements.append(Measurement(f"{prefix}: speed relative to rtmlib's loop", ratio))
    report("rtmlib_loop", measurements, arguments)


if __name__ == "__main__":
    main()
