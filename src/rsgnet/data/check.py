"""Checking a data set: everything that can be told to be wrong with its labels, its images, and its splits."""

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
from rsgnet.data.image_prints import ImagePrint, image_print, same_bytes, same_view
from rsgnet.data.people import SIZE_UNKNOWN, AnnotatedImage, Annotations
from rsgnet.errors import ImageError
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
