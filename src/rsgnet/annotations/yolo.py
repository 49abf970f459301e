"""YOLO pose data sets as they are read: a data.yaml, and for each folder of images one of labels in their shares."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from rsgnet.annotations.findings import Report, entry, inner_path
from rsgnet.annotations.keypoint_names import skeleton_of
from rsgnet.annotations.people import SIZE_UNKNOWN, AnnotatedImage, Annotations, Person, area_of
from rsgnet.errors import AnnotationError
from rsgnet.files import read_bounded, write_text
from rsgnet.geometry import Floats
from rsgnet.images import IMAGE_SUFFIXES, image_size
from rsgnet.skeletons import Skeleton

_SPLITS = ("train", "val", "test")
_LARGEST_TEXT = 2**24  # bytes, of one image's labels or a list of images


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML without aliases: by them a short file becomes a huge one, or one that holds itself."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("an alias (*name), which no data.yaml needs")
        return super().compose_node(parent, index)


def read_yolo(path: Path, split: str, own: Sequence[Skeleton], report: Report) -> tuple[Skeleton, list[AnnotatedImage]]:
    """Reads one split of a YOLO pose data set.

    Images are numbered from 1 in the order of their names, people in the order of images and lines. Of several
    classes the one named `person` is read, or all where none is. Sizes are those of the image files. A line with one
    number more is a result, as YOLO saves them: the third number of each keypoint and the last one are scores.

    Args:
        path: The data.yaml.
        split: train, val or test; "" for the only one there is.
        own: Skeletons that may be meant besides the built-in ones.
        report: Told of each entry that is wrong; entries that cannot be used are left out where it returns.

    Raises:
        AnnotationError: data.yaml is broken, has no such split or several, or its keypoints fit no skeleton.
    """
    settings = _settings(path)
    root = _root(path, settings)
    shape = settings.get("kpt_shape")
    if not (isinstance(shape, list) and len(shape) == 2 and isinstance(shape[0], int) and shape[1] in (2, 3)):
        raise AnnotationError(f"kpt_shape must be [keypoints, 2 or 3], not {shape!r}; is this a pose data set?")
    names = _keypoint_names(settings)
    skeleton = skeleton_of(names, {shape[0]}, None, own, path.parent.name)
    if len(skeleton) != shape[0]:
        raise AnnotationError(f"kpt_shape says {shape[0]} keypoints, kpt_names names {len(skeleton)}")
    wanted, numbers = _person_classes(settings.get("names")), count(1)
    images: list[AnnotatedImage] = []
    for name in _images_of(root, settings, split):
        with entry(report, name):
            size_wh = image_size(root / inner_path(name))
            people = []
            for line, fields in enumerate(_lines(root / label_file(name)), 1):
                with entry(report, f"{label_file(name)} line {line}"):
                    if wanted is None or int(fields[0]) in wanted:
                        people.append(_person(next(numbers), fields, shape, size_wh))
            images.append(AnnotatedImage(len(images) + 1, name, size_wh, tuple(people)))
    return skeleton, images


def yolo_root(path: Path) -> Path:
    """The folder that the images of a data.yaml are relative to: its `path`, or its own folder.

    Raises:
        AnnotationError: data.yaml is broken or its `path` does not exist.
    """
    return _root(path, _settings(path))


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        settings = yaml.load(read_bounded(path).decode(), _PlainLoader)
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AnnotationError(f"not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(settings, dict):
        raise AnnotationError("not a YOLO data set: expected a mapping with kpt_shape, train and val")
    return settings


def _root(path: Path, settings: Mapping[str, Any]) -> Path:
    """`path` as written, from the file's folder or the current one; or the file's folder, if it was moved there."""
    given = settings.get("path") or "."
    candidates = [path.parent / str(given), Path(str(given)), path.parent]
    splits = [str(settings[split]) for split in _SPLITS if isinstance(settings.get(split), str)]
    for root in candidates:
        if root.is_dir() and all((root / _inside(split)).exists() for split in splits):
            return root
    raise AnnotationError(f"{', '.join(splits) or 'its splits'} are neither in its path {given} nor beside it")


def _inside(split: str) -> str:
    """A split's place; some tools write it as seen from the split's own folder, `../train/images`."""
    return inner_path(split.removeprefix("../").removeprefix("./"))


def _keypoint_names(settings: Mapping[str, Any]) -> list[str] | None:
    names = settings.get("kpt_names")
    names = next(iter(names.values()), None) if isinstance(names, dict) else names
    return [str(name) for name in names] if isinstance(names, list) and names else None


def _person_classes(names: object) -> frozenset[int] | None:
    """The class numbers to read, None for all."""
    listed = names if isinstance(names, dict) else dict(enumerate(names)) if isinstance(names, list) else {}
    return frozenset(number for number, name in listed.items() if name == "person") or None


def _images_of(root: Path, settings: Mapping[str, Any], split: str) -> list[str]:
    present = [name for name in _SPLITS if settings.get(name)]
    split = split or (present[0] if len(present) == 1 else "")
    if split not in present:
        choices = ", ".join(f"data.yaml#{name}" for name in present)
        raise AnnotationError(
            f"{'has no split ' + repr(split) if split else 'has several splits'}; name one: {choices}"
        )
    places = settings[split] if isinstance(settings[split], list) else [settings[split]]
    if not all(isinstance(place, str) for place in places):
        raise AnnotationError(f"{split} must be a folder, a .txt list of images, or several of these")
    return sorted({name for place in places for name in _images_at(root, _inside(place))})


def _images_at(root: Path, place: str) -> Iterator[str]:
    if (root / place).is_dir():
        for file in (root / place).rglob("*"):
            if file.suffix.lower() in IMAGE_SUFFIXES:
                yield file.relative_to(root).as_posix()
    elif place.endswith(".txt"):
        for line in _text(root / place).split("\n"):
            if line.strip():
                yield PurePosixPath(line.strip()).as_posix()
    else:
        raise AnnotationError(f"{place} is neither a folder of images nor a .txt list of them")


def label_file(name: str) -> str:
    """`labels/train/a.txt` of `images/train/a.jpg`: the last folder called images has a twin called labels."""
    parts = list(PurePosixPath(name).with_suffix(".txt").parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[:-1][::-1].index("images")] = "labels"
    return str(PurePosixPath(*parts))


def _lines(path: Path) -> list[list[str]]:
    """The words of each line; none where there is no file, which is how YOLO says that nobody is there."""
    if not path.exists():
        return []
    return [line.split() for line in _text(path).split("\n") if line.strip()]


def _text(path: Path) -> str:
    try:
        return read_bounded(path, _LARGEST_TEXT).decode()
    except OSError as error:
        raise AnnotationError(f"{path.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path.name} is not UTF-8") from error


def _person(number: int, fields: list[str], shape: Sequence[int], size_wh: tuple[int, int]) -> Person:
    numbers = np.array(fields[1:], np.float64)
    labelled = 4 + shape[0] * shape[1]
    is_result = shape[1] == 3 and len(numbers) == labelled + 1
    if len(numbers) != labelled + is_result or not np.isfinite(numbers).all():
        raise AnnotationError(
            f"expected a class, 4 box and {shape[0]}x{shape[1]} keypoint numbers, got {len(fields)} values"
        )
    centre, box_wh = numbers[:2] * size_wh, numbers[2:4] * size_wh
    box_xywh = np.concatenate([centre - box_wh / 2, box_wh])
    given = numbers[4:labelled].reshape(shape[0], shape[1])
    places = given[:, :2] * size_wh
    if is_result:
        keypoints = np.column_stack([places, np.full(len(given), 2.0)])
        return Person(number, box_xywh, keypoints, area_of(box_xywh), False, float(numbers[-1]), given[:, 2].copy())
    visibility = given[:, 2] if shape[1] == 3 else 2.0 * given.any(-1)
    return Person(number, box_xywh, np.column_stack([places, visibility]), area_of(box_xywh))


SETTINGS_FILE = "data.yaml"


def write_yolo(annotations: Annotations, out: Path, split: str, images: Path | None, scored: bool) -> Path:
    """Writes one split: `labels/SPLIT`, `images/SPLIT` and the split's line in data.yaml; other splits stay.

    Args:
        annotations: People in images whose sizes are known. Regions of crowds are left out.
        out: The data set's folder.
        split: train, val or test.
        images: Where the images are linked from, or copied where links cannot be; None leaves them to be put there.
        scored: Whether lines end with the person's score and have scores for visibilities, as YOLO's own results; else
            boxes are clipped to the image and keypoints beyond it left out, as training asks.

    Returns:
        `data.yaml`.

    Raises:
        AnnotationError: An image's size is not known, two images would share a label file, an image is missing, or
            the folder holds a data set of other keypoints.
    """
    settings = _written_settings(out / SETTINGS_FILE, annotations.skeleton, split)
    lines = {_place(image, split): _written_lines(image, scored) for image in annotations.images}
    if len({label_file(place) for place in lines}) < len(annotations.images):
        raise AnnotationError(f"{annotations.path}: images that differ in their suffix only would share labels")
    if images is not None:
        for image in annotations.images:
            _put(images / image.file_name, out / _place(image, split))
    for place, told in lines.items():
        write_text(out / label_file(place), "".join(f"{line}\n" for line in told))
    write_text(out / SETTINGS_FILE, yaml.safe_dump(settings, sort_keys=False, default_flow_style=None))
    return out / SETTINGS_FILE


def _written_settings(path: Path, skeleton: Skeleton, split: str) -> dict[str, Any]:
    """Without a `path`: then YOLO takes the file's own folder."""
    wanted = {
        "kpt_shape": [len(skeleton), 3],
        "flip_idx": skeleton.flip_indices.tolist(),
        "kpt_names": {0: list(skeleton.keypoints)},
        "names": {0: "person"},
    }
    before = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if before and {**before, **wanted} != before:
        raise AnnotationError(f"{path}: describes another data set; choose another folder")
    return {**before, split: f"images/{split}", **wanted}


