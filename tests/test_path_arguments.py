"""Public functions take the path of a file as a string, too, and report a missing one alike."""

import json
from pathlib import Path

import pytest

from rsgnet.annotations.checks import check_data_set
from rsgnet.annotations.masks import read_segmentations
from rsgnet.annotations.readers import read_annotations
from rsgnet.checkpoint import load_backbone, load_fitting, load_model, load_weights, read_config, read_state_dict
from rsgnet.crowds.data_sets import write_crowds
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.conversion import convert
from rsgnet.evaluation.predicted_people import read_predicted_people
from rsgnet.evaluation.results import read_frames
from rsgnet.evaluation.submission import write_submission
from rsgnet.evaluation.tracking_metrics import read_clips
from rsgnet.export.directory import export_onnx, export_openvino, publish
from rsgnet.inference.dataset_inference import list_dataset_images
from rsgnet.inference.detectors.box_file import BoxFileDetector
from rsgnet.inference.hub_upload import upload_to_hub
from rsgnet.inference.predictions import read_run_record
from rsgnet.pretrained import start_detector, start_pose_network
from rsgnet.training.recipe import read_recipe

READERS = {
    "read_segmentations": read_segmentations,
    "read_annotations": read_annotations,
    "load_model": load_model,
    "read_config": read_config,
    "read_state_dict": read_state_dict,
    "load_weights": lambda path: load_weights(None, path),
    "load_backbone": lambda path: load_backbone(None, path),
    "load_fitting": lambda path: load_fitting(None, path),
    "start_pose_network": lambda path: start_pose_network(None, path, None),
    "start_detector": lambda path: start_detector(None, path, None),
    "convert": lambda path: convert(path, path, "coco17"),
    "read_predicted_people": read_predicted_people,
    "read_frames": lambda path: read_frames(path, dict),
    "read_clips": lambda path: read_clips(path, path),
    "export_onnx": export_onnx,
    "export_openvino": export_openvino,
    "publish": lambda path: publish(path, path),
    "list_dataset_images": lambda path: list_dataset_images(None, path),
    "BoxFileDetector": BoxFileDetector.read,
    "upload_to_hub": lambda path: upload_to_hub(path, "user/model"),
    "read_recipe": read_recipe,
}


def raised_by(read, path):
    with pytest.raises((RSGNetError, OSError)) as caught:
        read(path)
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize("name", READERS)
def test_a_string_is_refused_as_the_path_is(name, tmp_path):
    missing = tmp_path / "missing.json"
    assert raised_by(READERS[name], str(missing)) == raised_by(READERS[name], missing)


def test_what_writes_and_reads_takes_strings(tmp_path):
    labels = write_crowds(str(tmp_path / "crowds"), 1, seed=0, size_wh=(160, 120))
    assert isinstance(labels, Path) and labels.is_file()
    images = str(tmp_path / "crowds" / "images")
    annotations = read_annotations(str(labels))
    assert len(list_dataset_images(annotations, images)) == 1
    by_string, by_path = check_data_set(str(labels), images), check_data_set(labels, Path(images))
    assert by_string.findings == by_path.findings
    assert by_string.hashes.keys() == by_path.hashes.keys() == {annotations.images[0].file_name}
    results = tmp_path / "results.json"
    pose = {"image_id": annotations.images[0].id, "category_id": 1, "keypoints": [1, 1, 1] * 17, "score": 0.5}
    results.write_text(json.dumps([pose]))
    assert read_run_record(str(results)) is None
    assert write_submission(str(results), str(labels), str(tmp_path)).is_file()
