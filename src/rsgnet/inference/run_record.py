"""What poses came from, for the `run.json` beside them: the weights, the boxes, and how both were used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rsgnet.files import sha256
from rsgnet.inference.detector import Detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.runner import AnyRunner
from rsgnet.settings import from_json

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
