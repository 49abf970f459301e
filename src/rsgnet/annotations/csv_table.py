"""Reading and writing people as CSV, one row per person, for spreadsheets and data frames. Nothing is rounded.

The columns are `_IMAGE_COLUMNS` and `_PERSON_COLUMNS`, then for each keypoint `NAME_x`, `NAME_y`, `NAME_visibility`
and, for people that a network found, `NAME_score`. An image without people has a row without a person. Unknown values
are empty. A text that a spreadsheet would take for a formula has an apostrophe before it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from typing import Any

import numpy as np

from rsgnet.annotations.findings import FindingHandler, report_entry_errors, validate_file_name
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Annotations, Person
from rsgnet.annotations.skeleton_matching import match_skeleton
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import Skeleton

_IMAGE_COLUMNS = ("file_name", "image_id", "width", "height", "crowd_index")
_BOX_COLUMNS = ("box_left", "box_top", "box_width", "box_height")
_PERSON_COLUMNS = ("person_id", *_BOX_COLUMNS, "area", "is_crowd", "score")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
_KEYPOINT_SUFFIXES = ("x", "y", "visibility")


def read_csv(
    text: str, custom_skeletons: Sequence[Skeleton], fallback_name: str, on_finding: FindingHandler
) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads people from CSV. The keypoints are those with an `_x` column, in the order of these columns.

    Args:
        text: The content of the file.
        custom_skeletons: Skeletons to consider besides the built-in ones.
        fallback_name: The name of a skeleton built from the names of the file.
        on_finding: Called with each problem. Unless it raises, rows that cannot be used are left out.

    Raises:
        AnnotationError: The text is not CSV or lacks a column.
    """
    reader = csv.DictReader(StringIO(text), strict=True)
    try:
        reader.fieldnames = header = [_unescape(column) for column in reader.fieldnames or ()]
        rows = list(reader)
    except csv.Error as error:
        raise AnnotationError(f"not valid CSV ({error}); is it truncated?") from error
    names = [column.removesuffix("_x") for column in header if column.endswith("_x")]
    required = ["file_name", "image_id", *(f"{name}_{suffix}" for name in names for suffix in _KEYPOINT_SUFFIXES)]
    present = set(header)
    missing = [column for column in required if column not in present]
    if missing or not names:
        raise AnnotationError(f"not a table of people: it has no column {', '.join(missing or ['NAME_x'])}")
    skeleton = match_skeleton(names, {len(names)}, None, custom_skeletons, fallback_name)
    images: dict[int, AnnotatedImage] = {}
    people: dict[int, list[Person]] = {}
    for line, row in enumerate(rows, 2):
        with report_entry_errors(on_finding, f"line {line}"):
            if None in row or None in row.values():
                raise AnnotationError(f"must have {len(header)} cells, one for each column")
            image = _parse_image(row)
            known = images.setdefault(image.id, image)
            if known.file_name != image.file_name:
                raise AnnotationError(f"image_id {image.id} is {known.file_name} already, not {image.file_name}")
            if row.get("person_id"):
                people.setdefault(image.id, []).append(_parse_person(row, names))
    return skeleton, [replace(image, people=tuple(people.get(image.id, ()))) for image in images.values()]


def to_csv(annotations: Annotations) -> str:
    """Converts people to CSV."""
    has_scores = any(person.keypoint_scores is not None for image in annotations.images for person in image.people)
    suffixes = (*_KEYPOINT_SUFFIXES, "score") if has_scores else _KEYPOINT_SUFFIXES
    keypoint_columns = [f"{name}_{suffix}" for name in annotations.skeleton.keypoints for suffix in suffixes]
    header = [*_IMAGE_COLUMNS, *_PERSON_COLUMNS, *keypoint_columns]
    text = StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    (quoting if any("\r" in each for each in header) else plain).writerow(map(_escape, header))
    for image in annotations.images:
        writer = quoting if "\r" in image.file_name else plain  # which quotes no "\r", though it ends a row
        width, height = ("", "") if image.size_wh == SIZE_UNKNOWN else image.size_wh
        image_cells = [_escape(image.file_name), image.id, width, height, image.crowd_index]
        for person in image.people:
            writer.writerow([*image_cells, *_person_to_cells(person, has_scores)])
        if not image.people:
            writer.writerow([*image_cells, *[""] * (len(header) - len(image_cells))])
    return text.getvalue()


def _escape(text: str) -> str:
    """Returns a text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _unescape(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS) else cell


def _parse_image(row: Mapping[str, str]) -> AnnotatedImage:
    size_wh = int(row.get("width") or 0), int(row.get("height") or 0)
    crowd_index = float(row["crowd_index"]) if row.get("crowd_index") else None
    file_name = validate_file_name(_unescape(row["file_name"]))
    return AnnotatedImage(int(row["image_id"]), file_name, size_wh, (), crowd_index)


def _parse_person(row: Mapping[str, str], names: Sequence[str]) -> Person:
    box_xywh = np.array([float(row[column]) for column in _BOX_COLUMNS])
    keypoints = np.array([[float(row[f"{name}_{suffix}"]) for suffix in _KEYPOINT_SUFFIXES] for name in names])
    score_cells = [row.get(f"{name}_score") or "" for name in names]
    keypoint_scores = np.array([float(cell) for cell in score_cells]) if all(score_cells) else None
    score, area = float(row["score"]) if row.get("score") else None, float(row["area"])
    numbers = [*box_xywh, area, *keypoints.ravel(), *(() if keypoint_scores is None else keypoint_scores), score or 0.0]
    if not np.isfinite(numbers).all():
        raise AnnotationError("numbers must be finite")
    is_crowd = row.get("is_crowd") == "1"
    return Person(int(row["person_id"]), box_xywh, keypoints, area, is_crowd, score, keypoint_scores)


def _person_to_cells(person: Person, has_scores: bool) -> list[Any]:
    cells = [person.id, *person.box_xywh.tolist(), person.area, int(person.is_crowd), person.score]
    keypoints = person.keypoints.tolist()
    scores = [None] * len(keypoints) if person.keypoint_scores is None else person.keypoint_scores.tolist()
    for (x, y, visibility), score in zip(keypoints, scores, strict=True):
        cells += [x, y, int(visibility), score] if has_scores else [x, y, int(visibility)]
    return cells
