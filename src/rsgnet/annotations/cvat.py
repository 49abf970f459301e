"""CVAT's own XML in and out, "CVAT for images 1.1": skeletons drawn in images. (Its COCO export is read as COCO.)"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from xml.etree import ElementTree

import numpy as np

from rsgnet.annotations.findings import Report, entry, inner_path
from rsgnet.annotations.keypoint_names import skeleton_of
from rsgnet.annotations.people import AnnotatedImage, Annotations, Person, area_of
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import Skeleton

_LABEL, _BOX_LABEL = "person", "box"


def read_cvat(text: str, own: Sequence[Skeleton], report: Report) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads the skeletons of a CVAT XML file.

    The label `person` is read, or the only one drawn as a skeleton. A person's box is the one in its group where there
    is one, else it spans the labelled keypoints. Points outside are not labelled, occluded ones hidden. Images keep
    their ids, people are numbered from 1 in the order of the file.

    Args:
        text: The XML.
        own: Skeletons that may be meant besides the built-in ones.
        report: Told of each entry that is wrong; entries that cannot be used are left out where it returns.

    Raises:
        AnnotationError: It is no such XML, declares a document type, has several skeletons and none called person, or
            keypoints that fit no skeleton.
    """
    root = _parsed(text)
    label, names = _label_of(root)
    skeleton = skeleton_of(names, {len(names)}, None, own, label)
    numbers = count(1)
    images = []
    for index, image in enumerate(root.iter("image")):
        with entry(report, f"image {image.get('id', f'entry {index}')}"):
            boxes = {box.get("group_id"): box for box in image.iter("box") if box.get("group_id", "0") != "0"}
            people = []
            for place, drawn in enumerate(image.iter("skeleton")):
                if drawn.get("label") != label:
                    continue
                with entry(report, f"image {image.get('id')} ({image.get('name')}), skeleton {place}"):
                    box = boxes.get(drawn.get("group_id"))
                    people.append(_person(drawn, names, box, next(numbers)))
            size_wh = int(image.get("width", 0)), int(image.get("height", 0))
            images.append(
                AnnotatedImage(int(image.attrib["id"]), inner_path(image.attrib["name"]), size_wh, tuple(people))
            )
    return skeleton, images


def cvat_text(annotations: Annotations) -> str:
    """Labels as CVAT's XML: of each person a skeleton `person` and, in its group, a rectangle `box`.

    A task that takes them needs these two labels, the skeleton's points named as the keypoints. Places are written to
    a hundredth of a pixel; points without a label lie outside, in the middle of the box.
    """
    root = ElementTree.Element("annotations")
    _text(root, "version", "1.1")
    _add_labels(_element(root, "meta"), annotations.skeleton.keypoints)
    for image in annotations.images:
        width, height = map(str, image.size_wh)
        element = _element(root, "image", id=str(image.id), name=image.file_name, width=width, height=height)
        people = (person for person in image.people if not person.is_crowd)
        for group, person in enumerate(people, 1):
            _add_person(element, person, annotations.skeleton.keypoints, str(group))
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode", xml_declaration=False) + "\n"


def _element(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _text(parent: ElementTree.Element, tag: str, text: str) -> None:
    _element(parent, tag).text = text


def _add_labels(meta: ElementTree.Element, keypoints: Sequence[str]) -> None:
    labels = _element(_element(meta, "task"), "labels")
    points = (("points", name, _LABEL) for name in keypoints)
    for kind, name, parent in (("rectangle", _BOX_LABEL, ""), ("skeleton", _LABEL, ""), *points):
        label = _element(labels, "label")
        _text(label, "name", name)
        _text(label, "type", kind)
        if parent:
            _text(label, "parent", parent)


def _add_person(image: ElementTree.Element, person: Person, keypoints: Sequence[str], group: str) -> None:
    left, top, width, height = person.box_xywh
    sides = {"xtl": left, "ytl": top, "xbr": left + width, "ybr": top + height}
    drawn = {"source": "file", "occluded": "0", "z_order": "0", "group_id": group}
    _element(image, "box", label=_BOX_LABEL, **drawn, **{name: f"{side:.2f}" for name, side in sides.items()})
    skeleton = _element(image, "skeleton", label=_LABEL, **drawn)
    middle = left + width / 2, top + height / 2
    for name, (*place, visibility) in zip(keypoints, person.keypoints, strict=True):
        x, y = place if visibility else middle
        seen = {"outside": str(int(visibility == 0)), "occluded": str(int(visibility == 1))}
        _element(skeleton, "points", label=name, source="file", **seen, points=f"{x:.2f},{y:.2f}")


def _parsed(text: str) -> ElementTree.Element:
    # Entities are how a small file becomes a huge one, or another file; CVAT writes none.
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


def _label_of(root: ElementTree.Element) -> tuple[str, list[str]]:
    """The label to read and the names of its points, in the order of the label's definition."""
    points: dict[str, list[str]] = {}
    for label in root.iterfind("meta//label"):
        parent = label.findtext("parent")
        if parent:
            points.setdefault(parent, []).append(label.findtext("name") or "")
    if not points:  # no definition: the order of the first person's
        for drawn in root.iterfind("image/skeleton"):
            points.setdefault(drawn.get("label", ""), [point.get("label", "") for point in drawn.iterfind("points")])
    chosen = _LABEL if _LABEL in points or len(points) != 1 else next(iter(points))
    if chosen not in points:
        raise AnnotationError(
            f"expected one skeleton label, or one called {_LABEL}; there are {', '.join(sorted(points)) or 'none'}"
        )
    return chosen, points[chosen]


def _person(drawn: ElementTree.Element, names: list[str], box: ElementTree.Element | None, number: int) -> Person:
    keypoints = np.zeros((len(names), 3))
    for point in drawn.iterfind("points"):
        name = point.get("label", "")
        if name not in names:
            raise AnnotationError(f"point {name!r} is none of {', '.join(names)}")
        if point.get("outside", "0") != "1":
            x, y = map(float, point.attrib["points"].split(","))
            keypoints[names.index(name)] = x, y, 1 if point.get("occluded", "0") == "1" else 2
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    if box is not None:
        corners = np.array([float(box.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr")])
    elif len(labelled):
        corners = np.concatenate([labelled.min(0), labelled.max(0)])
    else:
        raise AnnotationError("has neither a labelled point nor a box in its group")
    if not np.isfinite(keypoints).all() or not np.isfinite(corners).all():
        raise AnnotationError("box and points must be finite numbers")
    box_xywh = np.concatenate([corners[:2], corners[2:] - corners[:2]])
    return Person(number, box_xywh, keypoints, area_of(box_xywh))
