"""Whether the back ends find the same: keypoints and AP of one network in each of them, on the same people.

`python benchmarks/agreement.py ANNOTATIONS.json IMAGES_DIR --calibrate LABELS[:IMAGES_DIR] [--weights nano]`

PyTorch in float32 is what the others are held against. In float32 keypoints are to lie within 0.1 pixels of its, and AP
within 0.001; int8 may cost 0.005 AP. Where two peaks of a heatmap are equally high to the last digits two back ends
may choose different ones: how many do is printed, too.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import measuring
import numpy as np
from predicted import poses_of

from rsgnet.annotations.readers import Annotations, read_annotations
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.average_precision import keypoint_figures
from rsgnet.evaluation.official import official_evaluator
from rsgnet.evaluation.results import Results
from rsgnet.export.directory import export_onnx, export_openvino
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.images import read_image
from rsgnet.inference.crop_poses import find_in_crops
from rsgnet.inference.crops import cut
from rsgnet.inference.runtime.network import OpenedRunner, open_runner
from rsgnet.inference.weights import find_weights

WITHIN_PX = 0.1
ENGINES = [
    ("torch", "float32"),
    ("onnx", "float32"),
    ("openvino", "float32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
]


def exported(weights: str, calibrate: list[str], folder: Path) -> Path:
    """A copy of the weights with every file that the back ends read."""
    given = find_weights(weights).directory
    if given is None:
        raise RSGNetError(f"{weights}: not a model directory")
    directory = Path(shutil.copytree(given, folder / "model"))
    export_onnx(directory)
    export_openvino(directory, calibration=calibrate)
    return directory


def keypoints_of(runner: OpenedRunner, truth: Annotations, images: Path) -> np.ndarray:
    """(N, K, 2) everyone's keypoints in image pixels, in the order of the annotations."""
    found = []
    for annotated in truth.images:
        image = read_image(images / annotated.file_name)
        boxes = [person.box_xywh for person in annotated.people if person.labelled and not person.is_crowd]
        crops = [cut(image, box, runner.config.crop) for box in xywh_to_xyxy(np.array(boxes).reshape(-1, 4))]
        if crops:
            found.append(find_in_crops(runner, runner.config, crops, flip_test=False).keypoints_xy)
    return np.concatenate(found)


def average_precision(results: Results, truth: Annotations) -> float:
    return keypoint_figures(official_evaluator(truth, results, "keypoints", crowdpose=False), truth)["AP"]


def figures_of(truth: Annotations, directory: Path, arguments: argparse.Namespace) -> list[measuring.Figure]:
    figures: list[measuring.Figure] = []
    reference, highest = np.zeros(0), 0.0
    for backend, precision in ENGINES:
        engine = f"{arguments.weights}, {backend} {precision}"
        try:
            runner = open_runner(directory, backend, "cpu", precision=precision)
        except RSGNetError as error:
            print(f"  {backend} {precision}: {error}")
            continue
        places = keypoints_of(runner, truth, arguments.images)
        reached = average_precision(poses_of(runner, truth, arguments.images, arguments.weights, flip=False), truth)
        if not figures:
            reference, highest = places, reached
            figures.append(measuring.Figure(f"{engine}: AP", measuring.Spread.of([highest])))
            continue
        lost = measuring.Spread.of([highest - reached])
        full = precision == "float32"
        figures.append(measuring.at_most(f"{engine}: AP lost", lost, 0.001 if full else 0.005))
        apart = np.hypot(*np.moveaxis(places - reference, -1, 0))
        share = measuring.Spread.of([float((apart <= WITHIN_PX).mean())])
        what = f"{engine}: share of keypoints within {WITHIN_PX} pixels"
        figures.append(measuring.at_least(what, share, 1.0) if full else measuring.Figure(what, share))
        figures.append(measuring.Figure(f"{engine}: largest distance, pixels", measuring.Spread.of([apart.max()])))
    return figures


def main() -> None:
    parser = measuring.arguments_of(__doc__, rounds=1)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--calibrate", action="append", required=True)
    parser.add_argument("--weights", default="nano")
    arguments = parser.parse_args()
    measuring.use_threads(arguments.threads)
    measuring.print_machine(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        directory = exported(arguments.weights, arguments.calibrate, Path(folder))
        figures = figures_of(read_annotations(arguments.annotations), directory, arguments)
    measuring.report("agreement", figures, arguments)


if __name__ == "__main__":
    main()