def _place(image: AnnotatedImage, split: str) -> str:
    folder = f"images/{split}/"
    return image.file_name if image.file_name.startswith(folder) else folder + image.file_name


def _put(source: Path, target: Path) -> None:
    if not source.is_file():
        raise AnnotationError(f"{source}: no such image")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        return
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _written_lines(image: AnnotatedImage, scored: bool) -> list[str]:
    if image.size_wh == SIZE_UNKNOWN:
        raise AnnotationError(f"{image.file_name}: its size is not known; name the folder of the images")
    people = (person for person in image.people if not person.is_crowd)
    size_wh = np.array(image.size_wh, np.float64)
    return [_line(_result(person, size_wh) if scored else _label(person, size_wh)) for person in people]


def _line(numbers: Iterable[float]) -> str:
    return " ".join(["0", *(f"{number:.8g}" for number in numbers)])


def _label(person: Person, size_wh: Floats) -> Floats:
    corners = np.concatenate([person.box_xywh[:2], person.box_xywh[:2] + person.box_xywh[2:]])
    left_top, right_bottom = corners.reshape(2, 2).clip(0, size_wh)
    seen = np.where(inside(person, size_wh)[:, None], person.keypoints / [*size_wh, 1], 0.0)
    return np.concatenate([(left_top + right_bottom) / 2 / size_wh, (right_bottom - left_top) / size_wh, seen.ravel()])


def inside(person: Person, size_wh: Floats) -> Any:
    """(K,) which labelled keypoints lie in the image; YOLO refuses images with others."""
    places = person.keypoints[:, :2]
    return (person.keypoints[:, 2] > 0) & (places >= 0).all(-1) & (places <= size_wh).all(-1)


def _result(person: Person, size_wh: Floats) -> Floats:
    seen = np.column_stack([person.keypoints[:, :2] / size_wh, person.keypoint_sureness])
    centre = person.box_xywh[:2] + person.box_xywh[2:] / 2
    return np.concatenate([centre / size_wh, person.box_xywh[2:] / size_wh, seen.ravel(), [person.sureness]])
