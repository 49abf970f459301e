"""What can be wrong with the people of one image: boxes, keypoints, left and right, one person labelled twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rsgnet.data.findings import Finding
from rsgnet.data.people import SIZE_UNKNOWN, AnnotatedImage, Person
from rsgnet.data.sides import side_contradictions
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy
from rsgnet.skeletons import Skeleton

# How far beyond its edges an image's labels may lie, in pixels: tools round, and count from edges or from centres.
_SLACK_PX = 2.0
# How far outside its box a person's keypoint may lie, as a share of the box's larger side. Boxes are drawn about what
# is seen of a person: visible keypoints of COCO and CrowdPose keep within 0.02, hidden ones but for a few within 0.5.
_VISIBLE_OFF, _HIDDEN_OFF = 0.1, 0.5
_SAME_BOX_IOU, _SAME_PLACE = 0.9, 0.02  # of one person labelled twice; the place as a share of the box's larger side
_LEAST_COMMON = 3


def check_people(image: AnnotatedImage, size_wh: tuple[int, int], skeleton: Skeleton) -> Iterator[Finding]:
    """Finds what is wrong with the people of an image.

    Args:
        image: The image.
        size_wh: Its true width and height in pixels; (0, 0) leaves out what needs it.
        skeleton: The keypoints of its people.
    """

    def found(person: Person, kind: str, what: str) -> Finding:
        return Finding(kind, what, image.id, image.file_name, person.id)

    for person in image.people:
        for kind, what in _wrong_box(person, size_wh):
            yield found(person, kind, what)
        if person.is_crowd:
            continue
        for kind, what in _wrong_keypoints(person, size_wh, skeleton):
            yield found(person, kind, what)
        for contradiction in side_contradictions(person.keypoints, skeleton):
            kind = "left-right" if contradiction.certain else "left-right-doubtful"
            yield found(person, kind, contradiction.what)
    for person, other in _twice(image.people):
        yield found(person, "duplicate-person", f"is annotation {other.id} once more")


def looks_swapped(image: AnnotatedImage) -> bool:
    """Whether people stand beyond an image as it is said to be, and all within it with width and height swapped."""
    if image.size_wh == SIZE_UNKNOWN or not image.people:
        return False
    reach = np.max([_reach(person) for person in image.people], axis=0)
    beyond = (reach > np.array(image.size_wh) + _SLACK_PX).any()
    return bool(beyond and (reach <= np.array(image.size_wh[::-1]) + _SLACK_PX).all())


def _reach(person: Person) -> Floats:
    """(2,) how far right and down a person's box and keypoints go."""
    places = person.keypoints[person.keypoints[:, 2] > 0, :2]
    reach: Floats = np.vstack([places, person.box_xywh[:2] + person.box_xywh[2:]]).max(0)
    return reach


def _wrong_box(person: Person, size_wh: tuple[int, int]) -> Iterator[tuple[str, str]]:
    left, top, width, height = person.box_xywh
    if min(width, height) < 1:
        yield "empty-box", f"box is {width:g} wide and {height:g} high"
    elif size_wh != SIZE_UNKNOWN:
        beyond = max(-left, -top, left + width - size_wh[0], top + height - size_wh[1])
        if beyond > _SLACK_PX:
            box = ", ".join(f"{value:g}" for value in person.box_xywh)
            yield "box-outside", f"box {box} reaches {beyond:.0f} px beyond the {size_wh[0]}x{size_wh[1]} image"


def _wrong_keypoints(person: Person, size_wh: tuple[int, int], skeleton: Skeleton) -> Iterator[tuple[str, str]]:
    places, visibility = person.keypoints[:, :2], person.keypoints[:, 2]
    names = np.array(skeleton.keypoints)
    labelled = visibility > 0
    if not np.isin(visibility, (0, 1, 2)).all():
        yield "bad-visibility", f"visibilities are 0, 1 or 2, not {visibility[~np.isin(visibility, (0, 1, 2))][0]:g}"
    if size_wh != SIZE_UNKNOWN:
        beyond = np.maximum(-places, places - size_wh).max(-1)
        if (outside := labelled & (beyond > _SLACK_PX)).any():
            what = f"{', '.join(names[outside])} up to {beyond[outside].max():.0f} px beyond the image"
            yield "keypoint-outside-image", what
    side = max(float(person.box_xywh[2:].max()), 1.0)
    low, high = person.box_xywh[:2], person.box_xywh[:2] + person.box_xywh[2:]
    away = np.maximum(low - places, places - high).max(-1) / side
    off = labelled & (away > np.where(visibility >= 2, _VISIBLE_OFF, _HIDDEN_OFF))
    if off.any():
        fault = (off & (visibility >= 2)).any() or 2 * off.sum() > labelled.sum()
        what = f"{', '.join(names[off])} up to {side * away[off].max():.0f} px off the {side:.0f} px box"
        yield "keypoint-outside-box" if fault else "hidden-outside-box", what


def _twice(people: tuple[Person, ...]) -> Iterator[tuple[Person, Person]]:
    """Each person who is an earlier one labelled again, with that one."""
    people = tuple(person for person in people if not person.is_crowd and min(person.box_xywh[2:]) >= 1)
    if len(people) < 2:
        return
    boxes = xywh_to_xyxy(np.array([person.box_xywh for person in people]))
    for index in range(1, len(people)):
        for earlier in np.flatnonzero(box_iou(boxes[index : index + 1], boxes[:index])[0] > _SAME_BOX_IOU):
            if _same(people[index], people[earlier]):
                yield people[index], people[earlier]
                break


def _same(one: Person, two: Person) -> bool:
    common = (one.keypoints[:, 2] > 0) & (two.keypoints[:, 2] > 0)
    if common.sum() < min(_LEAST_COMMON, one.labelled, two.labelled):
        return False
    if not common.any():  # nothing but boxes to go by
        return not (one.labelled or two.labelled) and bool((np.abs(one.box_xywh - two.box_xywh) < 1).all())
    distances = np.linalg.norm(one.keypoints[common, :2] - two.keypoints[common, :2], axis=-1)
    return float(np.median(distances)) < _SAME_PLACE * float(one.box_xywh[2:].max())
