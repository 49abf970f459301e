"""Compares the back ends' keypoints and AP for one network on the same people, with PyTorch in float32 as reference.

`python benchmarks/backend_agreement.py ANNOTATIONS.json IMAGES_DIR --calibrate LABELS[:IMAGES_DIR] [--weights nano]`

In float32 all keypoints should lie within 0.1 pixels of the reference, and AP within 0.001; int8 may cost 0.005 AP.
Where two peaks of a heatmap are equally high to the last digits, back ends may choose different ones.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
from decoding_accuracy import predict_results
from measurement import Measurement, Spread, at_least, at_most, make_parser, report, set_up

from rsgnet.annotations.people import Annotations
from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.average_precision import compute_keypoint_metrics
from rsgnet.evaluation.protocol import COCO
from rsgnet.export.directory import export_onnx, export_openvino
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.images import read_image
from rsgnet.inference.crops import cut_crop, predict_crops
from rsgnet.inference.runtime.network import PoseNetwork
from rsgnet.inference.runtime.open_network import open_network
from rsgnet.inference.weights import find_weights

TOLERANCE_PX = 0.1
ENGINES = [
    ("torch", "float32"),
    ("onnx", "float32"),
    ("openvino", "float32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
]


def export_copy(weights: str, calibrate: list[str], folder: Path) -> Path:
    """Returns a copy of the weights with the files of all back ends."""
    source = find_weights(weights).directory
    if source is None:
        raise RSGNetError(f"{weights}: not a model directory")
    directory = Path(shutil.copytree(source, folder / "model"))
    export_onnx(directory)
    export_openvino(directory, calibration=calibrate)
    return directory


def predict_keypoints(network: PoseNetwork, truth: Annotations, images: Path) -> np.ndarray:
    """Returns (N, K, 2) keypoints of all people in image pixels, in the order of the annotations."""
    keypoints = []
    for annotated in truth.images:
        image = read_image(images / annotated.file_name)
        boxes = [person.box_xywh for person in annotated.people if person.num_labelled and not person.is_crowd]
        crops = [cut_crop(image, box, network.config.crop) for box in xywh_to_xyxy(np.array(boxes).reshape(-1, 4))]
        if crops:
            keypoints.append(predict_crops(network, crops, flip_test=False).keypoints_xy)
    return np.concatenate(keypoints)


def measure(truth: Annotations, directory: Path, arguments: argparse.Namespace) -> list[Measurement]:
    measurements: list[Measurement] = []
    reference, reference_ap = np.zeros(0), 0.0
    for backend, precision in ENGINES:
        engine = f"{arguments.weights}, {backend} {precision}"
        try:
            network = open_network(directory, backend, "cpu", precision=precision)
        except RSGNetError as error:
            print(f"  {backend} {precision}: {error}")
            continue
        keypoints = predict_keypoints(network, truth, arguments.images)
        results = predict_results(network, truth, arguments.images, arguments.weights, flip=False)
        ap = compute_keypoint_metrics(truth, results, COCO)["AP"]
        if not measurements:
            reference, reference_ap = keypoints, ap
            measurements.append(Measurement(f"{engine}: AP", Spread.of(ap)))
            continue
        is_exact = precision == "float32"
        measurements.append(at_most(f"{engine}: AP lost", Spread.of(reference_ap - ap), 0.001 if is_exact else 0.005))
        distance = np.hypot(*np.moveaxis(keypoints - reference, -1, 0))
        share = Spread.of(float((distance <= TOLERANCE_PX).mean()))
        name = f"{engine}: share of keypoints within {TOLERANCE_PX} pixels"
        measurements.append(at_least(name, share, 1.0) if is_exact else Measurement(name, share))
        measurements.append(Measurement(f"{engine}: largest distance, pixels", Spread.of(distance.max())))
    return measurements


def main() -> None:
    parser = make_parser(__doc__, rounds=1)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--calibrate", action="append", required=True)
    parser.add_argument("--weights", default="nano")
    arguments = parser.parse_args()
    set_up(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        directory = export_copy(arguments.weights, arguments.calibrate, Path(folder))
        measurements = measure(read_annotations(arguments.annotations), directory, arguments)
    report("backend_agreement", measurements, arguments)


if __name__ == "__main__":
    main()
