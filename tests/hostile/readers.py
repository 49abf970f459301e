"""The readers of the package by the names in cases. Each takes a path and a folder that it may write to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from tests.hostile.results import TRACKS, TRUTH

from rsgnet.annotations.checks import check_data_set
from rsgnet.annotations.masks import decode_segmentation, read_segmentations
from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import RSGNetError
from rsgnet.evaluation import conversion
from rsgnet.evaluation.predicted_people import read_predicted_people
from rsgnet.evaluation.results import read_box_results, read_keypoint_results
from rsgnet.evaluation.tracking_metrics import read_clips
from rsgnet.images import MAX_PIXELS, decode_image, read_grey_thumbnail, read_image, read_image_size
from rsgnet.inference.detectors.box_file import BoxFileDetector
from rsgnet.inference.runtime.backends import OnnxBackend
from rsgnet.inference.sources import load_image
from rsgnet.inference.video.reader import open_clip
from rsgnet.skeletons import read_skeleton

Errors = list[RSGNetError]
Reader = Callable[[Path, Path], Errors]
_MAX_FRAMES = 300
_SMALL_PX = 64 * 48


@contextmanager
def _collect(errors: Errors) -> Iterator[None]:
    """Collects a `RSGNetError`; readers must raise no other."""
    try:
        yield
    except RSGNetError as error:
        errors.append(error.forget_frames())  # which would hold the list of errors, and so themselves


def image(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _collect(errors):
        read_image(path)
    with _collect(errors):
        read_image_size(path)
    with _collect(errors):
        read_grey_thumbnail(path, (9, 9))
    if path.is_file() and path.stat().st_size < 1 << 30:
        with _collect(errors):
            decode_image(path.read_bytes(), path.name)
    return errors


def clip(path: Path, out: Path, max_pixels: int = MAX_PIXELS) -> Errors:
    errors: Errors = []
    with _collect(errors), open_clip(path, max_pixels=max_pixels) as opened:
        for _ in islice(opened, _MAX_FRAMES):
            pass
        if opened.error is not None:
            errors.append(opened.error)
    return errors


def small_clip(path: Path, out: Path) -> Errors:
    return clip(path, out, _SMALL_PX)


def labels(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _collect(errors):
        read_annotations(path)
    with _collect(errors):
        check_data_set(path, None)
    for form in ("csv", "cvat", "coco-results"):
        with _collect(errors):
            conversion.convert(path, out / form, form)
    with _collect(errors):
        conversion.convert(path, out / "yolo", "yolo")
    with _collect(errors):
        BoxFileDetector.read(path)
    return errors


def masks(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _collect(errors):
        for segmentation in read_segmentations(path).values():
            decode_segmentation(segmentation, (40, 30))
    return errors


def skeleton(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _collect(errors):
        read_skeleton(path)
    return errors


def results(path: Path, out: Path) -> Errors:
    errors: Errors = []
    truth = read_annotations(path.parent / TRUTH)
    with _collect(errors):
        read_keypoint_results(path, truth)
    with _collect(errors):
        read_box_results(path, truth)
    with _collect(errors):
        read_predicted_people(path)
    with _collect(errors):
        BoxFileDetector.read(path)
    with _collect(errors):
        conversion.convert(path, out / "coco.json", "coco")
    return errors


def tracks(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _collect(errors):
        read_clips(path.parent / TRACKS, path)
    return errors


def model(path: Path, out: Path) -> Errors:
    from rsgnet.checkpoint import load_model

    errors: Errors = []
    with _collect(errors):
        load_model(path)
    return errors


def published(path: Path, out: Path) -> Errors:
    from rsgnet.checkpoint import load_released

    errors: Errors = []
    with _collect(errors):
        load_released(path)
    return errors


def onnx(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _collect(errors):
        OnnxBackend(path, "cpu")
    return errors


def shard(path: Path, out: Path) -> Errors:
    from rsgnet.scaleout.image_reading import iterate_images
    from rsgnet.scaleout.inputs import list_inputs

    errors: Errors = []
    with _collect(errors):
        for reference in iterate_images(list_inputs([str(path)], 1)):
            loaded = load_image(reference, MAX_PIXELS)
            if isinstance(loaded, RSGNetError):
                errors.append(loaded)
    return errors


READERS: dict[str, Reader] = {
    "image": image,
    "clip": clip,
    "small clip": small_clip,
    "labels": labels,
    "masks": masks,
    "skeleton": skeleton,
    "results": results,
    "tracks": tracks,
    "model": model,
    "published": published,
    "onnx": onnx,
    "shard": shard,
}


def _spin(path: Path, out: Path) -> Errors:
    while True:
        pass


def _sleep(path: Path, out: Path) -> Errors:
    time.sleep(10_000)
    return []


def _allocate(path: Path, out: Path) -> Errors:
    return [RSGNetError(f"{path}: {len(bytes(8 << 30))} bytes")]


def _abort(path: Path, out: Path) -> Errors:
    os.abort()


def _raise_key_error(path: Path, out: Path) -> Errors:
    raise KeyError("a")


def _write_elsewhere(path: Path, out: Path) -> Errors:
    (out.parent / "escaped").write_text("x")
    return [RSGNetError(f"{path}: no")]


def _start_program(path: Path, out: Path) -> Errors:
    os.system("true")
    return [RSGNetError(f"{path}: no")]


def _name_no_file(path: Path, out: Path) -> Errors:
    return [RSGNetError("something is wrong")]


def _accept(path: Path, out: Path) -> Errors:
    return []


# Readers that are faulty on purpose, to test that their violations are found.
FAULTY_READERS: dict[str, Reader] = {
    "spins": _spin,
    "sleeps": _sleep,
    "allocates": _allocate,
    "aborts": _abort,
    "raises another error": _raise_key_error,
    "writes elsewhere": _write_elsewhere,
    "starts a program": _start_program,
    "names no file": _name_no_file,
    "accepts everything": _accept,
}
