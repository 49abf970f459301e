"""What an earlier run left and need not be done again: a trained network, the poses that it found."""

from __future__ import annotations

from pathlib import Path

import torch

from rsgnet.data.annotations import Annotations
from rsgnet.errors import RSGNetError
from rsgnet.files import sha256
from rsgnet.inference.annotated import boxes_for, predict_annotated
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import write_predictions
from rsgnet.inference.run_record import RESULTS_FILE, RUN_FILE, record_run, run_beside
from rsgnet.model_files import WEIGHTS_FILE
from rsgnet.training.checkpoints import whole_checkpoint
from rsgnet.training.run import MODEL_DIRECTORY


def is_trained(run: Path, epochs: int) -> bool:
    """Whether a run left a network, and no checkpoint that tells of fewer epochs."""
    if not (run / MODEL_DIRECTORY / WEIGHTS_FILE).is_file():
        return False
    checkpoint = whole_checkpoint(run)
    if checkpoint is None:
        return True
    epochs_done: int = torch.load(checkpoint, weights_only=True, mmap=True)["epoch"] + 1
    return epochs_done >= epochs


def has_poses(
    out: Path, model: Path, boxes: str, flip_test: bool | None = None, boxes_file: Path | None = None
) -> bool:
    """Whether a folder holds the poses of these very weights.

    Args:
        out: The folder.
        model: The network's model directory.
        boxes: What the boxes were asked for by.
        flip_test: Whether heatmaps were to be averaged with the mirrored crop's; either will do where None.
        boxes_file: The file that the boxes had to be read from as it is now; any will do where None.
    """
    run = run_beside(out / RESULTS_FILE) if (out / RESULTS_FILE).is_file() else None
    return (
        run is not None
        and run.weights.sha256 == sha256(model / WEIGHTS_FILE)
        and run.boxes.name == boxes
        and flip_test in (None, run.flip_test)
        and (boxes_file is None or run.boxes.sha256 == sha256(boxes_file))
    )


def find_poses(
    out: Path,
    model: Path,
    truth: Annotations,
    images: Path,
    boxes: str,
    boxes_file: str = "gt",
    flip_test: bool | None = None,
) -> None:
    """Finds everyone's poses in a data set with PyTorch and writes them to a folder, all or none.

    Args:
        out: The folder.
        model: The network's model directory.
        truth: The data set.
        images: The folder of its images.
        boxes: What the boxes are asked for by, to be recorded.
        boxes_file: The boxes, as `boxes_for` takes them.
        flip_test: Whether heatmaps are averaged with the mirrored crop's; as the weights say where None.

    Raises:
        RSGNetError: An image cannot be read.
    """
    estimator = PoseEstimator(
        str(model), boxes_for(truth, boxes_file), backend="torch", flip_test=flip_test, skeleton=truth.skeleton
    )
    record = record_run(estimator, str(model), boxes)
    complete = False
    try:
        outcomes = predict_annotated(estimator, truth, images)
        failed = write_predictions(outcomes, out, None, lambda *_: None, record).errors
        complete = not failed
    finally:
        if not complete:  # without its record nobody takes a part for the whole
            (out / RUN_FILE).unlink(missing_ok=True)
    if failed:
        raise RSGNetError(f"{len(failed)} images could not be read, the first: {failed[0]}")
