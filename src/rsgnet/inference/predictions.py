"""Writing what the pipeline predicts.

An overlay for each image; poses.json, a COCO results list; images.json, a COCO file that lists the images, which COCO's
tools need beside it; and run.json, which says what the run used.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from rsgnet.config_files import from_json, to_json
from rsgnet.errors import RSGNetError
from rsgnet.files import compute_sha256, get_partial_path, replace_atomically, write_text
from rsgnet.inference.detectors.detector import Detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.image_list import list_image, make_image_list, number_images
from rsgnet.inference.sources import ImageFile
from rsgnet.overlays import OverlayStyle
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17

RESULTS_FILE, IMAGES_FILE, RUN_FILE = "poses.json", "images.json", "run.json"
_LARGEST_JPEG_SIDE_PX = 65_500
_MAX_PENDING_OVERLAYS = 4  # overlays that may wait to be drawn, with their images in memory

Outcome = tuple[ImageFile, Poses | RSGNetError]


@dataclass(frozen=True)
class Origin:
    """The weights or boxes that a run used.

    Attributes:
        name: The name by which the user asked for them: "nano", "gt", "boxes:val.json", "runs/r101/model".
        sha256: The digest of their file; None where there is none, or where torchvision keeps it.
    """

    name: str
    sha256: str | None


@dataclass(frozen=True)
class BoxesOrigin(Origin):
    """The boxes that a run used.

    Attributes:
        threshold: The score below which the detector dropped boxes; None for a detector without one.
    """

    threshold: float | None


@dataclass(frozen=True)
class RunRecord:
    """What one run of the pipeline used.

    Attributes:
        rsgnet: The version of this package.
        weights: The weights of the pose network.
        boxes: The detector, or the file of boxes.
        skeleton: The name of the skeleton of the results.
        flip_test: Whether outputs were averaged with those of the mirrored crops.
        backend: The library that ran the pose network; "" for a network of the user's own.
        precision: Its arithmetic; "" likewise.
    """

    rsgnet: str
    weights: Origin
    boxes: BoxesOrigin
    skeleton: str
    flip_test: bool
    backend: str = ""
    precision: str = ""


@dataclass
class Predictions:
    """What was written.

    Attributes:
        results: One COCO keypoint result for each person.
        images: The number of images that were processed.
        listed: The COCO entry of each of these images.
        errors: The errors of the other images.
        overlays: The images that were drawn.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    listed: list[dict[str, Any]] = field(default_factory=list)
    errors: list[RSGNetError] = field(default_factory=list)
    overlays: list[Path] = field(default_factory=list)


def record_run(estimator: PoseEstimator, weights: str, boxes: str, detector: Detector | None = None) -> RunRecord:
    """Records what an estimator runs with.

    Args:
        estimator: The estimator.
        weights: The name by which the user asked for its weights.
        boxes: The name by which the user asked for its boxes.
        detector: The detector that found the boxes, where the estimator reads them from a file.
    """
    detector = detector or estimator.detector
    return RunRecord(
        version("rsgnet"),
        Origin(weights, _digest(estimator.network.path)),
        BoxesOrigin(boxes, _digest(detector.path), detector.threshold),
        estimator.skeleton.name,
        estimator.flip_test,
        estimator.backend,
        estimator.precision,
    )


def _digest(path: Path | None) -> str | None:
    if path is None:
        return None
    # OpenVINO keeps the weights in the .bin file beside the .xml file.
    return compute_sha256(path.with_suffix(".bin") if path.suffix == ".xml" else path)


def read_run_record(results: str | Path) -> RunRecord | None:
    """Reads the record beside a poses.json of this package; returns None where there is none.

    Raises:
        RSGNetError: The record is broken.
    """
    results = Path(results)
    path = results.with_name(RUN_FILE)
    if results.name != RESULTS_FILE or not path.is_file():
        return None
    return from_json(RunRecord, path.read_bytes(), str(path))


