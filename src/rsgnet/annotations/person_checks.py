"""Checks of single people: boxes, keypoints, people annotated twice, and swapped left and right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rsgnet.annotations.findings import Finding
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Person
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy
from rsgnet.skeletons import Skeleton

# How far labels may lie beyond the image: tools round, and count pixels from their edges or from their centres.
_TOLERANCE_PX = 2.0
# How far a keypoint may lie outside its person's box, as a share of the box's larger side. Boxes surround the visible
# part of a person: in COCO and CrowdPose visible keypoints lie within 0.02, and nearly all hidden ones within 0.5.
_MAX_VISIBLE_OUTSIDE, _MAX_HIDDEN_OUTSIDE = 0.1, 0.5
# One person annotated twice: box IoU, median keypoint distance as a share of the box's larger side, common keypoints.
_MIN_DUPLICATE_IOU, _MAX_DUPLICATE_DISTANCE, _MIN_COMMON_KEYPOINTS = 0.9, 0.02, 3
# Left-right pairs that point the same way in most postures, with the width that a pair must have in the image to be
# used, as a share of the person's size.
_MIN_PAIR_WIDTH = {"eye": 0.03, "ear": 0.06, "shoulder": 0.2, "hip": 0.15}
_RIGID_PAIRS = ({"eye", "ear"}, {"shoulder", "hip"})  # pairs of pairs that can hardly be twisted against each other
_MAX_OPPOSED_COSINE = -0.7  # the cosine of the angle between two pairs that point opposite ways
_MIN_MIRRORED_SINE = 0.7  # the sine of the angle between the line of the eyes and the line up to them
_MIN_SIZE_PX = 40.0


def check_people(image: AnnotatedImage, size_wh: tuple[int, int], skeleton: Skeleton) -> Iterator[Finding]:
    """Yields the problems of the people of an image.

    Args:
        image: The image.
        size_wh: Its true width and height in pixels; (0, 0) skips the checks that need them.
        skeleton: The keypoints of its people.
    """

    def make_finding(person: Person, kind: str, what: str) -> Finding:
        return Finding(kind, what, image.id, image.file_name, person.id)

    for person in image.people:
        for kind, what in _check_box(person, size_wh):
            yield make_finding(person, kind, what)
        if person.is_crowd:
            continue
        for kind, what in _check_keypoints(person, size_wh, skeleton):
            yield make_finding(person, kind, what)
        for conflict in find_side_conflicts(person.keypoints, skeleton):
            kind = "left-right" if conflict.is_certain else "left-right-doubtful"
            yield make_finding(person, kind, conflict.what)
    for person, earlier in _find_duplicates(image.people):
        yield make_finding(person, "duplicate-person", f"is the same person as annotation {earlier.id}")


def has_swapped_size(image: AnnotatedImage) -> bool:
    """Whether people extend beyond the stated size of an image, but not beyond it with width and height swapped."""
    if image.size_wh == SIZE_UNKNOWN or not image.people:
        return False
    extent = np.max([_compute_extent(person) for person in image.people], axis=0)
    exceeds = (extent > np.array(image.size_wh) + _TOLERANCE_PX).any()
    return bool(exceeds and (extent <= np.array(image.size_wh[::-1]) + _TOLERANCE_PX).all())


@dataclass(frozen=True)
class SideConflict:
    """Two labels of one person whose left and right contradict each other.

    Attributes:
        what: The contradiction in words.
        is_certain: Whether hardly any posture explains it.
    """

    what: str
    is_certain: bool


def find_side_conflicts(keypoints: Floats, skeleton: Skeleton) -> list[SideConflict]:
    """Finds contradictions between left and right keypoints of a person.

    Args:
        keypoints: (K, 3) x, y in pixels and visibility of one person.
        skeleton: The keypoints; pairs such as `left_eye` and `right_eye` that it lacks are not checked.
    """
    labelled = keypoints[:, 2] > 0
    if labelled.sum() < 4:
        return []
    size = float(np.ptp(keypoints[labelled, :2], axis=0).max())
    if size < _MIN_SIZE_PX:
        return []
    vectors = dict(_iterate_pair_vectors(keypoints, skeleton, size))
    conflicts = []
    for (one, first), (two, second) in combinations(vectors.items(), 2):
        cosine = float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
        if cosine < _MAX_OPPOSED_COSINE:
            what = f"from right to left, its {one}s and its {two}s point opposite ways"
            conflicts.append(SideConflict(what, {one, two} in _RIGID_PAIRS))
    if "eye" in vectors and _compute_mirrored_face_sine(keypoints, skeleton, vectors["eye"]) > _MIN_MIRRORED_SINE:
        what = "its face is visible, but the left eye is where the right eye should be"
        conflicts.append(SideConflict(what, is_certain=True))
    return conflicts


def _compute_extent(person: Person) -> Floats:
    """Returns (2,) the largest x and y of a person's box and keypoints."""
    xy = person.keypoints[person.keypoints[:, 2] > 0, :2]
    extent: Floats = np.vstack([xy, person.box_xywh[:2] + person.box_xywh[2:]]).max(0)
    return extent


