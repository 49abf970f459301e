"""Reading and writing YOLO pose data sets: a data.yaml, image folders, and label folders with relative coordinates."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from rsgnet.annotations.findings import FindingHandler, report_entry_errors, validate_file_name
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Annotations, Person, estimate_area
from rsgnet.annotations.skeleton_matching import match_skeleton
from rsgnet.errors import AnnotationError
from rsgnet.files import read_bounded, write_text
from rsgnet.geometry import Floats, xywh_to_xyxy
from rsgnet.images import IMAGE_SUFFIXES, read_image_size
from rsgnet.skeletons import Skeleton

_DATA_YAML = "data.yaml"
_SPLITS = ("train", "val", "test")
_MAX_TEXT_BYTES = 2**24  # for the labels of one image, and for a list of images


class _AliasFreeLoader(yaml.SafeLoader):  # type: ignore[misc]
    """A YAML loader that refuses aliases, by which a short file can describe a huge or self-containing value."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("an alias (*name), which no data.yaml needs")
        return super().compose_node(parent, index)


def read_yolo(
    path: Path, split: str, custom_skeletons: Sequence[Skeleton], on_finding: FindingHandler
) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads one split of a YOLO pose data set.

    Images get ids from 1 in the order of their names, people in the order of images and lines. Of several classes the
    one named `person` is read, or all if none has that name. Image sizes are read from the image files. A line with
    one number more is a result, as YOLO saves results: the third number of each keypoint and the last number are
    scores.

    Args:
        path: The data.yaml.
        split: train, val or test; "" for the only one there is.
        custom_skeletons: Skeletons to consider besides the built-in ones.
        on_finding: Called with each problem. Unless it raises, entries that cannot be used are left out.

    Raises:
        AnnotationError: data.yaml is broken, does not have the split or has several and none is named, or its
            keypoints fit no skeleton.
    """
    settings = _read_settings(path)
    root = _find_root(path, settings)
    shape = settings.get("kpt_shape")
    if not (isinstance(shape, list) and len(shape) == 2 and isinstance(shape[0], int) and shape[1] in (2, 3)):
        raise AnnotationError(f"kpt_shape must be [keypoints, 2 or 3], not {shape!r}; is this a pose data set?")
    skeleton = match_skeleton(_get_keypoint_names(settings), {shape[0]}, None, custom_skeletons, path.parent.name)
    if len(skeleton) != shape[0]:
        raise AnnotationError(f"kpt_shape says {shape[0]} keypoints, kpt_names names {len(skeleton)}")
    person_classes, person_ids = _get_person_classes(settings.get("names")), count(1)
    images: list[AnnotatedImage] = []
    for name in _list_images(root, settings, split):
        with report_entry_errors(on_finding, name):
            size_wh = read_image_size(root / validate_file_name(name))
            people = []
            for line, fields in enumerate(_read_label_lines(root / _get_label_path(name)), 1):
                with report_entry_errors(on_finding, f"{_get_label_path(name)} line {line}"):
                    if person_classes is None or int(fields[0]) in person_classes:
                        people.append(_parse_person(next(person_ids), fields, shape, size_wh))
            images.append(AnnotatedImage(len(images) + 1, name, size_wh, tuple(people)))
    return skeleton, images


def read_yolo_root(path: Path) -> Path:
    """Returns the folder that the images of a data.yaml are relative to: its `path`, or the folder of the file.

    Raises:
        AnnotationError: data.yaml is broken or its `path` does not exist.
    """
    return _find_root(path, _read_settings(path))


def write_yolo(annotations: Annotations, out: str | Path, split: str, images: str | Path | None, scored: bool) -> Path:
    """Writes one split: `labels/SPLIT`, `images/SPLIT` and the split's line in data.yaml. Other splits are kept.

    Args:
        annotations: People in images of known sizes. Boxes around groups are left out.
        out: The folder of the data set.
        split: train, val or test.
        images: The folder from which images are hard-linked, or copied where links are impossible; None writes no
            images.
        scored: Whether lines have keypoint scores for visibilities and end with the person's score, as YOLO's own
            results do. Otherwise boxes are clipped to the image and keypoints outside it left out, as YOLO's training
            requires.

    Returns:
        The path of data.yaml.

    Raises:
        AnnotationError: An image's size is not known, two images would share a label file, an image is missing, or
            the folder holds a data set of other keypoints.
    """
    out = Path(out)
    images = Path(images) if images is not None else None
    settings = _merge_settings(out / _DATA_YAML, annotations.skeleton, split)
    lines = {_get_image_path(image, split): _format_lines(image, scored) for image in annotations.images}
    if len({_get_label_path(path) for path in lines}) < len(annotations.images):
        raise AnnotationError(f"{annotations.path}: images that differ in their suffix only would share labels")
    if images is not None:
        for image in annotations.images:
            _link_or_copy(images / image.file_name, out / _get_image_path(image, split))
    for path, people in lines.items():
        write_text(out / _get_label_path(path), "".join(f"{line}\n" for line in people))
    write_text(out / _DATA_YAML, yaml.safe_dump(settings, sort_keys=False, default_flow_style=None))
    return out / _DATA_YAML


def find_keypoints_inside(person: Person, size_wh: Floats) -> NDArray[np.bool_]:
    """Returns (K,) whether each keypoint is labelled and lies in an image of that size; YOLO refuses others."""
    xy = person.keypoints[:, :2]
    inside: NDArray[np.bool_] = (person.keypoints[:, 2] > 0) & (xy >= 0).all(-1) & (xy <= size_wh).all(-1)
    return inside


def _get_label_path(image_path: str) -> str:
    """Returns the label file of an image: for `images/train/a.jpg` it is `labels/train/a.txt`.

    The last folder named images is replaced by labels.
    """
    parts = list(PurePosixPath(image_path).with_suffix(".txt").parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[:-1][::-1].index("images")] = "labels"
    return str(PurePosixPath(*parts))


def _read_settings(path: Path) -> Mapping[str, Any]:
    try:
        settings = yaml.load(read_bounded(path).decode(), _AliasFreeLoader)
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AnnotationError(f"not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(settings, dict):
        raise AnnotationError("not a YOLO data set: expected a mapping with kpt_shape, train and val")
    return settings


def _find_root(path: Path, settings: Mapping[str, Any]) -> Path:
    """Returns the first folder that has all splits.

    Candidates are the `path` of the settings, relative to the folder of the file or to the current one, and the folder
    of the file, where a data set lies whose `path` is out of date.
    """
    given = settings.get("path") or "."
    candidates = [path.parent / str(given), Path(str(given)), path.parent]
    splits = [str(settings[split]) for split in _SPLITS if isinstance(settings.get(split), str)]
    for root in candidates:
        if root.is_dir() and all((root / _normalise_split(split)).exists() for split in splits):
            return root
    raise AnnotationError(f"{', '.join(splits) or 'its splits'} are neither in its path {given} nor beside it")


def _normalise_split(split: str) -> str:
    """Returns the path of a split below the root; some tools write it relative to the split: `../train/images`."""
    return validate_file_name(split.removeprefix("../").removeprefix("./"))


def _get_keypoint_names(settings: Mapping[str, Any]) -> list[str] | None:
    names = settings.get("kpt_names")
    names = next(iter(names.values()), None) if isinstance(names, dict) else names
    return [str(name) for name in names] if isinstance(names, list) and names else None


def _get_person_classes(names: object) -> frozenset[int] | None:
    """Returns the class numbers to read; None for all."""
    numbered = names if isinstance(names, dict) else dict(enumerate(names)) if isinstance(names, list) else {}
    return frozenset(number for number, name in numbered.items() if name == "person") or None


def _list_images(root: Path, settings: Mapping[str, Any], split: str) -> list[str]:
    present = [name for name in _SPLITS if settings.get(name)]
    split = split or (present[0] if len(present) == 1 else "")
    if split not in present:
        choices = ", ".join(f"data.yaml#{name}" for name in present)
        raise AnnotationError(
            f"{'has no split ' + repr(split) if split else 'has several splits'}; name one: {choices}"
        )
    paths = settings[split] if isinstance(settings[split], list) else [settings[split]]
    if not all(isinstance(path, str) for path in paths):
        raise AnnotationError(f"{split} must be a folder, a .txt list of images, or several of these")
    return sorted({name for path in paths for name in _iterate_images(root, _normalise_split(path))})


def _iterate_images(root: Path, path: str) -> Iterator[str]:
    """Yields the images of a folder or of a .txt list, as paths relative to the root."""
    if (root / path).is_dir():
        for file in (root / path).rglob("*"):
            if file.suffix.lower() in IMAGE_SUFFIXES:
                yield file.relative_to(root).as_posix()
    elif path.endswith(".txt"):
        for line in _read_text(root / path).split("\n"):
            if line.strip():
                yield PurePosixPath(line.strip()).as_posix()
    else:
        raise AnnotationError(f"{path} is neither a folder of images nor a .txt list of them")


def _read_label_lines(path: Path) -> list[list[str]]:
    """Returns the fields of each line. In YOLO an image without people may have no label file."""
    if not path.exists():
        return []
    return [line.split() for line in _read_text(path).split("\n") if line.strip()]


def _read_text(path: Path) -> str:
    try:
        return read_bounded(path, _MAX_TEXT_BYTES).decode()
    except OSError as error:
        raise AnnotationError(f"{path.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path.name} is not UTF-8") from error


def _parse_person(person_id: int, fields: list[str], shape: Sequence[int], size_wh: tuple[int, int]) -> Person:
    """Parses one line: a class, the box's centre and size, the keypoints, and for a result the score."""
    numbers = np.array(fields[1:], np.float64)
    label_length = 4 + shape[0] * shape[1]
    is_result = shape[1] == 3 and len(numbers) == label_length + 1
    if len(numbers) != label_length + is_result or not np.isfinite(numbers).all():
        raise AnnotationError(
            f"expected a class, 4 box and {shape[0]}x{shape[1]} keypoint numbers, got {len(fields)} values"
        )
    centre, box_wh = numbers[:2] * size_wh, numbers[2:4] * size_wh
    box_xywh = np.concatenate([centre - box_wh / 2, box_wh])
    values = numbers[4:label_length].reshape(shape[0], shape[1])
    xy = values[:, :2] * size_wh
    if is_result:
        keypoints = np.column_stack([xy, np.full(len(values), 2.0)])
        score, keypoint_scores = float(numbers[-1]), values[:, 2].copy()
        return Person(person_id, box_xywh, keypoints, estimate_area(box_xywh), False, score, keypoint_scores)
    visibility = values[:, 2] if shape[1] == 3 else 2.0 * values.any(-1)
    return Person(person_id, box_xywh, np.column_stack([xy, visibility]), estimate_area(box_xywh))


