"""Checking a data set: everything that can be told to be wrong with its labels, its pictures, and its splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.data.annotations import read_as_given
from rsgnet.data.check_people import check_people, looks_swapped
from rsgnet.data.crowd_index import CrowdIndexRule, crowd_index
from rsgnet.data.findings import Finding
from rsgnet.data.people import SIZE_UNKNOWN, AnnotatedPicture, Annotations
from rsgnet.data.picture_prints import PicturePrint, picture_print, same_bytes, same_view
from rsgnet.errors import PictureError
from rsgnet.skeletons import Skeleton

_FAR_CROWD_INDEX = 0.05
_THREADS = 4


@dataclass(frozen=True)
class CrowdIndexAgreement:
    """How a file's crowdIndex compares with the computed one.

    Attributes:
        rule: The rule that comes closer.
        pictures: How many have a crowdIndex.
        correlation: Pearson's, NaN where either does not vary.
        largest_difference: Over these pictures.
    """

    rule: CrowdIndexRule
    pictures: int
    correlation: float
    largest_difference: float


@dataclass(frozen=True, eq=False)
class CheckedSet:
    """A data set that was checked.

    Attributes:
        annotations: The data set, without the entries that cannot be used.
        findings: What is wrong, faults before warnings.
        crowd_index: None where the file gives none.
        prints: The pictures that could be read, with their fingerprints; empty where no folder was given.
    """

    annotations: Annotations
    findings: tuple[Finding, ...]
    crowd_index: CrowdIndexAgreement | None
    prints: dict[str, PicturePrint] = field(repr=False)


def check_set(
    path: str | Path, pictures: Path | None, own: Skeleton | None = None, done: Callable[[], None] = lambda: None
) -> CheckedSet:
    """Checks a label file, and its pictures where they are.

    Args:
        path: A file as `read_annotations` takes it.
        pictures: The folder of its pictures, None to check the labels only.
        own: A skeleton that may be meant.
        done: Called after each picture.

    Raises:
        AnnotationError: The file as a whole cannot be read.
    """
    found: list[Finding] = []
    annotations = read_as_given(path, own, found.append)
    prints: dict[str, PicturePrint] = {}
    for picture, outcome in _prints_of(annotations, pictures):
        size_wh = picture.size_wh
        if isinstance(outcome, PicturePrint):
            prints[picture.file_name] = outcome
            size_wh = outcome.size_wh
        elif outcome is not None:
            missing = "no such file" in str(outcome)
            kind = "missing-picture" if missing else "unreadable-picture"
            found.append(Finding(kind, str(outcome), picture.id, picture.file_name))
        found += _wrong_size(picture, outcome)
        size_wh = size_wh[::-1] if outcome is None and looks_swapped(picture) else size_wh
        found += check_people(picture, size_wh, annotations.skeleton)
        done()
    found += _shared_ids(annotations)
    first_of: dict[str, str] = {}
    for name, each in prints.items():
        if (first := first_of.setdefault(each.sha256, name)) != name:
            found.append(Finding("repeated-picture", f"is {first} once more", file_name=name))
    agreement, far = _crowd_index_agreement(annotations)
    return CheckedSet(annotations, tuple(sorted([*found, *far], key=lambda each: not each.is_fault)), agreement, prints)


def check_splits(one: CheckedSet, two: CheckedSet) -> list[Finding]:
    """Finds the pictures of one data set that stand in another as well, in the same bytes or changed a little."""
    first, second = list(one.prints.values()), list(two.prints.values())
    ids = {picture.file_name: picture.id for picture in one.annotations.pictures}
    names, others = list(one.prints), list(two.prints)
    equal = list(same_bytes(first, second))
    taken = {index for index, _ in equal}
    found = []
    for index, other in [*equal, *(pair for pair in same_view(first, second) if pair[0] not in taken)]:
        kind = "same-picture-in-both" if index in taken else "near-picture-in-both"
        what = f"is {'' if index in taken else 'nearly '}{others[other]} of {two.annotations.path}"
        found.append(Finding(kind, what, ids[names[index]], names[index]))
    return found


def summary(checked: CheckedSet, findings: Sequence[Finding]) -> dict[str, Any]:
    """What a check found, for JSON.

    Args:
        checked: The data set.
        findings: Its own findings and those of its splits.
    """
    pictures = checked.annotations.pictures
    return {
        "labels": str(checked.annotations.path),
        "skeleton": checked.annotations.skeleton.name,
        "pictures": len(pictures),
        "pictures_read": len(checked.prints),
        "people": sum(len(picture.people) for picture in pictures),
        "faults": sum(finding.is_fault for finding in findings),
        "warnings": sum(not finding.is_fault for finding in findings),
        "counts": dict(Counter(finding.kind for finding in findings)),
        "crowd_index": None if checked.crowd_index is None else asdict(checked.crowd_index),
        "findings": [asdict(finding) | {"where": finding.where, "is_fault": finding.is_fault} for finding in findings],
    }


def _prints_of(
    annotations: Annotations, folder: Path | None
) -> Iterator[tuple[AnnotatedPicture, PicturePrint | PictureError | None]]:
    """Each picture with its fingerprint, its error, or None where there is no folder to look in."""

    def outcome(picture: AnnotatedPicture) -> PicturePrint | PictureError | None:
        try:
            return None if folder is None else picture_print(folder / picture.file_name)
        except PictureError as error:
            return error

    with ThreadPoolExecutor(_THREADS) as pool:
        yield from zip(annotations.pictures, pool.map(outcome, annotations.pictures), strict=True)


def _wrong_size(picture: AnnotatedPicture, outcome: PicturePrint | PictureError | None) -> Iterator[Finding]:
    said = "x".join(map(str, picture.size_wh))
    true_wh = outcome.size_wh if isinstance(outcome, PicturePrint) else None
    where = picture.id, picture.file_name
    if picture.size_wh == SIZE_UNKNOWN:
        yield Finding("missing-size", "has no width and height", *where)
    elif true_wh is None:
        if looks_swapped(picture):
            yield Finding("swapped-size", f"is said to be {said}, its people stand in it with these swapped", *where)
    elif picture.size_wh != true_wh:
        kind = "swapped-size" if picture.size_wh == true_wh[::-1] else "wrong-size"
        yield Finding(kind, f"is said to be {said}, the file is {true_wh[0]}x{true_wh[1]}", *where)


def _shared_ids(annotations: Annotations) -> Iterator[Finding]:
    def repeated(values: Iterable[object]) -> list[tuple[object, int]]:
        return [(value, count) for value, count in Counter(values).items() if count > 1]

    pictures = annotations.pictures
    for value, count in repeated(picture.id for picture in pictures):
        yield Finding("duplicate-image-id", f"{count} images have id {value}", entry=f"image {value}")
    for value, count in repeated(picture.file_name for picture in pictures):
        yield Finding("duplicate-file-name", f"{count} images have this file", file_name=str(value))
    for value, count in repeated(person.id for picture in pictures for person in picture.people):
        yield Finding("duplicate-annotation-id", f"{count} annotations have id {value}", entry=f"annotation {value}")


def _crowd_index_agreement(annotations: Annotations) -> tuple[CrowdIndexAgreement | None, list[Finding]]:
    pictures = [picture for picture in annotations.pictures if picture.crowd_index is not None]
    if not pictures:
        return None, []
    theirs = np.array([picture.crowd_index for picture in pictures], np.float64)
    rules: tuple[CrowdIndexRule, ...] = ("crowdpose", "capped")
    by_rule = {
        rule: np.array([crowd_index(picture.people, annotations.skeleton, rule) for picture in pictures])
        for rule in rules
    }
    rule = min(rules, key=lambda each: float(np.abs(by_rule[each] - theirs).mean()))
    ours, apart = by_rule[rule], np.abs(by_rule[rule] - theirs)
    varies = min(theirs.std(), ours.std()) > 0
    correlation = float(np.corrcoef(theirs, ours)[0, 1]) if varies else float("nan")
    far = [
        Finding("crowd-index", f"is {given:g}, computed {computed:.3f}", picture.id, picture.file_name)
        for picture, given, computed, gap in zip(pictures, theirs, ours, apart, strict=True)
        if gap > _FAR_CROWD_INDEX
    ]
    return CrowdIndexAgreement(rule, len(pictures), correlation, float(apart.max())), far