def choose_overlay_paths(files: Sequence[ImageFile], out: Path) -> dict[ImageFile, Path]:
    """Chooses a path of its own below `out` for the overlay of each image: its folder, stem and .jpg; .mp4 for a clip.

    Images that differ only in their suffix keep it: a.png.jpg. No two paths differ only in case.

    Raises:
        RSGNetError: An overlay would replace one of the images.
    """
    paths: dict[ImageFile, Path] = {}
    taken: set[str] = set()
    numbers = Counter[str]()  # given to the names that differ only in case, so that none is tried twice
    stems = Counter(_folded_stem(file) for file in files)
    for file in files:
        relative = _path_in_results(file)
        name = relative.name if stems[_folded_stem(file)] > 1 else relative.stem
        suffix = ".mp4" if file.is_clip else ".jpg"
        path = relative.with_name(name + suffix)
        wanted = str(path).casefold()
        while str(path).casefold() in taken:
            numbers[wanted] += 1
            path = relative.with_name(f"{name}-{numbers[wanted] + 1}{suffix}")
        taken.add(str(path).casefold())
        paths[file] = out / path
    targets = {path.resolve() for path in paths.values()}
    targets |= {path.with_suffix(".mkv") for path in targets if path.suffix == ".mp4"}  # as some sound requires
    overwritten = {file.path.resolve() for file in files if not file.url} & targets
    if overwritten:
        raise RSGNetError(f"--out {out}: would overwrite {min(overwritten)}; choose another folder")
    return paths


def _path_in_results(file: ImageFile) -> PurePosixPath:
    parts = [part for part in PurePosixPath(file.file_name).parts if part not in ("/", "..", ".")]
    return PurePosixPath(*parts)


def _folded_stem(file: ImageFile) -> str:
    return str(_path_in_results(file).with_suffix("")).casefold()


@dataclass(frozen=True, eq=False)
class _PendingOutcome:
    """An outcome whose overlay may still be being drawn."""

    file: ImageFile
    outcome: Poses | RSGNetError
    overlay: Future[Path] | None

    @property
    def is_done(self) -> bool:
        return self.overlay is None or self.overlay.done()


def write_predictions(
    outcomes: Iterable[Outcome],
    out: str | Path,
    overlays: dict[ImageFile, Path] | None,
    report: Callable[[ImageFile, Poses | RSGNetError], None],
    record: RunRecord,
    style: OverlayStyle | None = None,
) -> Predictions:
    """Draws and writes outcomes as they come; overlays are drawn while the next outcomes are computed.

    Only a finished run writes poses.json, images.json and run.json; an interrupted one writes poses.partial.json and
    images.partial.json. Each result has an `image_id`.

    Args:
        outcomes: Images with their poses or errors, as `PoseEstimator.stream` yields them.
        out: The folder to write into.
        overlays: The path of each image's overlay, None to draw none.
        report: Called with each outcome once it is written.
        record: What the run uses; written to run.json.
        style: How overlays are drawn; the defaults where None.
    """
    out = Path(out)
    done, pending, is_finished = Predictions(), deque[_PendingOutcome](), False
    results_of: list[list[dict[str, Any]]] = []  # of each of done.listed
    skeleton = COCO17

    def finish_first() -> None:
        first = pending.popleft()
        if first.overlay is not None:
            done.overlays.append(first.overlay.result())
        report(first.file, first.outcome)

    with ThreadPoolExecutor(1, thread_name_prefix="rsgnet-draw") as drawing:
        try:
            for file, outcome in outcomes:
                overlay = None
                if isinstance(outcome, RSGNetError):
                    done.errors.append(outcome)
                else:
                    found = outcome.to_coco()
                    done.results += found
                    done.images += 1
                    done.listed.append(list_image(outcome))
                    results_of.append(found)
                    skeleton = outcome.skeleton
                    if overlays is not None:
                        overlay = drawing.submit(_write_overlay, outcome, overlays[file], style or OverlayStyle())
                pending.append(_PendingOutcome(file, outcome, overlay))
                while pending and (len(pending) > _MAX_PENDING_OVERLAYS or pending[0].is_done):
                    finish_first()
            while pending:
                finish_first()
            is_finished = True
        finally:
            number_images(done.listed, results_of)
            listed = make_image_list(done.listed, skeleton)
            for path, content in ((out / IMAGES_FILE, listed), (out / RESULTS_FILE, done.results)):
                write_text(path if is_finished else get_partial_path(path), json.dumps(content))
        write_text(out / RUN_FILE, to_json(record))
        for name in (IMAGES_FILE, RESULTS_FILE):
            get_partial_path(out / name).unlink(missing_ok=True)
    return done


def _write_overlay(poses: Poses, path: Path, style: OverlayStyle) -> Path:
    if max(poses.size_wh) > _LARGEST_JPEG_SIDE_PX:
        path = path.with_suffix(".png")
    with replace_atomically(path) as beside:
        poses.draw(**vars(style)).save(beside, quality=90)
    return path
