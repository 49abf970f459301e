"""Reading and writing CVAT's own XML, "CVAT for images 1.1", with people drawn as skeletons.

CVAT's COCO export is read by the COCO reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from rsgnet.annotations.findings import FindingHandler, report_entry_errors, validate_file_name
from rsgnet.annotations.people import AnnotatedImage, Annotations, Person, estimate_area
from rsgnet.annotations.skeleton_matching import match_skeleton
from rsgnet.errors import AnnotationError
from rsgnet.geometry import xyxy_to_xywh
from rsgnet.skeletons import Skeleton

_PERSON_LABEL, _BOX_LABEL = "person", "box"


def read_cvat(
    text: str, custom_skeletons: Sequence[Skeleton], on_finding: FindingHandler
) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads the skeletons of a CVAT XML file.

    The label `person` is read, or else the only label that is a skeleton. A person's box is the rectangle in the same
    group, or else the bounding box of the labelled keypoints. Points marked outside are not labelled, occluded points
    are hidden. Images keep their ids, people get ids from 1 in the order of the file.

    Args:
        text: The XML.
        custom_skeletons: Skeletons to consider besides the built-in ones.
        on_finding: Called with each problem. Unless it raises, entries that cannot be used are left out.

    Raises:
        AnnotationError: The text is not such XML, declares a document type, has several skeletons and none named
            person, or keypoints that fit no skeleton.
    """
    root = _parse_xml(text)
    label, names = _find_label(root)
    skeleton = match_skeleton(names, {len(names)}, None, custom_skeletons, label)
    person_ids = count(1)
    images = []
    for index, image in enumerate(root.iter("image")):
        with report_entry_errors(on_finding, f"image {image.get('id', f'entry {index}')}"):
            boxes = {box.get("group_id"): box for box in image.iter("box") if box.get("group_id", "0") != "0"}
            people = []
            for skeleton_index, element in enumerate(image.iter("skeleton")):
                if element.get("label") != label:
                    continue
                entry = f"image {image.get('id')} ({image.get('name')}), skeleton {skeleton_index}"
                with report_entry_errors(on_finding, entry):
                    box = boxes.get(element.get("group_id"))
                    people.append(_parse_person(element, names, box, next(person_ids)))
            size_wh = int(image.get("width", 0)), int(image.get("height", 0))
            image_id, name = int(image.attrib["id"]), validate_file_name(image.attrib["name"])
            images.append(AnnotatedImage(image_id, name, size_wh, tuple(people)))
    return skeleton, images


def to_cvat(annotations: Annotations) -> str:
    """Converts labels to CVAT's XML: for each person a skeleton `person` and, in its group, a rectangle `box`.

    A CVAT task that imports the file needs these two labels, with the skeleton's points named as the keypoints.
    Coordinates are written to a hundredth of a pixel. Points without a label are marked outside and put in the centre
    of the box.
    """
    root = Element("annotations")
    _add_text(root, "version", "1.1")
    _add_labels(SubElement(root, "meta"), annotations.skeleton.keypoints)
    for image in annotations.images:
        width, height = map(str, image.size_wh)
        element = SubElement(root, "image", id=str(image.id), name=image.file_name, width=width, height=height)
        people = (person for person in image.people if not person.is_crowd)
        for group, person in enumerate(people, 1):
            _add_person(element, person, annotations.skeleton.keypoints, str(group))
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode", xml_declaration=False) + "\n"


def _add_text(parent: Element, tag: str, text: str) -> None:
    SubElement(parent, tag).text = text


def _add_labels(meta: Element, keypoints: Sequence[str]) -> None:
    labels = SubElement(SubElement(meta, "task"), "labels")
    points = (("points", name, _PERSON_LABEL) for name in keypoints)
    for kind, name, parent in (("rectangle", _BOX_LABEL, ""), ("skeleton", _PERSON_LABEL, ""), *points):
        label = SubElement(labels, "label")
        _add_text(label, "name", name)
        _add_text(label, "type", kind)
        if parent:
            _add_text(label, "parent", parent)


def _add_person(image: Element, person: Person, keypoints: Sequence[str], group: str) -> None:
    left, top, width, height = person.box_xywh
    sides = {"xtl": left, "ytl": top, "xbr": left + width, "ybr": top + height}
    common = {"source": "file", "occluded": "0", "z_order": "0", "group_id": group}
    SubElement(image, "box", {"label": _BOX_LABEL, **common} | {name: f"{side:.2f}" for name, side in sides.items()})
    skeleton = SubElement(image, "skeleton", {"label": _PERSON_LABEL, **common})
    centre = left + width / 2, top + height / 2
    for name, (*xy, visibility) in zip(keypoints, person.keypoints, strict=True):
        x, y = xy if visibility else centre
        outside, occluded = str(int(visibility == 0)), str(int(visibility == 1))
        point = f"{x:.2f},{y:.2f}"
        SubElement(skeleton, "points", label=name, source="file", outside=outside, occluded=occluded, points=point)


def _parse_xml(text: str) -> Element:
    # By entities a small file can expand to a huge one or include another file; CVAT writes none.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise AnnotationError("declares a document type or entities, which CVAT's XML does not; it is not read")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise AnnotationError(f"not valid XML ({error}); is it truncated?") from error
    if root.tag != "annotations":
        raise AnnotationError(f"not CVAT's XML: expected <annotations>, got <{root.tag}>")
    if root.find("track") is not None:
        raise AnnotationError("is CVAT's video format; export it as `CVAT for images 1.1`")
    return root


def _find_label(root: Element) -> tuple[str, list[str]]:
    """Returns the label to read and the names of its points, in the order of the label's definition."""
    points: dict[str, list[str]] = {}
    for label in root.iterfind("meta//label"):
        parent = label.findtext("parent")
        if parent:
            points.setdefault(parent, []).append(label.findtext("name") or "")
    if not points:  # the file has no definition: the first person of each label gives the order
        for element in root.iterfind("image/skeleton"):
            names = [point.get("label", "") for point in element.iterfind("points")]
            points.setdefault(element.get("label", ""), names)
    chosen = _PERSON_LABEL if _PERSON_LABEL in points or len(points) != 1 else next(iter(points))
    if chosen not in points:
        raise AnnotationError(
            f"expected one skeleton label, or one called {chosen}; there are {', '.join(sorted(points)) or 'none'}"
        )
    return chosen, points[chosen]


def _parse_person(element: Element, names: list[str], box: Element | None, person_id: int) -> Person:
    keypoints = np.zeros((len(names), 3))
    for point in element.iterfind("points"):
        name = point.get("label", "")
        if name not in names:
            raise AnnotationError(f"point {name!r} is none of {', '.join(names)}")
        if point.get("outside", "0") != "1":
            x, y = map(float, point.attrib["points"].split(","))
            keypoints[names.index(name)] = x, y, 1 if point.get("occluded", "0") == "1" else 2
    labelled_xy = keypoints[keypoints[:, 2] > 0, :2]
    if box is not None:
        box_xyxy = np.array([float(box.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr")])
    elif len(labelled_xy):
        box_xyxy = np.concatenate([labelled_xy.min(0), labelled_xy.max(0)])
    else:
        raise AnnotationError("has neither a labelled point nor a box in its group")
    if not np.isfinite(keypoints).all() or not np.isfinite(box_xyxy).all():
        raise AnnotationError("box and points must be finite numbers")
    box_xywh = xyxy_to_xywh(box_xyxy)
    return Person(person_id, box_xywh, keypoints, estimate_area(box_xywh))
