"""Checking a data set: problems of its label file and its images, and images that it shares with another split.

The checks of single people are in `person_checks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.annotations.crowd_index import CrowdIndexRule, compute_crowd_index
from rsgnet.annotations.findings import Finding
from rsgnet.annotations.hash_files import HashedSet
from rsgnet.annotations.image_hashes import (
    ImageHash,
    hash_images,
    match_equal_files,
    match_similar_images,
)
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Annotations
from rsgnet.annotations.person_checks import check_people, has_swapped_size
from rsgnet.annotations.readers import parse_annotations
from rsgnet.errors import ImageError

_MAX_CROWD_INDEX_DIFFERENCE = 0.05


@dataclass(frozen=True)
class CrowdIndexAgreement:
    """The agreement of the crowd indices in a file with the computed ones.

    Attributes:
        rule: The rule that comes closer.
        images: The number of images with a crowdIndex.
        correlation: Pearson's correlation over these images; NaN where one of the two does not vary.
        largest_difference: The largest absolute difference over these images.
    """

    rule: CrowdIndexRule
    images: int
    correlation: float
    largest_difference: float


@dataclass(frozen=True, eq=False)
class CheckedDataSet:
    """The result of checking a data set.

    Attributes:
        annotations: The data set, without the entries that cannot be used.
        findings: The problems, faults before warnings.
        crowd_index: The agreement of the crowd indices; None where the file gives none.
        hashes: The hashes of the images that could be read, by file name; empty where no folder was given.
    """

    annotations: Annotations
    findings: tuple[Finding, ...]
    crowd_index: CrowdIndexAgreement | None
    hashes: dict[str, ImageHash] = field(repr=False)

    @property
    def image_ids(self) -> dict[str, int]:
        """The id of each image by its file name."""
        return {image.file_name: image.id for image in self.annotations.images}


def check_data_set(path: str | Path, images: str | Path | None) -> CheckedDataSet:
    """Checks a label file and, where their folder is given, its images.

    Args:
        path: The file, as for `read_annotations`.
        images: The folder of the images; None checks only the labels.

    Raises:
        AnnotationError: The file as a whole cannot be read.
    """
    images = Path(images) if images is not None else None
    findings: list[Finding] = []
    annotations = parse_annotations(path, on_finding=findings.append)
    hashes: dict[str, ImageHash] = {}
    for image, outcome in hash_images(annotations, images):
        size_wh = image.size_wh
        if isinstance(outcome, ImageHash):
            hashes[image.file_name] = outcome
            size_wh = outcome.size_wh
        elif outcome is not None:
            kind = "missing-image" if "no such file" in str(outcome) else "unreadable-image"
            findings.append(Finding(kind, str(outcome), image.id, image.file_name))
        elif has_swapped_size(image):
            size_wh = size_wh[::-1]
        findings += _check_size(image, outcome)
        findings += check_people(image, size_wh, annotations.skeleton)
    findings += _find_duplicate_ids(annotations)
    findings += _find_repeated_images(hashes)
    agreement, crowd_index_findings = _compare_crowd_indices(annotations)
    findings = sorted([*findings, *crowd_index_findings], key=lambda finding: not finding.is_fault)
    return CheckedDataSet(annotations, tuple(findings), agreement, hashes)


def check_splits(checked: CheckedDataSet, other: CheckedDataSet) -> list[Finding]:
    """Finds the images of one data set that are also in another, as the same file or slightly changed."""
    names, other_names, image_ids = list(checked.hashes), list(other.hashes), checked.image_ids
    origin = str(other.annotations.path)
    equal = dict(match_equal_files(list(checked.hashes.values()), list(other.hashes.values())))
    same = [
        Finding("same-image-in-both", f"is {other_names[column]} of {origin}", image_ids[names[row]], names[row])
        for row, column in equal.items()
    ]
    bits = {name: each.bits for name, each in other.hashes.items() if each.bits is not None}
    return same + check_published(checked, HashedSet(origin, len(other_names), bits), skipped=equal)


def check_published(checked: CheckedDataSet, published: HashedSet, skipped: Collection[int] = ()) -> list[Finding]:
    """Finds the images of a data set that look like images of a set of which only the hashes are known.

    Args:
        checked: The data set.
        published: The hashes.
        skipped: Indices of images that are left out.
    """
    names, other_names, image_ids = list(checked.hashes), list(published.bits), checked.image_ids
    pairs = match_similar_images([each.bits for each in checked.hashes.values()], list(published.bits.values()))
    return [
        Finding(
            "near-image-in-both",
            f"is nearly {other_names[column]} of {published.name}",
            image_ids[names[row]],
            names[row],
        )
        for row, column in pairs
        if row not in skipped
    ]


def summarise_check(checked: CheckedDataSet, findings: Sequence[Finding]) -> dict[str, Any]:
    """Returns the result of a check as JSON values.

    Args:
        checked: The data set.
        findings: Its own findings and those about its splits.
    """
    images = checked.annotations.images
    return {
        "labels": str(checked.annotations.path),
        "skeleton": checked.annotations.skeleton.name,
        "images": len(images),
        "images_read": len(checked.hashes),
        "people": sum(len(image.people) for image in images),
        "faults": sum(finding.is_fault for finding in findings),
        "warnings": sum(not finding.is_fault for finding in findings),
        "counts": dict(Counter(finding.kind for finding in findings)),
        "crowd_index": None if checked.crowd_index is None else asdict(checked.crowd_index),
        "findings": [asdict(finding) | {"where": finding.where, "is_fault": finding.is_fault} for finding in findings],
    }


def _check_size(image: AnnotatedImage, outcome: ImageHash | ImageError | None) -> Iterator[Finding]:
    stated = "x".join(map(str, image.size_wh))
    file_wh = outcome.size_wh if isinstance(outcome, ImageHash) else None
    item = image.id, image.file_name
    if image.size_wh == SIZE_UNKNOWN:
        yield Finding("missing-size", "has no width and height", *item)
    elif file_wh is None:
        if has_swapped_size(image):
            yield Finding("swapped-size", f"has the size {stated}, but its people fit only with these swapped", *item)
    elif image.size_wh != file_wh:
        kind = "swapped-size" if image.size_wh == file_wh[::-1] else "wrong-size"
        yield Finding(kind, f"has the size {stated}, but the file {file_wh[0]}x{file_wh[1]}", *item)


def _find_duplicate_ids(annotations: Annotations) -> Iterator[Finding]:
    def find_repeated(values: Iterable[object]) -> list[tuple[object, int]]:
        return [(value, count) for value, count in Counter(values).items() if count > 1]

    images = annotations.images
    for value, count in find_repeated(image.id for image in images):
        yield Finding("duplicate-image-id", f"{count} images have id {value}", entry=f"image {value}")
    for value, count in find_repeated(image.file_name for image in images):
        yield Finding("duplicate-file-name", f"{count} images have this file", file_name=str(value))
    for value, count in find_repeated(person.id for image in images for person in image.people):
        yield Finding("duplicate-annotation-id", f"{count} annotations have id {value}", entry=f"annotation {value}")


def _find_repeated_images(hashes: dict[str, ImageHash]) -> Iterator[Finding]:
    first_names: dict[str, str] = {}
    for name, image_hash in hashes.items():
        if (first := first_names.setdefault(image_hash.sha256, name)) != name:
            yield Finding("repeated-image", f"is the same file as {first}", file_name=name)


def _compare_crowd_indices(annotations: Annotations) -> tuple[CrowdIndexAgreement | None, list[Finding]]:
    images = [image for image in annotations.images if image.crowd_index is not None]
    if not images:
        return None, []
    given = np.array([image.crowd_index for image in images], np.float64)
    rules: tuple[CrowdIndexRule, ...] = ("crowdpose", "capped")
    computed_by_rule = {
        rule: np.array([compute_crowd_index(image.people, annotations.skeleton, rule) for image in images])
        for rule in rules
    }
    rule = min(rules, key=lambda each: float(np.abs(computed_by_rule[each] - given).mean()))
    computed = computed_by_rule[rule]
    differences = np.abs(computed - given)
    varies = min(given.std(), computed.std()) > 0
    correlation = float(np.corrcoef(given, computed)[0, 1]) if varies else float("nan")
    findings = [
        Finding("crowd-index", f"is {theirs:g}, computed {ours:.3f}", image.id, image.file_name)
        for image, theirs, ours, difference in zip(images, given, computed, differences, strict=True)
        if difference > _MAX_CROWD_INDEX_DIFFERENCE
    ]
    return CrowdIndexAgreement(rule, len(images), correlation, float(differences.max())), findings
