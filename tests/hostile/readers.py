"""The real readers, by the names that cases call them: each is given a path and a folder that it may write to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from tests.hostile.results import TRACKS, TRUTH

from rsgnet.annotations.checks import check_set
from rsgnet.annotations.masks import read_segmentations, segmentation_mask
from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import RSGNetError
from rsgnet.evaluation import exchange
from rsgnet.evaluation.found_people import read_found_people
from rsgnet.evaluation.results import read_box_results, read_keypoint_results
from rsgnet.evaluation.tracking import read_clips
from rsgnet.images import MAX_PIXELS, decode_image, grey_thumbnail, image_size, read_image
from rsgnet.inference.detectors.box_file import FileBoxes
from rsgnet.inference.runtime.backends import OnnxBackend
from rsgnet.inference.sources import read_photo
from rsgnet.inference.video.reader import open_clip
from rsgnet.skeletons import read_skeleton

Errors = list[RSGNetError]
Reader = Callable[[Path, Path], Errors]
_MOST_FRAMES = 300
_SMALL_PX = 64 * 48


@contextmanager
def _kept(errors: Errors) -> Iterator[None]:
    """Keeps an error of the kind that users are promised; any other goes on."""
    try:
        yield
    except RSGNetError as error:
        errors.append(error)


def image(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _kept(errors):
        read_image(path)
    with _kept(errors):
        image_size(path)
    with _kept(errors):
        grey_thumbnail(path, (9, 9))
    if path.is_file() and path.stat().st_size < 1 << 30:
        with _kept(errors):
            decode_image(path.read_bytes(), path.name)
    return errors


def clip(path: Path, out: Path, max_pixels: int = MAX_PIXELS) -> Errors:
    errors: Errors = []
    with _kept(errors), open_clip(path, max_pixels=max_pixels) as opened:
        for _ in islice(opened, _MOST_FRAMES):
            pass
        if opened.trouble is not None:
            errors.append(opened.trouble)
    return errors


def small_clip(path: Path, out: Path) -> Errors:
    return clip(path, out, _SMALL_PX)


def labels(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _kept(errors):
        read_annotations(path)
    with _kept(errors):
        check_set(path, None)
    for form in ("csv", "cvat", "coco-results"):
        with _kept(errors):
            exchange.convert(path, out / form, form)
    with _kept(errors):
        exchange.convert(path, out / "yolo", "yolo")
    with _kept(errors):
        FileBoxes.read(path)
    return errors


def masks(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _kept(errors):
        for segmentation in read_segmentations(path).values():
            segmentation_mask(segmentation, (40, 30))
    return errors


def skeleton(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _kept(errors):
        read_skeleton(path)
    return errors


def results(path: Path, out: Path) -> Errors:
    errors: Errors = []
    truth = read_annotations(path.parent / TRUTH)
    with _kept(errors):
        read_keypoint_results(path, truth)
    with _kept(errors):
        read_box_results(path, truth)
    with _kept(errors):
        read_found_people(path)
    with _kept(errors):
        FileBoxes.read(path)
    with _kept(errors):
        exchange.convert(path, out / "coco.json", "coco")
    return errors


def tracks(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _kept(errors):
        read_clips(path.parent / TRACKS, path)
    return errors


def model(path: Path, out: Path) -> Errors:
    from rsgnet.checkpoint import load_model

    errors: Errors = []
    with _kept(errors):
        load_model(path)
    return errors


def published(path: Path, out: Path) -> Errors:
    from rsgnet.checkpoint import load_released

    errors: Errors = []
    with _kept(errors):
        load_released(path)
    return errors


def onnx(path: Path, out: Path) -> Errors:
    errors: Errors = []
    with _kept(errors):
        OnnxBackend(path, "cpu")
    return errors


def shard(path: Path, out: Path) -> Errors:
    from rsgnet.scaleout.listing import find_pieces
    from rsgnet.scaleout.reading import stored_images

    errors: Errors = []
    with _kept(errors):
        for stored in stored_images(find_pieces([str(path)], 1)):
            photo = read_photo(stored, MAX_PIXELS)
            if isinstance(photo, RSGNetError):
                errors.append(photo)
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


def _spins(path: Path, out: Path) -> Errors:
    while True:
        pass


def _sleeps(path: Path, out: Path) -> Errors:
    time.sleep(10_000)
    return []


def _swallows(path: Path, out: Path) -> Errors:
    return [RSGNetError(f"{path}: {len(bytes(8 << 30))} bytes")]


def _aborts(path: Path, out: Path) -> Errors:
    os.abort()


def _slips(path: Path, out: Path) -> Errors:
    raise KeyError("a")


def _escapes(path: Path, out: Path) -> Errors:
    (out.parent / "escaped").write_text("x")
    return [RSGNetError(f"{path}: no")]


def _runs(path: Path, out: Path) -> Errors:
    os.system("true")
    return [RSGNetError(f"{path}: no")]


def _names_nothing(path: Path, out: Path) -> Errors:
    return [RSGNetError("something is wrong")]


def _takes_it(path: Path, out: Path) -> Errors:
    return []


# Readers that do what none may: what the watch over the others is tried on.
TRAPS: dict[str, Reader] = {
    "spins": _spins,
    "sleeps": _sleeps,
    "swallows": _swallows,
    "aborts": _aborts,
    "slips": _slips,
    "escapes": _escapes,
    "runs": _runs,
    "names nothing": _names_nothing,
    "takes it": _takes_it,
}
