"""The demonstration: a drawn crowd, and the whole pipeline run on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from PIL import Image

from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.defaults import DEFAULT_DETECTOR, DEFAULT_WEIGHTS
from rsgnet.errors import RSGNetError
from rsgnet.files import replace_atomically, write_text
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import Predictions, choose_overlay_paths, record_run, write_predictions
from rsgnet.inference.sources import ImageFile, find_images
from rsgnet.poses import Poses

CROWD_FILE, TRUTH_FILE = "crowd.png", "crowd.json"


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration wrote.

    Attributes:
        predictions: The overlays and results.
        truth: The annotations of the drawn crowd.
        people_drawn: The number of people in the crowd.
        people_detected: How many people the detector found in it, right or not.
        people_posed: How many poses the results of the crowd hold.
    """

    predictions: Predictions
    truth: Path
    people_drawn: int
    people_detected: int
    people_posed: int = 0

    @property
    def uses_true_boxes(self) -> bool:
        """Whether the detector found less than half of the people, so that the true boxes were used in its place."""
        return 2 * self.people_detected < self.people_drawn


def run_demo(
    images: Sequence[str], out: Path, report: Callable[[ImageFile, Poses | RSGNetError], None], seed: int = 0
) -> DemoResult:
    """Draws a crowd, runs the shipped weights on it and on the user's images, and writes the results.

    Args:
        images: Files, folders and patterns, or none.
        out: The folder to write into.
        report: Called with each outcome once it is written.
        seed: Seeds the crowd.

    Raises:
        RSGNetError: A folder holds no image, or the weights are not installed.
    """
    estimator = PoseEstimator()
    crowd, truth, people = _write_crowd(out, seed)
    files = [crowd, *(find_images(images, skip=out) if images else [])]
    overlays = choose_overlay_paths(files, out)
    result = DemoResult(Predictions(), truth, people, people_detected=len(estimator(crowd.path)))
    crowd_estimator, boxes = estimator, DEFAULT_DETECTOR
    if result.uses_true_boxes:
        boxes = f"boxes:{truth}"
        crowd_estimator = PoseEstimator(estimator.network, boxes)
        boxes += f", {DEFAULT_DETECTOR} for the photos" if files[1:] else ""
    record = record_run(crowd_estimator, DEFAULT_WEIGHTS, boxes)
    outcomes = chain(crowd_estimator.stream(files[:1]), estimator.stream(files[1:]))
    predictions = write_predictions(outcomes, out, overlays, report, record)
    posed = sum(entry["file_name"] == CROWD_FILE for entry in predictions.results)
    return replace(result, predictions=predictions, people_posed=posed)


def _write_crowd(out: Path, seed: int) -> tuple[ImageFile, Path, int]:
    """Draws a crowd; returns its image, its annotations and the number of people."""
    scene = simulate_crowd(seed)
    annotations: dict[str, Any] = dict(scene.annotations)
    annotations["images"] = [{**image, "file_name": CROWD_FILE} for image in annotations["images"]]
    with replace_atomically(out / CROWD_FILE) as beside:
        Image.fromarray(scene.image).save(beside)
    write_text(out / TRUTH_FILE, json.dumps(annotations))
    return ImageFile(out / CROWD_FILE, CROWD_FILE), out / TRUTH_FILE, len(annotations["annotations"])
