"""Label people with a network of another project: an ONNX or OpenVINO file that gives COCO-17 heatmaps.

    pip install openvino
    python examples/teacher_labels.py tinypose_256_192_fp16.xml people.json images/ found
    rsgnet data complete people.json found/poses.json --out completed.json

The network takes one RGB crop, normalised with ImageNet's mean and standard deviation. The boxes are those of the
annotations. Distillation needs no such labels: `rsgnet train --teacher` gives the network the crops of the training.
"""

import sys
from pathlib import Path

from rsgnet.annotations.readers import read_annotations
from rsgnet.cli.terminal import show_progress
from rsgnet.inference.dataset_inference import list_dataset_images, open_dataset_boxes, predict_dataset
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import record_run, write_predictions
from rsgnet.inference.teacher import open_teacher
from rsgnet.skeletons import COCO17


def main(model: str, annotations: Path, images: Path, out: Path) -> None:
    """Writes what the teacher finds in the annotated boxes to `out/poses.json`."""
    truth = read_annotations(annotations)
    teacher = PoseEstimator(open_teacher(model).network, open_dataset_boxes(truth, "gt"), skeleton=COCO17)
    record = record_run(teacher, model, "gt")
    with show_progress(len(list_dataset_images(truth, images)), out) as report:
        write_predictions(predict_dataset(teacher, truth, images), out, None, report, record)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
