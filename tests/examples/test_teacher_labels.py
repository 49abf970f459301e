"""A network of another project labels everyone in the annotations."""

import json
import subprocess
import sys
from pathlib import Path

from tests.inference.test_teacher import write_foreign_network

from rsgnet.crowds.data_sets import write_crowds

EXAMPLE = Path(__file__).parents[2] / "examples" / "teacher_labels.py"


def test_everyone_in_the_annotations_is_labelled(tmp_path):
    labels = write_crowds(tmp_path / "crowd", scenes=1, crowd_index=(0.0, 0.2), seed=0)
    model = write_foreign_network(tmp_path / "theirs.onnx")
    command = [sys.executable, EXAMPLE, model, labels, tmp_path / "crowd" / "images", tmp_path / "found"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    found = json.loads((tmp_path / "found" / "poses.json").read_text())
    people = [each for each in json.loads(labels.read_text())["annotations"] if each["num_keypoints"]]
    assert len(found) == len(people) > 0
    assert all(len(each["keypoints"]) == 17 * 3 for each in found)
