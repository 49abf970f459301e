"""Let a network of another project label people, to learn from it: any OpenVINO model that yields COCO-17 heatmaps.

    pip install openvino
    python examples/teacher_labels.py tinypose_256_192_fp16.xml people.json pictures/ found
    rsgnet data complete people.json found/poses.json --out completed.json

The model takes a crop as RGB, normalised as ImageNet, batch 1; boxes are those of the annotations.
"""

import sys
from pathlib import Path

import numpy as np
import openvino

from rsgnet.config import CropConfig, DecodeConfig, ModelConfig, PoseConfig
from rsgnet.data.annotations import read_annotations
from rsgnet.inference.annotated import annotated_files, boxes_for, predict_annotated
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import write_predictions
from rsgnet.inference.run_record import record_run
from rsgnet.skeletons import COCO17
from rsgnet.terminal import progress


class OpenVinoTeacher:
    """A pose network from an OpenVINO file, as the estimator's runner."""

    def __init__(self, path: Path) -> None:
        model = openvino.Core().read_model(path)
        *_, height, width = model.inputs[0].shape
        self.path = path
        self.config = PoseConfig(
            path.stem,
            crop=CropConfig(size_wh=(width, height), pixel_centre=0.5),
            model=ModelConfig(relation="none", skeleton_graph=False),
            decode=DecodeConfig(refinement="taylor"),
        )
        self._run = openvino.compile_model(model, "CPU")

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """(B, 17, h, w) heatmaps of (B, H, W, 3) RGB crops."""
        crop = self.config.crop
        images = ((crops / 255 - crop.mean) / crop.std).astype(np.float32).transpose(0, 3, 1, 2)
        return np.concatenate([self._run(image[None])[0] for image in images])


def main(model: Path, annotations: Path, pictures: Path, out: Path) -> None:
    """Writes what the teacher finds in the annotated boxes to `out/poses.json`."""
    truth = read_annotations(annotations)
    teacher = PoseEstimator(OpenVinoTeacher(model), boxes_for(truth, "gt"), skeleton=COCO17)
    record = record_run(teacher, str(model), "gt")
    with progress(len(annotated_files(truth, pictures)), out) as report:
        write_predictions(predict_annotated(teacher, truth, pictures), out, None, report, record)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
