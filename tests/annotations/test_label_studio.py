"""Label Studio's tasks hold every person, in per cent of the image, as its import reads them."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from rsgnet.annotations.label_studio import label_studio_interface, to_label_studio
from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.skeletons import COCO17

KEYPOINTS = np.zeros((17, 3))
KEYPOINTS[0], KEYPOINTS[5] = (50, 30, 2), (120, 45, 1)
BOX = np.array([20.0, 15.0, 100.0, 60.0])


def convert(*people):
    image = AnnotatedImage(7, "a b/photo.png", (200, 150), people)
    return json.loads(to_label_studio(Annotations(Path("x.json"), COCO17, (image,))))[0]


def test_labels_become_annotations():
    task = convert(Person(3, BOX, KEYPOINTS, 900.0))
    assert task["data"] == {"image": "/data/local-files/?d=a%20b/photo.png"} and "predictions" not in task
    box, nose, shoulder = task["annotations"][0]["result"]
    assert box["type"] == "rectanglelabels" and box["value"]["rectanglelabels"] == ["person"]
    assert [box["value"][side] for side in ("x", "y", "width", "height")] == [10, 10, 50, 40]
    assert (nose["value"]["x"], nose["value"]["y"], nose["value"]["keypointlabels"]) == (25, 20, ["nose"])
    assert (shoulder["value"]["x"], shoulder["value"]["y"], shoulder["meta"]) == (60, 30, {"text": ["hidden"]})
    assert nose["parentID"] == shoulder["parentID"] == box["id"] and "meta" not in nose
    assert (nose["original_width"], nose["original_height"], nose["to_name"]) == (200, 150, "image")
    assert len({region["id"] for region in (box, nose, shoulder)}) == 3


def test_scored_people_become_predictions():
    scored = Person(1, BOX, KEYPOINTS, 900.0, False, 0.8, np.linspace(0, 0.5, 17))
    task = convert(scored, Person(2, BOX, KEYPOINTS, 900.0), Person(4, BOX, np.zeros((17, 3)), 900.0, is_crowd=True))
    (prediction,) = task["predictions"]
    assert prediction["score"] == pytest.approx(0.8)
    assert [region["score"] for region in prediction["result"]] == pytest.approx([0.8, 0, 5 / 32])
    assert len(task["annotations"][0]["result"]) == 3  # the label; the group is left out
    assert convert()["annotations"] == [{"result": []}]


def test_keypoints_outside_the_image_are_left_out():
    keypoints = KEYPOINTS.copy()
    keypoints[1], keypoints[2], keypoints[3] = (201, 40, 2), (50, -1, 2), (200, 150, 2)
    regions = convert(Person(3, BOX, keypoints, 900.0))["annotations"][0]["result"][1:]
    assert [region["value"]["keypointlabels"] for region in regions] == [["nose"], ["left_ear"], ["left_shoulder"]]
    assert all(0 <= region["value"][side] <= 100 for region in regions for side in "xy")  # as its import requires


def test_the_interface_has_the_labels_that_the_tasks_use():
    view = ElementTree.fromstring(label_studio_interface(COCO17))
    # Its exports to COCO and YOLO need the order of the keypoints.
    assert [each.get("model_index") for each in view.find("KeyPointLabels")] == [str(index) for index in range(17)]
    assert [each.get("value") for each in view.find("KeyPointLabels")] == list(COCO17.keypoints)
    names = {each.get("name") for each in view}
    regions = convert(Person(3, BOX, KEYPOINTS, 900.0))["annotations"][0]["result"]
    assert {region["from_name"] for region in regions} | {"image"} == names
