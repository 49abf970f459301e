"""Labels and results from any format into any other, and what each of them cannot hold."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rsgnet.annotations.coco import PERSON_CATEGORY, coco_content, coco_results
from rsgnet.annotations.csv_table import csv_text
from rsgnet.annotations.cvat import cvat_text
from rsgnet.annotations.findings import refuse
from rsgnet.annotations.people import SIZE_UNKNOWN
from rsgnet.annotations.readers import (
    AnnotatedImage,
    Annotations,
    Person,
    file_and_split,
    images_folder,
    read_annotations,
    read_as_given,
)
from rsgnet.annotations.yolo import inside, write_yolo
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.found_people import CARRIED, read_entries, read_found_people
from rsgnet.evaluation.results import ResultsSource, read_keypoint_results
from rsgnet.evaluation.tracking import FRAMES_SUFFIX
from rsgnet.files import write_text
from rsgnet.images import image_size
from rsgnet.skeletons import COCO17


@dataclass(frozen=True)
class Form:
    """A format to write.

    Attributes:
        loses: What no file of it holds.
        scored: Whether it holds scores, so that no threshold turns them into labels first.
        crowds: Whether it holds regions of crowds.
        sized: Whether it asks for the sizes of the images.
        boxed: Whether it holds people without a labelled keypoint.
    """

    loses: str
    scored: bool = False
    crowds: bool = False
    sized: bool = False
    boxed: bool = True


FORMS = {
    "coco": Form("scores; a skeleton's sigmas", crowds=True),
    "coco-results": Form(
        "which labels are hidden; people's ids and areas; images without people, and sizes", scored=True, boxed=False
    ),
    "yolo": Form("scores; ids, areas, crowd indices; a skeleton's edges and sigmas", sized=True),
    "yolo-results": Form(
        "which labels are hidden; ids, areas, crowd indices; a skeleton's edges and sigmas",
        scored=True,
        sized=True,
        boxed=False,
    ),
    "cvat": Form(
        "scores; people's ids and areas; crowd indices; a skeleton's edges and sigmas; less than 0.01 pixels",
        sized=True,
    ),
    "csv": Form("a skeleton's edges and sigmas", scored=True, crowds=True),
}


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        path: The file; of YOLO data.yaml.
        images: How many images.
        people: How many people.
        losses: What the format cannot hold, and what of this was left out, a line each.
    """

    path: Path
    images: int
    people: int
    losses: tuple[str, ...]


def convert(
    source: Path,
    out: Path,
    form: str,
    *,
    images: Path | None = None,
    listed_in: Path | None = None,
    threshold: float = 0.2,
    split: str = "train",
) -> Converted:
    """Reads labels or COCO results and writes them in another format.

    Args:
        source: Labels as `read_annotations` takes them, a COCO keypoint results list, or a poses.jsonl.
        out: The file to write; of YOLO the folder.
        form: One of FORMS.
        images: The images' folder, for sizes that the source does not give and for YOLO's `images`; where None, as
            the labels say, if that exists.
        listed_in: Labels that list the images of results that name them by ids alone.
        threshold: Where scores become labels, keypoints that score less are not labelled.
        split: Of YOLO: train, val or test.

    Raises:
        AnnotationError: The source cannot be read, or cannot be put into that format.
        RSGNetError: There is no such format.
    """
    if form not in FORMS:
        raise RSGNetError(f"no format {form!r}; there are {', '.join(FORMS)}")
    if split not in ("train", "val", "test"):
        raise RSGNetError(f"--split {split}: expected train, val or test")
    left_out: Counter[str] = Counter()
    people = _read(source, listed_in, left_out)
    folder = images or images_folder(source)
    if FORMS[form].sized:
        people = _sized(people, folder)
    people = _fitting(people, form, threshold, left_out)
    path = _written(people, out, form, split, folder if folder.is_dir() else None)
    told = tuple(f"left out: {number} {what}" for what, number in left_out.items() if number)
    count = sum(len(image.people) for image in people.images)
    return Converted(path, len(people.images), count, (f"{form} cannot hold: {FORMS[form].loses}", *told))


def _read(source: Path, listed_in: Path | None, left_out: Counter[str]) -> Annotations:
    if file_and_split(source)[0].suffix.lower() in (".json", FRAMES_SUFFIX):
        content = read_entries(source)
        if isinstance(content, list):
            found = read_found_people(source, listed_in)
            left_out.update(f"people's {key}" for entry in content for key in sorted(entry.keys() - CARRIED))
            return found
    return read_as_given(source, None, refuse)


