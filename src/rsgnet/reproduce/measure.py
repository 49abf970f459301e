"""Measures the networks of the paper's tables, and given results; networks, boxes and poses that exist are reused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from rsgnet.annotations.catalog import DataSetFiles, find_data_set
from rsgnet.annotations.people import Annotations
from rsgnet.annotations.readers import read_annotations
from rsgnet.checkpoint import build
from rsgnet.config import PoseConfig
from rsgnet.config_files import WEIGHTS_FILE, with_settings
from rsgnet.errors import RSGNetError
from rsgnet.evaluation.average_precision import evaluate_keypoints
from rsgnet.evaluation.submission import write_submission
from rsgnet.files import compute_sha256, write_text
from rsgnet.inference.dataset_inference import detect_dataset, open_dataset_boxes, predict_dataset
from rsgnet.inference.detectors.box_file import BoxFileDetector
from rsgnet.inference.detectors.open_detector import open_detector
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import RESULTS_FILE, RUN_FILE, read_run_record, record_run, write_predictions
from rsgnet.model.cost import Cost, count_cost
from rsgnet.presets import preset_named
from rsgnet.reproduce.given_results import GivenResults
from rsgnet.reproduce.tables import Block, DataSetName, Row, Table
from rsgnet.training.checkpoints import find_intact_checkpoint
from rsgnet.training.run import MODEL_DIRECTORY, train

_TRAINING_SETS: dict[DataSetName, str] = {
    "crowdpose:test": "crowdpose:trainval",
    "coco:val2017": "coco:train2017",
    "coco:test-dev2017": "coco:train2017",
}
SERVER_METRICS = "server.json"  # the metrics that COCO's server returned for a submission, by our names


@dataclass(frozen=True)
class Reproduction:
    """The folders of data sets, networks and outputs for the paper's tables, and the options for missing networks.

    Attributes:
        data: The folder of the published data sets.
        runs: The folder of the trained networks, each in `PRESET/model`.
        out: The folder for boxes, poses and metrics.
        boxes: For each data set "gt" (the default), a COCO JSON file or a detector, as `rsgnet predict` takes it.
        train_missing: Whether to train networks whose training is not finished.
        settings: Returns the changes to a preset, `key=value`.
        workers: The number of processes that make training crops.
        log: Called with one line of text for each step.
    """

    data: Path
    runs: Path
    out: Path
    boxes: Mapping[DataSetName, str] = field(default_factory=dict)
    train_missing: bool = False
    settings: Callable[[str], list[str]] = lambda _: []
    workers: int = 4
    log: Callable[[str], None] = lambda _: None

    def model_directory(self, preset: str) -> Path:
        """Returns the model directory of a preset's network."""
        return self.runs / preset / MODEL_DIRECTORY


def measure_block(
    block: Block, reproduction: Reproduction, given: Sequence[GivenResults] = ()
) -> dict[str, dict[str, float]]:
    """Measures each row of a block: a preset's size always, its metrics if its network is trained or results are given.

    Args:
        block: The block.
        reproduction: Folders and options.
        given: Results of other systems, which are measured instead of a network; those on other data are ignored.

    Returns:
        By the row's name and column; precision in 0..1.

    Raises:
        RSGNetError: The data set is missing, has no boxes to use, or does not fit the given results.
    """
    presets = [row.preset for row in block.rows if row.preset is not None]
    measured = {preset: measure_sizes(preset) for preset in presets if "parameters" in block.columns}
    for each in given:
        if each.data == block.data:
            files = find_data_set(reproduction.data, block.data)
            out = reproduction.out / each.folder / block.data.replace(":", "-")
            metrics = _measure_results(each.path, read_annotations(files.annotations), files, out, reproduction)
            measured[each.row.name] = measured.get(each.row.name, {}) | metrics
    with_results = {each.row.name for each in given if each.data == block.data}
    for preset in [each for each in presets if each not in with_results]:
        if reproduction.train_missing:
            _train_if_missing(preset, block.data, reproduction)
        if (reproduction.model_directory(preset) / WEIGHTS_FILE).is_file():
            measured[preset] = measured.get(preset, {}) | _measure_network(preset, block.data, reproduction)
    return measured


