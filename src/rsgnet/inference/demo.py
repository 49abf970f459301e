"""The demonstration: a crowd that is drawn on the spot, and the whole line run on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from PIL import Image

from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.errors import RSGNetError
from rsgnet.files import replacing, write_text
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import Predictions, overlay_names, record_run, write_predictions
from rsgnet.inference.sources import ImageFile, find_images
from rsgnet.poses import Poses

CROWD_FILE, TRUTH_FILE = "crowd.png", "crowd.json"


@dataclass(frozen=True)
class Demo:
    """What the demonstration wrote.

    Attributes:
        predictions: The overlays and results.
        crowd: The crowd that was drawn.
        truth: Its annotations.
        people: How many stand in the crowd.
        found: How many of them the detector found.
    """

    predictions: Predictions
    crowd: Path
    truth: Path
    people: int
    found: int

    @property
    def boxes_given(self) -> bool:
        """Whether the detector found too few, less than half, so that the truth's boxes were used in its place."""
        return 2 * self.found < self.people


def run_demo(
    photos: Sequence[str], out: Path, report: Callable[[ImageFile, Poses | RSGNetError], None], seed: int = 0
) -> Demo:
    """Draws a crowd, runs the shipped weights on it and on any photos, and writes all of it.

    Args:
        photos: Files, folders and patterns, or none.
        out: The folder to write into.
        report: Told of each image once it is written.
        seed: Of the crowd.

    Raises:
        RSGNetError: A folder of photos holds none, or the weights are not installed.
    """
    estimator = PoseEstimator()
    crowd, truth, people = _write_crowd(out, seed)
    files = [crowd, *(find_images(photos, skip=out) if photos else [])]
    overlays = overlay_names(files, out)
    shown = Demo(Predictions(), crowd.path, truth, people, found=len(estimator(crowd.path)))
    first, boxes = estimator, "nano"
    if shown.boxes_given:
        boxes = f"boxes:{truth}"
        first = PoseEstimator(estimator.runner, boxes)
        boxes += ", nano for the photos" if files[1:] else ""
    record = record_run(first, "nano", boxes)
    outcomes = chain(first.stream(files[:1]), estimator.stream(files[1:]))
    return replace(shown, predictions=write_predictions(outcomes, out, overlays, report, record))


def _write_crowd(out: Path, seed: int) -> tuple[ImageFile, Path, int]:
    scene = simulate_crowd(seed)
    annotations: dict[str, Any] = dict(scene.annotations)
    annotations["images"] = [{**image, "file_name": CROWD_FILE} for image in annotations["images"]]
    with replacing(out / CROWD_FILE) as beside:
        Image.fromarray(scene.image).save(beside)
    write_text(out / TRUTH_FILE, json.dumps(annotations))
    return ImageFile(out / CROWD_FILE, CROWD_FILE), out / TRUTH_FILE, len(annotations["annotations"])