def _sized(people: Annotations, folder: Path) -> Annotations:
    def known(image: AnnotatedImage) -> AnnotatedImage:
        if image.size_wh != SIZE_UNKNOWN:
            return image
        return replace(image, size_wh=image_size(folder / image.file_name))

    return replace(people, images=tuple(map(known, people.images)))


def _fitting(people: Annotations, form: str, threshold: float, left_out: Counter[str]) -> Annotations:
    """The people that a format holds, as it holds them; counts what it does not."""
    wanted = FORMS[form]

    def of(image: AnnotatedImage) -> AnnotatedImage:
        kept = []
        for person in image.people:
            if person.is_crowd and not wanted.crowds:
                left_out["regions of crowds"] += 1
            elif not person.labelled and not wanted.boxed:
                left_out["people without a labelled keypoint"] += 1
            else:
                kept.append(person if wanted.scored else _as_label(person, threshold, left_out))
        if form == "yolo":
            size_wh = np.array(image.size_wh, np.float64)
            beyond = sum(person.labelled - int(inside(person, size_wh).sum()) for person in kept)
            left_out["keypoints beyond the image"] += beyond
        return replace(image, people=tuple(kept))

    images = tuple(map(of, people.images))
    if form == "coco-results":
        images = tuple(image for image in images if image.people)
    return replace(people, images=images)


def _as_label(person: Person, threshold: float, left_out: Counter[str]) -> Person:
    if person.keypoint_scores is None:
        return person
    sure = person.keypoint_scores >= threshold
    left_out[f"keypoints that score less than {threshold:g}"] += int((~sure).sum())
    keypoints = np.where(sure[:, None], person.keypoints, 0.0)
    return replace(person, keypoints=keypoints, score=None, keypoint_scores=None)


def _written(people: Annotations, out: Path, form: str, split: str, folder: Path | None) -> Path:
    if form.startswith("yolo"):
        return write_yolo(people, out, split, folder, scored=form == "yolo-results")
    texts: dict[str, Callable[[], str]] = {
        "coco": lambda: json.dumps(coco_content(people)),
        "coco-results": lambda: json.dumps(coco_results(people)),
        "cvat": lambda: cvat_text(people),
        "csv": lambda: csv_text(people),
    }
    write_text(out, texts[form]())
    return out


MOST_A_IMAGE = 20  # the server scores no more


def write_submission(
    results: ResultsSource, images: str | Path, out: Path, name: str = "rsgnet", split: str = "test-dev2017"
) -> Path:
    """Writes poses in the form of COCO's keypoints server: of each image the 20 surest.

    Args:
        results: COCO keypoint results, a file or a list, of 17 keypoints.
        images: The list of images: `image_info_test-dev2017.json`.
        out: The folder to write into.
        name: What to call the method: letters, digits, `-` and `_`.
        split: What to call the data set.

    Returns:
        `person_keypoints_<split>_<name>_results.json`.

    Raises:
        AnnotationError: A file is missing or broken, or an entry is not of these images or keypoints.
        RSGNetError: The name does not fit, or there are no poses.
    """
    if not re.fullmatch(r"[\w-]+", name) or not re.fullmatch(r"[\w-]+", split):
        raise RSGNetError(f"names in a submission are letters, digits, - and _, not {name!r} and {split!r}")
    listed = read_annotations(images)
    if listed.skeleton.keypoints != COCO17.keypoints:
        raise AnnotationError(f"{images}: COCO's server takes {COCO17.name}, these are {listed.skeleton.name}")
    found = read_keypoint_results(results, listed)
    if not len(found):
        raise RSGNetError(f"{found.origin}: holds no poses to submit")
    order = np.lexsort((-found.scores, found.image_ids))
    first = np.searchsorted(found.image_ids[order], found.image_ids[order])
    kept = order[np.arange(len(order)) - first < MOST_A_IMAGE]
    entries = [
        {
            "image_id": int(found.image_ids[row]),
            "category_id": PERSON_CATEGORY,
            "keypoints": [round(value, 3) for value in found.values[row].ravel().tolist()],
            "score": float(found.scores[row]),
        }
        for row in kept
    ]
    path = out / f"person_keypoints_{split}_{name}_results.json"
    write_text(path, json.dumps(entries))
    return path
