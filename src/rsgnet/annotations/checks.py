"""Checking a data set: everything that can be told to be wrong with its labels, its images, and its splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.annotations.crowd_index import CrowdIndexRule, crowd_index
from rsgnet.annotations.findings import Finding
from rsgnet.annotations.image_hashes import ImagePrint, image_print, same_bytes, same_view
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Annotations, Person
from rsgnet.annotations.readers import read_as_given
from rsgnet.errors import ImageError
from rsgnet.geometry import Floats, box_iou, xywh_to_xyxy
from rsgnet.skeletons import Skeleton

_FAR_CROWD_INDEX = 0.05
_THREADS = 4


@dataclass(frozen=True)
class CrowdIndexAgreement:
    """How a file's crowdIndex compares with the computed one.

    Attributes:
        rule: The rule that comes closer.
        images: How many have a crowdIndex.
        correlation: Pearson's, NaN where either does not vary.
        largest_difference: Over these images.
    """

    rule: CrowdIndexRule
    images: int
    correlation: float
    largest_difference: float


@dataclass(frozen=True, eq=False)
class CheckedSet:
    """A data set that was checked.

    Attributes:
        annotations: The data set, without the entries that cannot be used.
        findings: What is wrong, faults before warnings.
        crowd_index: None where the file gives none.
        prints: The images that could be read, with their fingerprints; empty where no folder was given.
    """

    annotations: Annotations
    findings: tuple[Finding, ...]
    crowd_index: CrowdIndexAgreement | None
    prints: dict[str, ImagePrint] = field(repr=False)


def check_set(
    path: str | Path, images: Path | None, own: Skeleton | None = None, done: Callable[[], None] = lambda: None
) -> CheckedSet:
    """Checks a label file, and its images where they are.

    Args:
        path: A file as `read_annotations` takes it.
        images: The folder of its images, None to check the labels only.
        own: A skeleton that may be meant.
        done: Called after each image.

    Raises:
        AnnotationError: The file as a whole cannot be read.
    """
    found: list[Finding] = []
    annotations = read_as_given(path, own, found.append)
    prints: dict[str, ImagePrint] = {}
    for image, outcome in _prints_of(annotations, images):
        size_wh = image.size_wh
        if isinstance(outcome, ImagePrint):
            prints[image.file_name] = outcome
            size_wh = outcome.size_wh
        elif outcome is not None:
            missing = "no such file" in str(outcome)
            kind = "missing-image" if missing else "unreadable-image"
            found.append(Finding(kind, str(outcome), image.id, image.file_name))
        found += _wrong_size(image, outcome)
        size_wh = size_wh[::-1] if outcome is None and looks_swapped(image) else size_wh
        found += check_people(image, size_wh, annotations.skeleton)
        done()
    found += _shared_ids(annotations)
    first_of: dict[str, str] = {}
    for name, each in prints.items():
        if (first := first_of.setdefault(each.sha256, name)) != name:
            found.append(Finding("repeated-image", f"is {first} once more", file_name=name))
    agreement, far = _crowd_index_agreement(annotations)
    return CheckedSet(annotations, tuple(sorted([*found, *far], key=lambda each: not each.is_fault)), agreement, prints)


def check_splits(one: CheckedSet, two: CheckedSet) -> list[Finding]:
    """Finds the images of one data set that stand in another as well, in the same bytes or changed a little."""
    first, second = list(one.prints.values()), list(two.prints.values())
    ids = {image.file_name: image.id for image in one.annotations.images}
    names, others = list(one.prints), list(two.prints)
    equal = list(same_bytes(first, second))
    taken = {index for index, _ in equal}
    found = []
    for index, other in [*equal, *(pair for pair in same_view(first, second) if pair[0] not in taken)]:
        kind = "same-image-in-both" if index in taken else "near-image-in-both"
        what = f"is {'' if index in taken else 'nearly '}{others[other]} of {two.annotations.path}"
        found.append(Finding(kind, what, ids[names[index]], names[index]))
    return found


def summary(checked: CheckedSet, findings: Sequence[Finding]) -> dict[str, Any]:
    """What a check found, for JSON.

    Args:
        checked: The data set.
        findings: Its own findings and those of its splits.
    """
    images = checked.annotations.images
    return {
        "labels": str(checked.annotations.path),
        "skeleton": checked.annotations.skeleton.name,
        "images": len(images),
        "images_read": len(checked.prints),
        "people": sum(len(image.people) for image in images),
        "faults": sum(finding.is_fault for finding in findings),
        "warnings": sum(not finding.is_fault for finding in findings),
        "counts": dict(Counter(finding.kind for finding in findings)),
        "crowd_index": None if checked.crowd_index is None else asdict(checked.crowd_index),
        "findings": [asdict(finding) | {"where": finding.where, "is_fault": finding.is_fault} for finding in findings],
    }


def _prints_of(
    annotations: Annotations, folder: Path | None
) -> Iterator[tuple[AnnotatedImage, ImagePrint | ImageError | None]]:
    """Each image with its fingerprint, its error, or None where there is no folder to look in."""

    def outcome(image: AnnotatedImage) -> ImagePrint | ImageError | None:
        try:
            return None if folder is None else image_print(folder / image.file_name)
        except ImageError as error:
            return error

    with ThreadPoolExecutor(_THREADS) as pool:
        yield from zip(annotations.images, pool.map(outcome, annotations.images), strict=True)


def _wrong_size(image: AnnotatedImage, outcome: ImagePrint | ImageError | None) -> Iterator[Finding]:
    said = "x".join(map(str, image.size_wh))
    true_wh = outcome.size_wh if isinstance(outcome, ImagePrint) else None
    where = image.id, image.file_name
    if image.size_wh == SIZE_UNKNOWN:
        yield Finding("missing-size", "has no width and height", *where)
    elif true_wh is None:
        if looks_swapped(image):
            yield Finding("swapped-size", f"is said to be {said}, its people stand in it with these swapped", *where)
    elif image.size_wh != true_wh:
        kind = "swapped-size" if image.size_wh == true_wh[::-1] else "wrong-size"
        yield Finding(kind, f"is said to be {said}, the file is {true_wh[0]}x{true_wh[1]}", *where)


def _shared_ids(annotations: Annotations) -> Iterator[Finding]:
    def repeated(values: Iterable[object]) -> list[tuple[object, int]]:
        return [(value, count) for value, count in Counter(values).items() if count > 1]

    images = annotations.images
    for value, count in repeated(image.id for image in images):
        yield Finding("duplicate-image-id", f"{count} images have id {value}", entry=f"image {value}")
    for value, count in repeated(image.file_name for image in images):
        yield Finding("duplicate-file-name", f"{count} images have this file", file_name=str(value))
    for value, count in repeated(person.id for image in images for person in image.people):
        yield Finding("duplicate-annotation-id", f"{count} annotations have id {value}", entry=f"annotation {value}")


def _crowd_index_agreement(annotations: Annotations) -> tuple[CrowdIndexAgreement | None, list[Finding]]:
    images = [image for image in annotations.images if image.crowd_index is not None]
    if not images:
        return None, []
    theirs = np.array([image.crowd_index for image in images], np.float64)
    rules: tuple[CrowdIndexRule, ...] = ("crowdpose", "capped")
    by_rule = {
        rule: np.array([crowd_index(image.people, annotations.skeleton, rule) for image in images]) for rule in rules
    }
    rule = min(rules, key=lambda each: float(np.abs(by_rule[each] - theirs).mean()))
    ours, apart = by_rule[rule], np.abs(by_rule[rule] - theirs)
    varies = min(theirs.std(), ours.std()) > 0
    correlation = float(np.corrcoef(theirs, ours)[0, 1]) if varies else float("nan")
    far = [
        Finding("crowd-index", f"is {given:g}, computed {computed:.3f}", image.id, image.file_name)
        for image, given, computed, gap in zip(images, theirs, ours, apart, strict=True)
        if gap > _FAR_CROWD_INDEX
    ]
    return CrowdIndexAgreement(rule, len(images), correlation, float(apart.max())), far


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


# Pairs that point alike, and how broad each must be seen, as a share of the person's size, to be believed.
_BROAD = {"eye": 0.03, "ear": 0.06, "shoulder": 0.2, "hip": 0.15}
_RIGID = ({"eye", "ear"}, {"shoulder", "hip"})
_OPPOSED = -0.7  # the cosine of the angle between two pairs
_FRONTAL = 0.7  # the sine of the angle between the line of the eyes and the line up to them
_LEAST_SIZE_PX = 40.0


@dataclass(frozen=True)
class Contradiction:
    """Two things that cannot both be of one person's left and right.

    Attributes:
        what: In words.
        certain: Whether hardly any posture explains it.
    """

    what: str
    certain: bool


def side_contradictions(keypoints: Floats, skeleton: Skeleton) -> list[Contradiction]:
    """What contradicts itself in a person's left and right.

    Args:
        keypoints: (K, 3) x, y, visibility of one person, in pixels.
        skeleton: Its keypoints; those it has no `left_eye`, `right_hip` and so on for are not looked at.
    """
    seen = keypoints[:, 2] > 0
    if seen.sum() < 4:
        return []
    size = float(np.ptp(keypoints[seen, :2], axis=0).max())
    if size < _LEAST_SIZE_PX:
        return []
    across = dict(_broad_pairs(keypoints, skeleton, size))
    found = []
    for (one, first), (two, second) in combinations(across.items(), 2):
        cosine = float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
        if cosine < _OPPOSED:
            what = f"from right to left, its {one}s and its {two}s point opposite ways"
            found.append(Contradiction(what, {one, two} in _RIGID))
    if "eye" in across and _mirrored_face(keypoints, skeleton, across["eye"]) > _FRONTAL:
        found.append(Contradiction("its face is seen, with the left eye where the right one belongs", certain=True))
    return found


def _broad_pairs(keypoints: Floats, skeleton: Skeleton, size: float) -> Iterator[tuple[str, Floats]]:
    """(2,) the vector from right to left of each part that is labelled on both sides and broad enough."""
    for part, share in _BROAD.items():
        ends = _places(keypoints, skeleton, f"right_{part}", f"left_{part}")
        if ends is not None and np.linalg.norm(ends[1] - ends[0]) >= share * size:
            yield part, ends[1] - ends[0]


def _mirrored_face(keypoints: Floats, skeleton: Skeleton, across: Floats) -> float:
    """How surely a face is mirrored: the sine between its eyes' line and its upward line; negative as faces are."""
    eyes = _places(keypoints, skeleton, "right_eye", "left_eye", visible=True)
    nose = _places(keypoints, skeleton, "nose", visible=True)
    shoulders = _places(keypoints, skeleton, "right_shoulder", "left_shoulder")
    if eyes is None or nose is None or shoulders is None:
        return -1.0
    up = eyes.mean(0) - shoulders.mean(0)
    up_face = eyes.mean(0) - nose[0]
    return min(_sine(across, up), _sine(across, up_face))


def _sine(first: Floats, second: Floats) -> float:
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first[0] * second[1] - first[1] * second[0]) / max(lengths, 1e-9))


def _places(keypoints: Floats, skeleton: Skeleton, *names: str, visible: bool = False) -> Floats | None:
    """(N, 2) the places of some keypoints, None where one is not labelled, or not visible."""
    if not set(names) <= set(skeleton.keypoints):
        return None
    rows = keypoints[[skeleton.keypoints.index(name) for name in names]]
    return rows[:, :2] if (rows[:, 2] >= (2 if visible else 1)).all() else None
