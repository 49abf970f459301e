"""`rsgnet train-detector`: person detectors learnt from people's boxes."""

from __future__ import annotations

from typing import Annotated

import typer

from rsgnet.cli.options import (
    BackboneFrom,
    Devices,
    FittingFrom,
    Resume,
    RunFolder,
    Settings,
    StartFrom,
    TrainingData,
    ValidateEvery,
    Validation,
    Workers,
)
from rsgnet.cli.train import train
from rsgnet.errors import RSGNetError


def train_detector(
    preset: Annotated[
        str, typer.Argument(help="faster-rcnn-r101 (the paper's, PyTorch only) or detector-nano.", metavar="PRESET")
    ],
    *,
    data: TrainingData,
    out: RunFolder,
    settings: Settings = None,
    validate: Validation = None,
    resume: Resume = False,
    start_from: StartFrom = None,
    backbone_from: BackboneFrom = None,
    fitting_from: FittingFrom = None,
    workers: Workers = 1,
    devices: Devices = None,
    validate_every: ValidateEvery = 1,
) -> None:
    """Train a person detector on everyone's boxes; leave its model directory in [bold]DIR/model[/bold].

    Needs rsgnet\\[train]. Boxes about groups (iscrowd) are neither people nor background.

    [dim]Examples:[/dim]

      rsgnet train-detector faster-rcnn-r101 --data coco.json:images --validate val.json:val --out runs/r101

      rsgnet train-detector faster-rcnn-r101 --set shorter_side_px=640,720,800 --data coco.json --out runs/r101

      rsgnet train-detector detector-nano --data coco.json:images --out runs/boxes

    Measure its boxes, and poses in them: rsgnet evaluate --detector runs/r101/model
    """
    from rsgnet.config import PoseConfig
    from rsgnet.presets import preset_named

    if isinstance(preset_named(preset), PoseConfig):
        raise RSGNetError(f"{preset} is a pose network, no detector: rsgnet train {preset}")
    train(
        preset,
        data=data,
        out=out,
        settings=settings,
        validate=validate,
        resume=resume,
        start_from=start_from,
        backbone_from=backbone_from,
        fitting_from=fitting_from,
        workers=workers,
        devices=devices,
        validate_every=validate_every,
    )
