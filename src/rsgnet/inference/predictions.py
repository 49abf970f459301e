"""Writing what the line gives: an overlay for each image, one poses.json for all, and what they came from."""

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
from rsgnet.files import replacing, sha256, write_text
from rsgnet.inference.detectors.boxes import Detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.runtime.network import AnyRunner
from rsgnet.inference.sources import ImageFile
from rsgnet.poses import Poses

_JPEG_LARGEST_SIDE = 65_500
_DRAWN_LATE = 4  # overlays that may wait to be drawn, with their images in memory

Outcome = tuple[ImageFile, Poses | RSGNetError]


@dataclass
class Predictions:
    """What was written.

    Attributes:
        results: One COCO keypoint result a person.
        images: How many images were done.
        errors: What kept the others from being done.
        overlays: The images that were drawn.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    errors: list[RSGNetError] = field(default_factory=list)
    overlays: list[Path] = field(default_factory=list)


def overlay_names(files: Sequence[ImageFile], out: Path) -> dict[ImageFile, Path]:
    """A name of its own below `out` for the overlay of each image: its folder and stem, and .jpg; of clips .mp4.

    Where two images differ in their suffix only, each keeps it: a.png.jpg. Nothing is told apart by case alone.

    Raises:
        RSGNetError: An overlay would replace one of the images.
    """
    names: dict[ImageFile, Path] = {}
    taken: set[str] = set()
    stems = Counter(_stem(file) for file in files)
    for file in files:
        relative = _relative(file)
        name = relative.name if stems[_stem(file)] > 1 else relative.stem
        suffix = ".mp4" if file.is_clip else ".jpg"
        path, count = relative.with_name(name + suffix), 1
        while str(path).casefold() in taken:
            count += 1
            path = relative.with_name(f"{name}-{count}{suffix}")
        taken.add(str(path).casefold())
        names[file] = out / path
    targets = {path.resolve() for path in names.values()}
    targets |= {path.with_suffix(".mkv") for path in targets if path.suffix == ".mp4"}  # as some sound asks for
    overwritten = {file.path.resolve() for file in files} & targets
    if overwritten:
        raise RSGNetError(f"--out {out}: would overwrite {min(overwritten)}; choose another folder")
    return names


def write_predictions(
    outcomes: Iterable[Outcome],
    out: Path,
    overlays: dict[ImageFile, Path] | None,
    report: Callable[[ImageFile, Poses | RSGNetError], None],
    record: RunRecord,
    rivals: bool = False,
) -> Predictions:
    """Draws and writes outcomes as they come, and draws while the next are made.

    poses.json holds all of them even if the run is broken off.

    Args:
        outcomes: Images with their poses or errors, as `PoseEstimator.stream` yields them.
        out: The folder to write into.
        overlays: Where each image's overlay goes, None to draw none.
        report: Told of each outcome once it is written.
        record: What the poses come from; written to run.json.
        rivals: Whether overlays show who else may own contested keypoints.
    """
    done, waiting = Predictions(), deque[_Told]()

    def finish() -> None:
        told = waiting.popleft()
        if told.overlay is not None:
            done.overlays.append(told.overlay.result())
        report(told.file, told.outcome)

    with ThreadPoolExecutor(1, thread_name_prefix="rsgnet-draw") as drawing:
        try:
            for file, outcome in outcomes:
                overlay = None
                if isinstance(outcome, RSGNetError):
                    done.errors.append(outcome)
                else:
                    done.results += outcome.to_coco()
                    done.images += 1
                    if overlays is not None:
                        overlay = drawing.submit(_write_overlay, outcome, overlays[file], rivals)
                waiting.append(_Told(file, outcome, overlay))
                while waiting and (len(waiting) > _DRAWN_LATE or waiting[0].is_done):
                    finish()
            while waiting:
                finish()
        finally:
            write_text(out / RUN_FILE, to_json(record))
            write_text(out / RESULTS_FILE, json.dumps(done.results))
    return done


@dataclass(frozen=True, eq=False)
class _Told:
    """An outcome, and the overlay that is drawn of it while the next are made."""

    file: ImageFile
    outcome: Poses | RSGNetError
    overlay: Future[Path] | None

    @property
    def is_done(self) -> bool:
        return self.overlay is None or self.overlay.done()


def _relative(file: ImageFile) -> PurePosixPath:
    parts = [part for part in PurePosixPath(file.file_name).parts if part not in ("/", "..", ".")]
    return PurePosixPath(*parts)


def _stem(file: ImageFile) -> str:
    return str(_relative(file).with_suffix("")).casefold()


def _write_overlay(poses: Poses, path: Path, rivals: bool) -> Path:
    if max(poses.size_wh) > _JPEG_LARGEST_SIDE:
        path = path.with_suffix(".png")
    with replacing(path) as beside:
        poses.draw(rivals=rivals).save(beside, quality=90)
    return path


RESULTS_FILE, RUN_FILE = "poses.json", "run.json"


@dataclass(frozen=True)
class Origin:
    """What was used.

    Attributes:
        name: As they were asked for: "nano", "gt", "boxes:val.json", "runs/r101/model".
        sha256: Of the file they were read from; None where there is none, or where torchvision keeps it.
    """

    name: str
    sha256: str | None


@dataclass(frozen=True)
class BoxesOrigin(Origin):
    """Whose boxes were used.

    Attributes:
        threshold: Boxes that the detector scored less were left out; None for what is no detector.
    """

    threshold: float | None


@dataclass(frozen=True)
class RunRecord:
    """One run of the line.

    Attributes:
        rsgnet: The version of this package.
        weights: Of the pose network.
        boxes: The detector, or the file of boxes.
        skeleton: The name of the keypoints that came out.
        flip_test: Whether heatmaps were averaged with those of the mirrored crop.
        backend: The library that ran the pose network; "" for a runner of one's own.
        precision: What it reckoned in; "" likewise.
    """

    rsgnet: str
    weights: Origin
    boxes: BoxesOrigin
    skeleton: str
    flip_test: bool
    backend: str = ""
    precision: str = ""


def record_run(estimator: PoseEstimator, weights: str, boxes: str, detector: Detector | None = None) -> RunRecord:
    """Records what an estimator runs with.

    Runners and detectors say by `path` and `threshold` which file they come from and what they leave out, where they
    have these.

    Args:
        estimator: What finds the poses.
        weights: What its weights were asked for by.
        boxes: What its boxes were asked for by.
        detector: What found the boxes, where the estimator itself reads them from a file.
    """
    found_by = detector or estimator.detector
    return RunRecord(
        version("rsgnet"),
        Origin(weights, _sha256(estimator.runner)),
        BoxesOrigin(boxes, _sha256(found_by), getattr(found_by, "threshold", None)),
        estimator.skeleton.name,
        estimator.flip_test,
        estimator.backend,
        estimator.precision,
    )


def run_beside(results: Path) -> RunRecord | None:
    """The record beside a poses.json of this package, None where there is none.

    Raises:
        RSGNetError: It is broken.
    """
    path = results.with_name(RUN_FILE)
    if results.name != RESULTS_FILE or not path.is_file():
        return None
    return from_json(RunRecord, path.read_bytes(), str(path))


def _sha256(used: AnyRunner | Detector) -> str | None:
    path: Path | None = getattr(used, "path", None)
    if path is None:
        return None
    return sha256(path.with_suffix(".bin") if path.suffix == ".xml" else path)  # of OpenVINO's two, the weights