def untrained_rows(block: Block, reproduction: Reproduction) -> list[Row]:
    """Returns the rows whose network is not trained."""
    return [
        row
        for row in block.rows
        if row.preset and not (reproduction.model_directory(row.preset) / WEIGHTS_FILE).is_file()
    ]


def measure_sizes(preset: str) -> dict[str, float]:
    """Returns parameters in millions and multiply-adds in units of 2^30, as the paper counts them."""
    config = preset_named(preset)
    assert isinstance(config, PoseConfig)
    cost = compute_cost(config)
    return {"parameters": cost.parameters / 1e6, "multiply_adds": cost.paper_gmacs}


def compute_cost(config: PoseConfig) -> Cost:
    """Counts the parameters and multiply-adds of a network without allocating its weights."""
    with torch.device("meta"):
        return count_cost(build(config), config.crop.size_wh)


def _train_if_missing(preset: str, data: DataSetName, reproduction: Reproduction) -> None:
    run = reproduction.runs / preset
    config = with_settings(preset_named(preset), reproduction.settings(preset))
    if is_trained(run, config.training.epochs):
        return
    reproduction.log(f"training {preset} -> {run}")
    files = find_data_set(reproduction.data, _TRAINING_SETS[data])
    sources = [f"{files.annotations}:{files.images}"]
    train(config, sources, run, resume=True, workers=reproduction.workers, progress=False)


def _measure_network(preset: str, data: DataSetName, reproduction: Reproduction) -> dict[str, float]:
    """Predicts poses, unless they exist for these weights and boxes, and returns their metrics."""
    model, out = reproduction.model_directory(preset), reproduction.out / preset / data.replace(":", "-")
    files = find_data_set(reproduction.data, data)
    truth = read_annotations(files.annotations)
    boxes = reproduction.boxes.get(data, "gt")
    if not has_poses(out, model, boxes):
        reproduction.log(f"{model}: poses on {data}, boxes {boxes}")
        boxes_source = _find_boxes(boxes, truth, files, reproduction)
        predict_poses(out, model, truth, files.images, boxes, boxes_source)
    return _measure_results(out / RESULTS_FILE, truth, files, out, reproduction)


def _measure_results(
    results: Path, truth: Annotations, files: DataSetFiles, out: Path, reproduction: Reproduction
) -> dict[str, float]:
    """Returns the metrics of results; without labels the server's, for which a submission is written first."""
    if any(image.people for image in truth.images):
        metrics = evaluate_keypoints(files.annotations, results)
        write_text(out / "metrics.json", json.dumps(metrics, indent=2))
        return metrics
    server_metrics = out / SERVER_METRICS
    if server_metrics.is_file():
        returned: dict[str, float] = json.loads(server_metrics.read_bytes())
        return returned
    submission = write_submission(results, files.annotations, out)
    reproduction.log(f"{submission}: submit it, write the server's metrics to {server_metrics}, and collect again")
    return {}


def _find_boxes(boxes: str, truth: Annotations, files: DataSetFiles, reproduction: Reproduction) -> str:
    """Returns "gt" or a file of boxes; a detector's boxes are found once for all rows of a table."""
    if boxes == "gt" and not any(image.people for image in truth.images):
        raise RSGNetError(f"{files.annotations}: has no boxes of its own; name a detector or a file with --boxes")
    if boxes.endswith(".json"):
        _require_same_images(Path(boxes), truth)
    if boxes == "gt" or boxes.endswith(".json"):
        return boxes
    path = reproduction.out / f"boxes-{files.annotations.stem}-{Path(boxes).name}.json"
    if not path.is_file():
        reproduction.log(f"boxes on {files.annotations} by {boxes}")
        detector = open_detector(boxes, threshold=0.05)
        write_text(path, json.dumps(detect_dataset(detector, truth, files.images)))
    return str(path)


def _require_same_images(boxes: Path, truth: Annotations) -> None:
    """Raises where a file of boxes lists an image that the data set does not have by that id and name."""
    names = {image.id: image.file_name for image in truth.images}
    unknown = BoxFileDetector.read(boxes, names).list_unknown_images(names)
    if unknown:
        raise RSGNetError(
            f"{boxes}: lists {len(unknown)} images that {truth.path} does not have by that id and name, the first: "
            f"{unknown[0]}; give each data set boxes of its own: --boxes DATA_SET=FILE"
        )


