"""What an earlier run left and need not be done again: a trained network, the poses that it found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from rsgnet.annotations.catalog import DataSetFiles, find_data_set
from rsgnet.annotations.readers import Annotations, read_annotations
from rsgnet.checkpoint import build
from rsgnet.config import PoseConfig
from rsgnet.config_files import WEIGHTS_FILE, with_settings
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.exchange import write_submission
from rsgnet.files import sha256, write_text
from rsgnet.inference.annotated import boxes_for, detect_annotated, predict_annotated
from rsgnet.inference.detectors.detector import open_detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import RESULTS_FILE, RUN_FILE, record_run, run_beside, write_predictions
from rsgnet.model.cost import cost_of
from rsgnet.presets import preset_named
from rsgnet.reproduce.tables import Block, DataSetName, Row
from rsgnet.training.checkpoints import whole_checkpoint
from rsgnet.training.run import MODEL_DIRECTORY, train


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


_TRAINED_ON = {
    "crowdpose:test": "crowdpose:trainval",
    "coco:val2017": "coco:train2017",
    "coco:test-dev2017": "coco:train2017",
}
SERVER_FIGURES = "server.json"  # what COCO's server answered to a submission, as a dict of our names


@dataclass(frozen=True)
class Workplace:
    """Where a table's parts lie, and how those that are missing are made.

    Attributes:
        data: The folder of the published data sets.
        runs: The folder whose `PRESET/model` are the trained networks.
        out: Where boxes, poses and figures go.
        boxes: For each data set "gt", a COCO JSON file or a detector, as `rsgnet predict` takes it; "gt" if it is none.
        train_missing: Whether networks that were not trained yet are trained, or those begun gone on with.
        settings: Changes to each preset, `key=value`.
        workers: Processes that cut crops in training.
        tell: Told in a line what is being done.
    """

    data: Path
    runs: Path
    out: Path
    boxes: Mapping[DataSetName, str] = field(default_factory=dict)
    train_missing: bool = False
    settings: Callable[[str], list[str]] = lambda _: []
    workers: int = 4
    tell: Callable[[str], None] = lambda _: None


def measure(block: Block, place: Workplace) -> dict[str, dict[str, float]]:
    """The figures of each preset of a block: sizes always, precision of those that are trained.

    Returns:
        By preset and column; precision as a share of 1.

    Raises:
        RSGNetError: The data set is not there, or has no boxes to use.
    """
    presets = [row.preset for row in block.rows if row.preset is not None]
    figures = {preset: sizes(preset) for preset in presets if "parameters" in block.columns}
    for preset in presets:
        model = _network(preset, block.data, place)
        if model is not None:
            precision = _precision(model, place.out / preset / block.data.replace(":", "-"), block.data, place)
            figures[preset] = figures.get(preset, {}) | precision
    return figures


def untrained(block: Block, place: Workplace) -> list[Row]:
    """The rows whose network is not trained yet."""
    return [row for row in block.rows if row.preset and not (_model_of(row.preset, place) / WEIGHTS_FILE).is_file()]


def sizes(preset: str) -> dict[str, float]:
    """Parameters in millions and multiply-adds in units of 2^30, as the paper counts them."""
    config = preset_named(preset)
    assert isinstance(config, PoseConfig)
    with torch.device("meta"):
        cost = cost_of(build(config), config.crop.size_wh)
    return {"parameters": cost.parameters / 1e6, "multiply_adds": cost.paper_gmacs}


def _network(preset: str, data: DataSetName, place: Workplace) -> Path | None:
    model, run = _model_of(preset, place), place.runs / preset
    if place.train_missing and not _is_trained(preset, place):
        place.tell(f"training {preset} -> {run}")
        files = find_data_set(place.data, _TRAINED_ON[data])
        train(
            preset, place.settings(preset), [f"{files.annotations}:{files.images}"], run,
            resume=True, workers=place.workers, progress=False,
        )  # fmt: skip
    return model if (model / WEIGHTS_FILE).is_file() else None


def _is_trained(preset: str, place: Workplace) -> bool:
    config = with_settings(preset_named(preset), place.settings(preset))
    return is_trained(place.runs / preset, config.training.epochs)


def _model_of(preset: str, place: Workplace) -> Path:
    return place.runs / preset / MODEL_DIRECTORY


def _precision(model: Path, out: Path, data: DataSetName, place: Workplace) -> dict[str, float]:
    """Finds poses unless they were found already with these weights and boxes, and measures them."""
    files = find_data_set(place.data, data)
    truth = read_annotations(files.annotations)
    boxes = place.boxes.get(data, "gt")
    if not has_poses(out, model, boxes):
        place.tell(f"{model}: poses on {data}, boxes {boxes}")
        find_poses(out, model, truth, files.images, boxes, _boxes_file(boxes, truth, files, place))
    if any(image.people for image in truth.images):
        figures = evaluate_keypoints(files.annotations, out / RESULTS_FILE)
        write_text(out / "metrics.json", json.dumps(figures, indent=2))
        return figures
    answered = out / SERVER_FIGURES
    if answered.is_file():
        server: dict[str, float] = json.loads(answered.read_bytes())
        return server
    submission = write_submission(out / RESULTS_FILE, files.annotations, out)
    place.tell(f"{submission}: submit it, write the server's figures to {answered}, and collect again")
    return {}


def _boxes_file(boxes: str, truth: Annotations, files: DataSetFiles, place: Workplace) -> str:
    """ "gt", or a file of boxes: the given, or what the detector found, once for all rows."""
    if boxes == "gt" or boxes.endswith(".json"):
        if boxes == "gt" and not any(image.people for image in truth.images):
            raise RSGNetError(f"{files.annotations}: has no boxes of its own; name a detector or a file with --boxes")
        return boxes
    found = place.out / f"boxes-{files.annotations.stem}-{Path(boxes).name}.json"
    if not found.is_file():
        place.tell(f"boxes on {files.annotations} by {boxes}")
        detector = open_detector(boxes, threshold=0.05)
        write_text(found, json.dumps(detect_annotated(detector, truth, files.images)))
    return str(found)