def _merge_settings(path: Path, skeleton: Skeleton, split: str) -> dict[str, Any]:
    """Returns the content of data.yaml with a split added. It has no `path`, so YOLO takes the folder of the file."""
    keypoint_settings = {
        "kpt_shape": [len(skeleton), 3],
        "flip_idx": skeleton.flip_indices.tolist(),
        "kpt_names": {0: list(skeleton.keypoints)},
        "names": {0: "person"},
    }
    existing = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if existing and {**existing, **keypoint_settings} != existing:
        raise AnnotationError(f"{path}: describes another data set; choose another folder")
    return {**existing, split: f"images/{split}", **keypoint_settings}


def _get_image_path(image: AnnotatedImage, split: str) -> str:
    folder = f"images/{split}/"
    return image.file_name if image.file_name.startswith(folder) else folder + image.file_name


def _link_or_copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise AnnotationError(f"{source}: no such image")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        return
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or a file system without hard links
        shutil.copyfile(source, target)


def _format_lines(image: AnnotatedImage, scored: bool) -> list[str]:
    if image.size_wh == SIZE_UNKNOWN:
        raise AnnotationError(f"{image.file_name}: its size is not known; name the folder of the images")
    size_wh = np.array(image.size_wh, np.float64)
    to_numbers = _compute_result_numbers if scored else _compute_label_numbers
    rows = [to_numbers(person, size_wh) for person in image.people if not person.is_crowd]
    return [" ".join(["0", *(f"{number:.8g}" for number in row)]) for row in rows]


def _compute_label_numbers(person: Person, size_wh: Floats) -> Floats:
    left_top, right_bottom = xywh_to_xyxy(person.box_xywh).reshape(2, 2).clip(0, size_wh)
    inside = find_keypoints_inside(person, size_wh)
    values = np.where(inside[:, None], person.keypoints / [*size_wh, 1], 0.0)
    centre, box_wh = (left_top + right_bottom) / 2 / size_wh, (right_bottom - left_top) / size_wh
    return np.concatenate([centre, box_wh, values.ravel()])


def _compute_result_numbers(person: Person, size_wh: Floats) -> Floats:
    values = np.column_stack([person.keypoints[:, :2] / size_wh, person.keypoint_confidences])
    centre = person.box_xywh[:2] + person.box_xywh[2:] / 2
    return np.concatenate([centre / size_wh, person.box_xywh[2:] / size_wh, values.ravel(), [person.confidence]])