def parse_boxes(texts: Sequence[str], table: Table) -> dict[DataSetName, str]:
    """Returns the boxes of each data set of a table, "gt" where none are given.

    Args:
        texts: Each `DATA_SET=BOXES`, or `BOXES` for all data sets of the table.
        table: The table.

    Raises:
        RSGNetError: The table has no such data set, a data set is given boxes twice, or one file is given to several.
    """
    data_sets = [block.data for block in table.blocks]
    given: dict[DataSetName, str] = {}
    for text in texts:
        name, equals, boxes = text.partition("=")
        chosen = [data for data in data_sets if data == name] if equals else data_sets
        boxes = boxes if equals else text
        if not chosen:
            raise RSGNetError(f"--boxes {text}: {table.name} has no data set {name!r}; it has {', '.join(data_sets)}")
        if len(chosen) > 1 and boxes.endswith(".json"):
            raise RSGNetError(
                f"--boxes {text}: {table.name} has {len(chosen)} data sets; say whose boxes these are: "
                + ", ".join(f"--boxes {data}=FILE" for data in chosen)
            )
        for data in chosen:
            if data in given:
                raise RSGNetError(f"--boxes {text}: {data} has boxes already: {given[data]}")
            given[data] = boxes
    return {data: given.get(data, "gt") for data in data_sets}


def is_trained(run: Path, epochs: int) -> bool:
    """Returns whether a run's folder holds a network, and no checkpoint of a training with fewer finished epochs."""
    if not (run / MODEL_DIRECTORY / WEIGHTS_FILE).is_file():
        return False
    checkpoint = find_intact_checkpoint(run)
    if checkpoint is None:
        return True
    epochs_done: int = torch.load(checkpoint, weights_only=True, mmap=True)["epoch"] + 1
    return epochs_done >= epochs


def has_poses(
    out: Path, model: Path, boxes: str, flip_test: bool | None = None, boxes_file: Path | None = None
) -> bool:
    """Returns whether a folder holds poses that were predicted with the same weights and boxes.

    Args:
        out: The folder.
        model: The network's model directory.
        boxes: The name of the boxes in the record.
        flip_test: Whether the flip test must have been used; either is accepted where None.
        boxes_file: The file that the boxes must have been read from, unchanged since; any is accepted where None.
    """
    run = read_run_record(out / RESULTS_FILE) if (out / RESULTS_FILE).is_file() else None
    return (
        run is not None
        and run.weights.sha256 == compute_sha256(model / WEIGHTS_FILE)
        and run.boxes.name == boxes
        and flip_test in (None, run.flip_test)
        and (boxes_file is None or run.boxes.sha256 == compute_sha256(boxes_file))
    )


def predict_poses(
    out: Path,
    model: Path,
    truth: Annotations,
    images: Path,
    boxes: str,
    boxes_source: str = "gt",
    flip_test: bool | None = None,
) -> None:
    """Predicts all poses in a data set with PyTorch and writes them to a folder, with a record only if none failed.

    Args:
        out: The folder.
        model: The network's model directory.
        truth: The data set.
        images: The folder of its images.
        boxes: The name of the boxes for the record.
        boxes_source: The boxes, as `open_dataset_boxes` takes them.
        flip_test: Whether to average with the mirrored crops; as the weights say where None.

    Raises:
        RSGNetError: An image cannot be read.
    """
    estimator = PoseEstimator(
        str(model),
        open_dataset_boxes(truth, boxes_source),
        backend="torch",
        flip_test=flip_test,
        skeleton=truth.skeleton,
    )
    record = record_run(estimator, str(model), boxes)
    complete = False
    try:
        outcomes = predict_dataset(estimator, truth, images)
        failed = write_predictions(outcomes, out, None, lambda *_: None, record).errors
        complete = not failed
    finally:
        if not complete:  # has_poses accepts only results with a record
            (out / RUN_FILE).unlink(missing_ok=True)
    if failed:
        raise RSGNetError(f"{len(failed)} images could not be read, the first: {failed[0]}")
