"""Writing Label Studio's JSON: a task for each image, people as boxes with keypoints that name their box.

Labels become annotations, scored people predictions. Label Studio shows both in a project whose labelling interface is
the XML of `label_studio_interface`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from rsgnet.annotations.people import AnnotatedImage, Annotations, Person
from rsgnet.annotations.yolo import find_keypoints_inside
from rsgnet.skeletons import Skeleton

_BOX, _KEYPOINT, _IMAGE, _PERSON, _HIDDEN = "box", "keypoint", "image", "person", "hidden"
_POINT_WIDTH = 0.6  # per cent of the image's width, as Label Studio draws it
_LOCAL_FILES = "/data/local-files/?d="


def to_label_studio(annotations: Annotations) -> str:
    """Converts people to Label Studio's JSON, to be imported as tasks.

    Images are named as files of its local storage. A hidden keypoint has the text `hidden` as its meta information.
    Keypoints outside the image, which Label Studio refuses, are left out.
    """
    return json.dumps([_task(image, annotations.skeleton) for image in annotations.images])


def label_studio_interface(skeleton: Skeleton) -> str:
    """Returns the XML of a labelling interface for people of a skeleton.

    Label Studio exports keypoints to COCO and YOLO in the order of `model_index`.
    """
    view = Element("View")
    SubElement(view, "Image", name=_IMAGE, value=f"${_IMAGE}")
    boxes = SubElement(view, "RectangleLabels", name=_BOX, toName=_IMAGE)
    SubElement(boxes, "Label", value=_PERSON)
    points = SubElement(view, "KeyPointLabels", name=_KEYPOINT, toName=_IMAGE)
    for index, name in enumerate(skeleton.keypoints):
        SubElement(points, "Label", value=name, model_index=str(index))
    ElementTree.indent(view)
    return ElementTree.tostring(view, "unicode") + "\n"


def _task(image: AnnotatedImage, skeleton: Skeleton) -> dict[str, Any]:
    people = [person for person in image.people if not person.is_crowd]
    labels, scored = ([p for p in people if (p.score is None) is is_label] for is_label in (True, False))
    task: dict[str, Any] = {"data": {_IMAGE: _LOCAL_FILES + quote(image.file_name)}}
    if scored:
        mean = sum(person.confidence for person in scored) / len(scored)
        task["predictions"] = [{"model_version": "rsgnet", "score": mean, "result": _regions(image, scored, skeleton)}]
    if labels or not scored:
        task["annotations"] = [{"result": _regions(image, labels, skeleton)}]
    return task


def _regions(image: AnnotatedImage, people: list[Person], skeleton: Skeleton) -> list[dict[str, Any]]:
    return [region for person in people for region in _person_regions(image, person, skeleton)]


def _person_regions(image: AnnotatedImage, person: Person, skeleton: Skeleton) -> Iterator[dict[str, Any]]:
    """Yields the box and the labelled keypoints; positions are per cent of the image."""
    width, height = image.size_wh
    box_id = f"person-{person.id}"
    common = {"to_name": _IMAGE, "original_width": width, "original_height": height, "image_rotation": 0}
    left, top, box_width, box_height = (person.box_xywh * 100 / [width, height, width, height]).tolist()
    sides = {"x": left, "y": top, "width": box_width, "height": box_height, "rotation": 0}
    box = {**common, "id": box_id, "from_name": _BOX, "type": "rectanglelabels"}
    yield {**box, "value": {**sides, "rectanglelabels": [_PERSON]}, **_score(person.score)}
    is_inside = find_keypoints_inside(person, np.array(image.size_wh, np.float64))
    for index, (name, (x, y, visibility)) in enumerate(zip(skeleton.keypoints, person.keypoints.tolist(), strict=True)):
        if not is_inside[index]:
            continue
        score = None if person.keypoint_scores is None else float(person.keypoint_scores[index])
        value = {"x": 100 * x / width, "y": 100 * y / height, "width": _POINT_WIDTH, "keypointlabels": [name]}
        region = {**common, "id": f"{box_id}-{name}", "parentID": box_id, "from_name": _KEYPOINT, "value": value}
        hidden = {"meta": {"text": [_HIDDEN]}} if visibility == 1 else {}
        yield {**region, "type": "keypointlabels", **_score(score), **hidden}


def _score(score: float | None) -> dict[str, float]:
    return {} if score is None else {"score": score}
