"""People as CSV in and out: one row a person, for spreadsheets and data frames. Nothing is rounded.

Columns: those of `_IMAGE` and `_PERSON`, then `NAME_x`, `NAME_y`, `NAME_visibility` and, of what a network found,
`NAME_score` for each keypoint. An image without people has a row with nobody in it. What is not known is empty.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from typing import Any

import numpy as np

from rsgnet.annotations.findings import Report, entry, inner_path
from rsgnet.annotations.keypoint_names import skeleton_of
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Annotations, Person
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import Skeleton

_IMAGE = ("file_name", "image_id", "width", "height", "crowd_index")
_BOX = ("box_left", "box_top", "box_width", "box_height")
_PERSON = ("person_id", *_BOX, "area", "is_crowd", "score")
_OF_KEYPOINT = ("x", "y", "visibility", "score")


def csv_text(annotations: Annotations) -> str:
    """People as CSV."""
    scored = any(person.keypoint_scores is not None for image in annotations.images for person in image.people)
    per_keypoint = _OF_KEYPOINT if scored else _OF_KEYPOINT[:3]
    columns = [f"{name}_{what}" for name in annotations.skeleton.keypoints for what in per_keypoint]
    text = StringIO()
    rows = csv.DictWriter(text, [*_IMAGE, *_PERSON, *columns], lineterminator="\n")
    rows.writeheader()
    for image in annotations.images:
        own = _image_cells(image)
        rows.writerows({**own, **_person_cells(person), **_keypoint_cells(person, columns)} for person in image.people)
        if not image.people:
            rows.writerow(own)
    return text.getvalue()


def _image_cells(image: AnnotatedImage) -> dict[str, Any]:
    width, height = ("", "") if image.size_wh == SIZE_UNKNOWN else image.size_wh
    return dict(zip(_IMAGE, (image.file_name, image.id, width, height, image.crowd_index), strict=True))


def _person_cells(person: Person) -> dict[str, Any]:
    box = person.box_xywh.tolist()
    return dict(zip(_PERSON, (person.id, *box, person.area, int(person.is_crowd), person.score), strict=True))


def _keypoint_cells(person: Person, columns: Sequence[str]) -> dict[str, Any]:
    cells: list[list[Any]] = [[x, y, int(visibility)] for x, y, visibility in person.keypoints.tolist()]
    if len(columns) > 3 * len(cells):
        scores = [None] * len(cells) if person.keypoint_scores is None else person.keypoint_scores.tolist()
        cells = [[*triple, score] for triple, score in zip(cells, scores, strict=True)]
    return dict(zip(columns, (cell for keypoint in cells for cell in keypoint), strict=True))


def read_csv(text: str, own: Sequence[Skeleton], called: str, report: Report) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads people from CSV; the keypoints are those that have an `_x` column, in its order.

    Args:
        text: The file's content.
        own: Skeletons that may be meant besides the built-in ones.
        called: What to call a skeleton that only the file knows.
        report: Told of each row that is wrong; rows that cannot be used are left out where it returns.

    Raises:
        AnnotationError: It is no such table.
    """
    rows = csv.DictReader(StringIO(text), strict=True)
    try:
        header = list(rows.fieldnames or ())
        listed = list(rows)
    except csv.Error as error:
        raise AnnotationError(f"not valid CSV ({error}); is it truncated?") from error
    names = [column.removesuffix("_x") for column in header if column.endswith("_x")]
    wanted = ["file_name", "image_id", *(f"{name}_{what}" for name in names for what in _OF_KEYPOINT[:3])]
    present = set(header)
    missing = [column for column in wanted if column not in present]
    if missing or not names:
        raise AnnotationError(f"not a table of people: it has no column {', '.join(missing or ['NAME_x'])}")
    skeleton = skeleton_of(names, {len(names)}, None, own, called)
    images: dict[int, AnnotatedImage] = {}
    people: dict[int, list[Person]] = {}
    for number, row in enumerate(listed, 2):
        with entry(report, f"line {number}"):
            if None in row or None in row.values():
                raise AnnotationError(f"has another number of cells than the {len(header)} columns")
            image = _image(row)
            before = images.setdefault(image.id, image)
            if before.file_name != image.file_name:
                raise AnnotationError(f"image_id {image.id} is {before.file_name} already, not {image.file_name}")
            if row.get("person_id"):
                people.setdefault(image.id, []).append(_person(row, names))
    return skeleton, [replace(each, people=tuple(people.get(each.id, ()))) for each in images.values()]


def _image(row: Mapping[str, str]) -> AnnotatedImage:
    size_wh = int(row.get("width") or 0), int(row.get("height") or 0)
    index = row.get("crowd_index")
    return AnnotatedImage(
        int(row["image_id"]), inner_path(row["file_name"]), size_wh, (), float(index) if index else None
    )


def _person(row: Mapping[str, str], names: Sequence[str]) -> Person:
    box = np.array([float(row[column]) for column in _BOX])
    triples = np.array([[float(row[f"{name}_{what}"]) for what in _OF_KEYPOINT[:3]] for name in names])
    scores = [row.get(f"{name}_score") or "" for name in names]
    found = np.array([float(score) for score in scores]) if all(scores) else None
    score, area = float(row["score"]) if row.get("score") else None, float(row["area"])
    numbers = [*box, area, *triples.ravel(), *(() if found is None else found), score or 0.0]
    if not np.isfinite(numbers).all():
        raise AnnotationError("numbers must be finite")
    return Person(int(row["person_id"]), box, triples, area, row.get("is_crowd") == "1", score, found)