def _check_box(person: Person, size_wh: tuple[int, int]) -> Iterator[tuple[str, str]]:
    """Yields the kind and the description of each problem of a box."""
    left, top, width, height = person.box_xywh
    if min(width, height) < 1:
        yield "empty-box", f"box is {width:g} wide and {height:g} high"
    elif size_wh != SIZE_UNKNOWN:
        beyond = max(-left, -top, left + width - size_wh[0], top + height - size_wh[1])
        if beyond > _TOLERANCE_PX:
            box = ", ".join(f"{value:g}" for value in person.box_xywh)
            yield "box-outside", f"box {box} reaches {beyond:.0f} px beyond the {size_wh[0]}x{size_wh[1]} image"


def _check_keypoints(person: Person, size_wh: tuple[int, int], skeleton: Skeleton) -> Iterator[tuple[str, str]]:
    """Yields the kind and the description of each problem of the keypoints."""
    xy, visibility = person.keypoints[:, :2], person.keypoints[:, 2]
    names = np.array(skeleton.keypoints)
    labelled, visible = visibility > 0, visibility >= 2
    is_valid = np.isin(visibility, (0, 1, 2))
    if not is_valid.all():
        yield "bad-visibility", f"visibilities are 0, 1 or 2, not {visibility[~is_valid][0]:g}"
    if size_wh != SIZE_UNKNOWN:
        beyond = np.maximum(-xy, xy - size_wh).max(-1)
        if (outside := labelled & (beyond > _TOLERANCE_PX)).any():
            what = f"{', '.join(names[outside])} up to {beyond[outside].max():.0f} px beyond the image"
            yield "keypoint-outside-image", what
    side = max(float(person.box_xywh[2:].max()), 1.0)
    low, high = person.box_xywh[:2], person.box_xywh[:2] + person.box_xywh[2:]
    distance = np.maximum(low - xy, xy - high).max(-1) / side
    outside = labelled & (distance > np.where(visible, _MAX_VISIBLE_OUTSIDE, _MAX_HIDDEN_OUTSIDE))
    if outside.any():
        is_fault = (outside & visible).any() or 2 * outside.sum() > labelled.sum()
        what = f"{', '.join(names[outside])} up to {side * distance[outside].max():.0f} px off the {side:.0f} px box"
        yield "keypoint-outside-box" if is_fault else "hidden-outside-box", what


def _find_duplicates(people: tuple[Person, ...]) -> Iterator[tuple[Person, Person]]:
    """Yields each person who was annotated before, with the earlier annotation."""
    people = tuple(person for person in people if not person.is_crowd and min(person.box_xywh[2:]) >= 1)
    if len(people) < 2:
        return
    boxes = xywh_to_xyxy(np.array([person.box_xywh for person in people]))
    for index in range(1, len(people)):
        overlaps = box_iou(boxes[index : index + 1], boxes[:index])[0]
        for earlier in np.flatnonzero(overlaps > _MIN_DUPLICATE_IOU):
            if _is_same_person(people[index], people[earlier]):
                yield people[index], people[earlier]
                break


def _is_same_person(one: Person, two: Person) -> bool:
    common = (one.keypoints[:, 2] > 0) & (two.keypoints[:, 2] > 0)
    if common.sum() < min(_MIN_COMMON_KEYPOINTS, one.num_labelled, two.num_labelled):
        return False
    if not common.any():  # only the boxes can be compared
        return not (one.num_labelled or two.num_labelled) and bool((np.abs(one.box_xywh - two.box_xywh) < 1).all())
    distances = np.linalg.norm(one.keypoints[common, :2] - two.keypoints[common, :2], axis=-1)
    return float(np.median(distances)) < _MAX_DUPLICATE_DISTANCE * float(one.box_xywh[2:].max())


def _iterate_pair_vectors(keypoints: Floats, skeleton: Skeleton, size: float) -> Iterator[tuple[str, Floats]]:
    """Yields the (2,) vector from right to left of each pair that is labelled on both sides and wide enough."""
    for part, min_width in _MIN_PAIR_WIDTH.items():
        ends = _get_labelled_xy(keypoints, skeleton, f"right_{part}", f"left_{part}")
        if ends is not None and np.linalg.norm(ends[1] - ends[0]) >= min_width * size:
            yield part, ends[1] - ends[0]


def _compute_mirrored_face_sine(keypoints: Floats, skeleton: Skeleton, eye_vector: Floats) -> float:
    """Computes the sine of the angle from the line of the eyes to the upward direction of a face.

    It is near 1 for a mirrored face and negative for a correct one; -1 where the face or the shoulders are not known.
    """
    eyes = _get_labelled_xy(keypoints, skeleton, "right_eye", "left_eye", min_visibility=2)
    nose = _get_labelled_xy(keypoints, skeleton, "nose", min_visibility=2)
    shoulders = _get_labelled_xy(keypoints, skeleton, "right_shoulder", "left_shoulder")
    if eyes is None or nose is None or shoulders is None:
        return -1.0
    body_up = eyes.mean(0) - shoulders.mean(0)
    face_up = eyes.mean(0) - nose[0]
    return min(_compute_sine(eye_vector, body_up), _compute_sine(eye_vector, face_up))


def _compute_sine(first: Floats, second: Floats) -> float:
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first[0] * second[1] - first[1] * second[0]) / max(lengths, 1e-9))


def _get_labelled_xy(keypoints: Floats, skeleton: Skeleton, *names: str, min_visibility: int = 1) -> Floats | None:
    """Returns (N, 2) the coordinates of the named keypoints; None where one has a lower visibility."""
    if not set(names) <= set(skeleton.keypoints):
        return None
    rows = keypoints[[skeleton.keypoints.index(name) for name in names]]
    return rows[:, :2] if (rows[:, 2] >= min_visibility).all() else None
