"""Runs what a table needs, or collects what earlier runs left: networks, boxes, poses, figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from rsgnet.checkpoint import build
from rsgnet.config import PoseConfig
from rsgnet.data.annotations import Annotations, read_annotations
from rsgnet.data.catalog import DataSetFiles, find_data_set
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.submission import write_submission
from rsgnet.files import write_text
from rsgnet.inference.annotated import detect_annotated
from rsgnet.inference.detector import open_detector
from rsgnet.inference.run_record import RESULTS_FILE
from rsgnet.model.cost import cost_of
from rsgnet.model_files import WEIGHTS_FILE
from rsgnet.presets import preset_named
from rsgnet.reproduce.runs import find_poses, has_poses, is_trained
from rsgnet.reproduce.tables import Block, DataSetName, Row
from rsgnet.settings import with_settings
from rsgnet.training.run import MODEL_DIRECTORY, train

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
