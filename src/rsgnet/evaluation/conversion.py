"""Converts annotations and results from any readable format to any writable one, and lists what is lost."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rsgnet.annotations.coco import to_coco, to_coco_results
from rsgnet.annotations.csv_table import to_csv
from rsgnet.annotations.cvat import to_cvat
from rsgnet.annotations.label_studio import label_studio_interface, to_label_studio
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Annotations, Person
from rsgnet.annotations.readers import find_images_folder, parse_annotations, split_label_path
from rsgnet.annotations.yolo import find_keypoints_inside, write_yolo
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.openpose import read_frames_to_name, write_openpose
from rsgnet.evaluation.predicted_people import KEPT_KEYS, read_predicted_people, read_result_entries
from rsgnet.evaluation.results import FRAMES_SUFFIX
from rsgnet.files import write_text
from rsgnet.images import read_image_size


@dataclass(frozen=True)
class OutputFormat:
    """The kinds of content that a format to write can hold.

    Attributes:
        loses: The content that it cannot hold, for messages.
        has_scores: Whether it holds scores; otherwise a threshold turns scored keypoints into labels.
        has_crowd_regions: Whether it holds boxes around groups.
        needs_sizes: Whether it requires the sizes of the images.
        has_unlabelled_people: Whether it holds people without a labelled keypoint.
    """

    loses: str
    has_scores: bool = False
    has_crowd_regions: bool = False
    needs_sizes: bool = False
    has_unlabelled_people: bool = True


OUTPUT_FORMATS = {
    "coco": OutputFormat("scores; a skeleton's sigmas", has_crowd_regions=True),
    "coco-results": OutputFormat(
        "which labels are hidden; people's ids and areas; images without people, and sizes",
        has_scores=True,
        has_unlabelled_people=False,
    ),
    "yolo": OutputFormat("scores; ids, areas, crowd indices; a skeleton's edges and sigmas", needs_sizes=True),
    "yolo-results": OutputFormat(
        "which labels are hidden; ids, areas, crowd indices; a skeleton's edges and sigmas",
        has_scores=True,
        needs_sizes=True,
        has_unlabelled_people=False,
    ),
    "cvat": OutputFormat(
        "scores; people's ids and areas; crowd indices; a skeleton's edges and sigmas; less than 0.01 pixels",
        needs_sizes=True,
    ),
    "label-studio": OutputFormat(
        "areas; crowd indices; a skeleton's edges and sigmas", has_scores=True, needs_sizes=True
    ),
    "openpose": OutputFormat(
        "labels; boxes and their scores; names of keypoints; rivals; sizes of images", has_scores=True
    ),
    "csv": OutputFormat("a skeleton's edges and sigmas", has_scores=True, has_crowd_regions=True),
}
FOLDER_FORMATS = frozenset({"yolo", "yolo-results", "openpose"})  # the others are files


@dataclass(frozen=True)
class Conversion:
    """A finished conversion.

    Attributes:
        path: The file that was written, for YOLO its data.yaml.
        images: The number of images written.
        people: The number of people written.
        losses: One line of text for the format's limits, then one for each kind of content left out of this data set.
    """

    path: Path
    images: int
    people: int
    losses: tuple[str, ...]


def convert(
    source: str | Path,
    out: str | Path,
    target: str,
    *,
    images: str | Path | None = None,
    listed_in: str | Path | None = None,
    threshold: float = 0.2,
    split: str = "train",
) -> Conversion:
    """Reads annotations or COCO results and writes them in another format.

    Args:
        source: Annotations as `read_annotations` takes them, a COCO keypoint results list, or a poses.jsonl.
        out: The file to write, for YOLO and OpenPose the folder.
        target: The name of one of OUTPUT_FORMATS.
        images: The images' folder, used for sizes that the source lacks and for YOLO's `images`; by default the folder
            that the annotations name, if it exists.
        listed_in: Annotations that list the images, for results that name images by id only.
        threshold: Where scores become labels, keypoints with a lower score are not labelled.
        split: For YOLO: "train", "val" or "test".

    Raises:
        AnnotationError: The source cannot be read, or cannot be written in that format.
        RSGNetError: There is no such format or split.
    """
    source = Path(source)
    out = Path(out)
    images = Path(images) if images is not None else None
    listed_in = Path(listed_in) if listed_in is not None else None
    if target not in OUTPUT_FORMATS:
        raise RSGNetError(f"no format {target!r}; there are {', '.join(OUTPUT_FORMATS)}")
    if split not in ("train", "val", "test"):
        raise RSGNetError(f"--split {split}: expected train, val or test")
    if target == "openpose":
        return _convert_to_openpose(source, out)
    left_out: Counter[str] = Counter()
    annotations = _read_source(source, listed_in, left_out)
    folder = images or find_images_folder(source)
    if OUTPUT_FORMATS[target].needs_sizes:
        annotations = _add_sizes(annotations, folder)
    annotations = _fit_to_format(annotations, target, threshold, left_out)
    path = _write(annotations, out, target, split, folder if folder.is_dir() else None)
    losses = tuple(f"left out: {count} {item}" for item, count in left_out.items() if count)
    people = sum(len(image.people) for image in annotations.images)
    cannot_hold = f"{target} cannot hold: {OUTPUT_FORMATS[target].loses}"
    return Conversion(path, len(annotations.images), people, (cannot_hold, *losses))


def _convert_to_openpose(source: Path, out: Path) -> Conversion:
    entries = None
    if source.suffix.lower() != FRAMES_SUFFIX:
        entries = read_result_entries(source) if source.suffix.lower() == ".json" else None
        if not isinstance(entries, list):
            raise AnnotationError(f"{source}: OpenPose's files hold predictions: name a poses.json or a poses.jsonl")
    frames = read_frames_to_name(source, entries)
    people = write_openpose(frames, out)
    return Conversion(out, len(frames), people, (f"openpose cannot hold: {OUTPUT_FORMATS['openpose'].loses}",))


def _read_source(source: Path, listed_in: Path | None, left_out: Counter[str]) -> Annotations:
    if split_label_path(source)[0].suffix.lower() in (".json", FRAMES_SUFFIX):
        content = read_result_entries(source)
        if isinstance(content, list):
            predicted = read_predicted_people(source, listed_in)
            left_out.update(f"people's {key}" for entry in content for key in sorted(entry.keys() - KEPT_KEYS))
            return predicted
    return parse_annotations(source)


def _add_sizes(annotations: Annotations, folder: Path) -> Annotations:
    images = tuple(
        replace(image, size_wh=read_image_size(folder / image.file_name)) if image.size_wh == SIZE_UNKNOWN else image
        for image in annotations.images
    )
    return replace(annotations, images=images)


def _fit_to_format(annotations: Annotations, target: str, threshold: float, left_out: Counter[str]) -> Annotations:
    """Returns the annotations without content that the format cannot hold, and counts that content in `left_out`."""
    images = tuple(_fit_image(image, target, threshold, left_out) for image in annotations.images)
    if target == "coco-results":
        images = tuple(image for image in images if image.people)
    return replace(annotations, images=images)


def _fit_image(image: AnnotatedImage, target: str, threshold: float, left_out: Counter[str]) -> AnnotatedImage:
    output = OUTPUT_FORMATS[target]
    people = []
    for person in image.people:
        if person.is_crowd and not output.has_crowd_regions:
            left_out["regions of crowds"] += 1
        elif not person.num_labelled and not output.has_unlabelled_people:
            left_out["people without a labelled keypoint"] += 1
        else:
            people.append(person if output.has_scores else _scores_to_labels(person, threshold, left_out))
    if target in ("yolo", "label-studio"):
        size_wh = np.array(image.size_wh, np.float64)
        outside = sum(person.num_labelled - int(find_keypoints_inside(person, size_wh).sum()) for person in people)
        left_out["keypoints beyond the image"] += outside
    return replace(image, people=tuple(people))


def _scores_to_labels(person: Person, threshold: float, left_out: Counter[str]) -> Person:
    if person.keypoint_scores is None:
        return person
    is_labelled = person.keypoint_scores >= threshold
    left_out[f"keypoints that score less than {threshold:g}"] += int((~is_labelled).sum())
    keypoints = np.where(is_labelled[:, None], person.keypoints, 0.0)
    return replace(person, keypoints=keypoints, score=None, keypoint_scores=None)


def _write(annotations: Annotations, out: Path, target: str, split: str, folder: Path | None) -> Path:
    if target.startswith("yolo"):
        return write_yolo(annotations, out, split, folder, scored=target == "yolo-results")
    if target == "coco":
        text = json.dumps(to_coco(annotations))
    elif target == "coco-results":
        text = json.dumps(to_coco_results(annotations))
    elif target == "label-studio":
        text = to_label_studio(annotations)
        write_text(out.with_suffix(".xml"), label_studio_interface(annotations.skeleton))
    else:
        text = to_cvat(annotations) if target == "cvat" else to_csv(annotations)
    write_text(out, text)
    return out
