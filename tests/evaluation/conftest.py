"""Small synthetic data sets, and results to evaluate on them."""

import json

import numpy as np
import pytest

from rsgnet.annotations.readers import read_annotations
from rsgnet.evaluation.matching import match_images
from rsgnet.evaluation.protocol import choose_protocol
from rsgnet.evaluation.results import read_keypoint_results
from rsgnet.skeletons import COCO17


def person(keypoints, box_xywh=(0, 0, 100, 100), **fields):
    """Returns a COCO annotation; keypoints are (K, 3), or {index: (x, y)} of the labelled ones of COCO17."""
    if isinstance(keypoints, dict):
        rows = np.zeros((17, 3))
        for index, (x, y) in keypoints.items():
            rows[index] = x, y, 2
        keypoints = rows
    keypoints = np.asarray(keypoints, float)
    area = float(box_xywh[2] * box_xywh[3])
    entry = {"bbox": list(map(float, box_xywh)), "keypoints": keypoints.ravel().tolist(), "area": area, "iscrowd": 0}
    return {**entry, "num_keypoints": int((keypoints[:, 2] > 0).sum()), "category_id": 1, **fields}


def result(keypoints, score, image_id=1, count=17):
    """Returns a COCO keypoint result; keypoints are (K, 2), or {index: (x, y)} of some of `count`, all of score 1."""
    rows = np.zeros((count, 3))
    for index, (x, y) in keypoints.items() if isinstance(keypoints, dict) else enumerate(keypoints):
        rows[index] = x, y, 1
    return {"image_id": image_id, "category_id": 1, "keypoints": rows.ravel().tolist(), "score": score}


def distance_at(similarity, area, sigma):
    """Returns the distance in pixels at which a keypoint has that similarity."""
    return float(np.sqrt(-np.log(similarity) * 2 * area * (2 * sigma) ** 2))


def random_crowds(random, images, count=17):
    """Returns images of up to four people, and results of up to two poses per person with errors of any size."""
    crowds, results = [], []
    for image_id in range(1, images + 1):
        group = []
        for _ in range(int(random.integers(0, 5))):
            box_xywh = np.array([*random.uniform(0, 300, 2), *random.uniform(60, 200, 2)])
            keypoints = np.column_stack([random.random((count, 2)), random.integers(0, 3, count)])
            keypoints[:, :2] = box_xywh[:2] + keypoints[:, :2] * box_xywh[2:]
            keypoints[:, 2] *= random.random() > 0.1  # some have no labels
            group.append(person(keypoints, box_xywh, iscrowd=int(random.random() > 0.9)))
            for _ in range(int(random.integers(0, 3))):
                moved = keypoints[:, :2] + random.normal(0, 1, (count, 2)) * random.uniform(1, 15)
                results.append(result(moved, round(float(random.random()), 1), image_id, count))
        crowds.append(group)
    return crowds, results


def interpolated_ap(*steps):
    """Returns the AP of a stepwise precision curve, given as (highest recall, precision) pairs."""
    recalls = np.linspace(0, 1, 101)
    precision = np.zeros(101)
    for reach, value in reversed(steps):
        precision[recalls <= reach + 1e-9] = value
    return precision.mean()


@pytest.fixture
def match(truth):
    """Combines images, as `truth` takes them, and results into MatchedImages."""

    def combine(images, results, **options):
        annotations = read_annotations(truth(*images, **options))
        return match_images(annotations, read_keypoint_results(results, annotations), choose_protocol(annotations))

    return combine


@pytest.fixture
def truth(tmp_path):
    """Writes annotations of one list of people per image; ids count from 1, file names are `images/1.jpg` and so on."""

    def write(*images, skeleton=COCO17, crowd_indices=None):
        entries = [
            {"id": index, "file_name": f"images/{index}.jpg", "width": 640, "height": 480}
            for index in range(1, len(images) + 1)
        ]
        for entry, crowd_index in zip(entries, crowd_indices or [], strict=False):
            if crowd_index is not None:
                entry["crowdIndex"] = crowd_index
        people = [{**entry, "image_id": index} for index, group in enumerate(images, 1) for entry in group]
        content = {
            "images": entries,
            # An id of 0 is valid, too.
            "annotations": [{**entry, "id": index} for index, entry in enumerate(people)],
            "categories": [{"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}],
        }
        path = tmp_path / "truth.json"
        path.write_text(json.dumps(content))
        return path

    return write
