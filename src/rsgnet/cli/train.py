"""`rsgnet train`: trains pose networks and person detectors on labelled images."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from typer import Argument, Option

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
from rsgnet.errors import requires_extra


def train(
    preset: Annotated[
        str,
        Argument(
            help="Pose network: nano, small, or one of the paper's such as rsgnet-w32-256x192-coco. Person detector: "
            "detector-nano, or faster-rcnn-r101 (the paper's, PyTorch only).",
            metavar="PRESET",
        ),
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
    teacher: Annotated[
        str | None,
        Option(
            help="Pose weights, or an .onnx or .xml file of COCO-17 heatmaps, whose heatmaps are learnt beside the "
            "labels; set their weight with --set training.loss.distillation=1.",
            metavar="WEIGHTS",
        ),
    ] = None,
    teacher_padding: Annotated[
        list[float] | None, Option(help="Padding of the teacher's crops; repeatable; default: 1.25.", metavar="FACTOR")
    ] = None,
) -> None:
    """Train a pose network, or a person detector on everyone's boxes.

    Needs rsgnet\\[train]. Writes the model directory to [bold]DIR/model[/bold], with checkpoints and curves beside it.
    A detector ignores boxes of groups (iscrowd): they are neither people nor background.

    [dim]Examples:[/dim]

      rsgnet train nano --data coco.json:images --out runs/nano
      rsgnet train nano --data coco.json,weight=2 --data lspet.json,partial --out runs/nano
      rsgnet train nano --set training.batch_size=64 --data coco.json --out runs/nano
      rsgnet train nano --fitting-from nano --set model.skeleton=mine.toml --data mine.json --out runs/mine
      rsgnet train nano --data coco.json:images --out runs/nano --resume
      rsgnet train nano --teacher runs/w48/model --set training.loss.distillation=1 --data coco.json --out runs/nano
      rsgnet train detector-nano --data coco.json:images --out runs/boxes
      rsgnet train faster-rcnn-r101 --set shorter_side_px=640,720,800 --data coco.json --out runs/r101
      torchrun --nnodes 2 --nproc-per-node 8 -m rsgnet train rsgnet-w32-256x192-coco --data coco.json --out runs/w32

    A killed run continues with --resume and ends with the same weights. Runs that torchrun --max-restarts restarts
    continue by themselves; PyTorch 2.14 needs TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for it, else its processes wait for
    ever. To measure a detector's boxes, and poses in them: rsgnet evaluate --detector runs/boxes/model
    """
    from rsgnet.config import FasterRCNNConfig
    from rsgnet.inference.teacher import open_teacher
    from rsgnet.presets import preset_named

    with requires_extra("rsgnet train", "train"):
        from rsgnet.data.teacher import Teacher
        from rsgnet.training import run
    teacher_network = None
    if teacher:
        open_teacher(teacher)  # to report errors before anything else is opened
        teacher_network = Teacher(teacher, partial(open_teacher, teacher), tuple(teacher_padding or (1.25,)))
    model = run.train(
        preset,
        settings or [],
        data,
        out,
        validation=validate,
        resume=resume,
        start_from=start_from,
        backbone_from=backbone_from,
        fitting_from=fitting_from,
        workers=workers,
        devices=devices,
        validate_every=validate_every,
        teacher=teacher_network,
    )
    is_pytorch_only = isinstance(preset_named(preset), FasterRCNNConfig)
    command = f"predict PHOTOS --out out --detector {model}" if is_pytorch_only else f"export {model}"
    typer.echo(f"{model}\nTry next: rsgnet {command}")
