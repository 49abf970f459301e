"""Small made-up truths to score against."""

import json

import numpy as np
import pytest

from rsgnet.skeletons import COCO17


def person(keypoints, box_xywh=(0, 0, 100, 100), **more):
    """A COCO annotation; keypoints (K, 3), or {index: (x, y)} of those that are labelled, of COCO17."""
    if isinstance(keypoints, dict):
        rows = np.zeros((17, 3))
        for index, (x, y) in keypoints.items():
            rows[index] = x, y, 2
        keypoints = rows
    keypoints = np.asarray(keypoints, float)
    area = float(box_xywh[2] * box_xywh[3])
    entry = {"bbox": list(map(float, box_xywh)), "keypoints": keypoints.ravel().tolist(), "area": area, "iscrowd": 0}
    return {**entry, "num_keypoints": int((keypoints[:, 2] > 0).sum()), "category_id": 1, **more}


def interpolated(*steps):
    """AP of a precision curve in 101 steps of recall, given as (recall up to which, precision)."""
    recalls = np.linspace(0, 1, 101)
    precision = np.zeros(101)
    for reach, value in reversed(steps):
        precision[recalls <= reach + 1e-9] = value
    return precision.mean()


@pytest.fixture
def truth(tmp_path):
    """Writes annotations: a list of people for each picture, ids from 1 and file names as `pictures/1.jpg`."""

    def write(*pictures, skeleton=COCO17, crowd_indices=None):
        images = [
            {"id": index, "file_name": f"pictures/{index}.jpg", "width": 640, "height": 480}
            for index in range(1, len(pictures) + 1)
        ]
        for image, crowd_index in zip(images, crowd_indices or [], strict=False):
            if crowd_index is not None:
                image["crowdIndex"] = crowd_index
        people = [{**entry, "image_id": index} for index, group in enumerate(pictures, 1) for entry in group]
        content = {
            "images": images,
            # An id of 0 is as good as any other.
            "annotations": [{**entry, "id": index} for index, entry in enumerate(people)],
            "categories": [{"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}],
        }
        path = tmp_path / "truth.json"
        path.write_text(json.dumps(content))
        return path

    return write
