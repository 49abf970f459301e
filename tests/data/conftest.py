"""A data set whose images show exactly where each keypoint lies."""

import json

import numpy as np
import pytest
from PIL import Image

from rsgnet.data.dataset import DataSource
from rsgnet.skeletons import COCO17

SIZE_WH = (320, 240)


def marker_colour(keypoint):
    """A colour that tells its keypoint, well apart from its neighbours'."""
    return 55 + 40 * (keypoint % 6), 55 + 40 * (keypoint // 6 % 6), 200


def person(identifier, box_xywh, seed, unlabelled=()):
    random = np.random.default_rng(seed)
    places = random.uniform(0.1, 0.9, (17, 2)) * box_xywh[2:] + box_xywh[:2]
    triples = [[0, 0, 0] if index in unlabelled else [*place, 2] for index, place in enumerate(places.tolist())]
    return {
        "id": identifier,
        "image_id": 7,
        "category_id": 1,
        "bbox": list(map(float, box_xywh)),
        "keypoints": [value for triple in triples for value in triple],
        "area": float(box_xywh[2] * box_xywh[3]) / 2,
        "iscrowd": 0,
    }


@pytest.fixture
def marked(tmp_path):
    """One image, two overlapping people and one without labels; a 7x7 mark on each keypoint of person 1."""
    people = [
        person(1, np.array([60.0, 30.0, 120.0, 180.0]), seed=1, unlabelled=(3,)),
        person(2, np.array([140.0, 40.0, 100.0, 170.0]), seed=2),
        {**person(3, np.array([250.0, 20.0, 50.0, 90.0]), seed=3), "keypoints": [0] * 51},
    ]
    image = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
    for index, (x, y, v) in enumerate(np.reshape(people[0]["keypoints"], (17, 3))):
        if v:
            image[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4] = marker_colour(index)
    (tmp_path / "images").mkdir()
    Image.fromarray(image).save(tmp_path / "images" / "marked.png")
    content = {
        "images": [{"id": 7, "file_name": "marked.png", "width": SIZE_WH[0], "height": SIZE_WH[1]}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints), "skeleton": []}],
    }
    (tmp_path / "people.json").write_text(json.dumps(content))
    return DataSource(tmp_path / "people.json", tmp_path / "images")
