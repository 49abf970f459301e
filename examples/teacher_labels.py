"""Let a network of another project label people, to learn from it: an ONNX or OpenVINO file of COCO-17 heatmaps.

    pip install openvino
    python examples/teacher_labels.py tinypose_256_192_fp16.xml people.json images/ found
    rsgnet data complete people.json found/poses.json --out completed.json

The model takes a crop as RGB, normalised as ImageNet, batch 1; boxes are those of the annotations. As a teacher of
crops as they are cut in training it needs no labels: `rsgnet train --teacher`.
"""

import sys
from pathlib import Path

from rsgnet.annotations.readers import read_annotations
from rsgnet.cli.options import progress
from rsgnet.inference.annotated import annotated_files, boxes_for, predict_annotated
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import record_run, write_predictions
from rsgnet.inference.teacher import open_teacher
from rsgnet.skeletons import COCO17


def main(model: str, annotations: Path, images: Path, out: Path) -> None:
    """Writes what the teacher finds in the annotated boxes to `out/poses.json`."""
    truth = read_annotations(annotations)
    teacher = PoseEstimator(open_teacher(model), boxes_for(truth, "gt"), skeleton=COCO17)
    record = record_run(teacher, model, "gt")
    with progress(len(annotated_files(truth, images)), out) as report:
        write_predictions(predict_annotated(teacher, truth, images), out, None, report, record)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
