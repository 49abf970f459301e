import json

import numpy as np
import pytest

from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import PEOPLE19

# OCHuman's order, written independently of the reader: the head is 12, the nose 16.
OCHUMAN_KEYPOINTS = [
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "head",
    "neck",
    "right_ear",
    "left_ear",
    "nose",
    "right_eye",
    "left_eye",
]


def make_content(**change):
    keypoints = [value for index in range(19) for value in (index, 100 + index, index % 4)]
    person = {"bbox": [10, 20, 40, 60], "keypoints": keypoints, "segms": None, "max_iou": 0.7, **change}
    image = {"image_id": "000001", "file_name": "000001.jpg", "width": 50, "height": 70}
    return {"images": [{**image, "annotations": [person, {**person, "keypoints": None, "bbox": [0, 0, 5, 6]}]}]}


def read(tmp_path, tree):
    (tmp_path / "ochuman.json").write_text(json.dumps(tree))
    return read_annotations(tmp_path / "ochuman.json")


def test_order_visibility_and_boxes(tmp_path):
    annotations = read(tmp_path, make_content())
    (image,) = annotations.images
    first, second = image.people
    assert annotations.skeleton is PEOPLE19 and image.size_wh == (50, 70) and image.file_name == "000001.jpg"
    np.testing.assert_array_equal(first.box_xywh, [10, 20, 30, 40])
    for name, (x, y, visibility) in zip(PEOPLE19.keypoints, first.keypoints, strict=True):
        index = OCHUMAN_KEYPOINTS.index(name)
        assert (x, y) == (index, 100 + index)
        assert visibility == {0: 0, 1: 2, 2: 2, 3: 1}[index % 4]  # missing, visible, self-occluded, occluded by others
    assert (second.num_labelled, second.id) == (0, 2)
    np.testing.assert_array_equal(second.box_xywh, [0, 0, 5, 6])


def test_the_order_may_be_given_by_the_file(tmp_path):
    names = OCHUMAN_KEYPOINTS[::-1]
    person = read(tmp_path, {**make_content(), "keypoint_names": names}).images[0].people[0]
    assert [x for x, _, _ in person.keypoints] == [names.index(name) for name in PEOPLE19.keypoints]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (make_content(bbox=[1, 2, 3]), r"image entry 0 \(000001.jpg\), annotation entry 0: expected 4 box"),
        (make_content(keypoints=[1, 2, 3]), "and 57 keypoint numbers, got 4 and 3"),
        (make_content(keypoints=[1, 2, 9] * 19), "visibility must be 0, 1, 2 or 3, not 9"),
        (make_content(keypoints=[float("nan"), 2, 1] * 19), "finite"),
        ({**make_content(), "keypoint_names": ["nose"]}, "expected OCHuman's 19"),
        ({"images": [*make_content()["images"], 7]}, "image entry 1: TypeError"),
    ],
)
def test_the_message_names_the_entry(tmp_path, tree, message):
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path, tree)
