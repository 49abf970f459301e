"""`rsgnet train`: networks learnt from labelled images."""

from __future__ import annotations

from functools import partial
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
    requires_train_extra,
)


def train(
    preset: Annotated[
        str, typer.Argument(help="nano, small, a row of the paper's tables, or a detector's preset.", metavar="PRESET")
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
        typer.Option(
            help="Pose weights, or an .onnx or .xml file of COCO-17 heatmaps, to learn from beside the labels; give it "
            "weight by --set training.loss.distillation=1.",
            metavar="NETWORK",
        ),
    ] = None,
    teacher_padding: Annotated[
        list[float] | None, typer.Option(help="Paddings of the teacher's crops; repeatable; default 1.25.")
    ] = None,
) -> None:
    """Train a network; leave its model directory in [bold]DIR/model[/bold]. Needs rsgnet\\[train].

    [dim]Examples:[/dim]

      rsgnet train nano --data coco.json:images --out runs/nano

      rsgnet train nano --data coco.json,weight=2 --data lspet.json,partial --out runs/nano

      rsgnet train nano --set training.batch_size=64 --data coco.json --out runs/nano

      rsgnet train nano --data coco.json:images --out runs/nano --resume

      rsgnet train nano --teacher runs/w48/model --set training.loss.distillation=1 --data coco.json --out runs/nano

      torchrun --nnodes 2 --nproc-per-node 8 -m rsgnet train rsgnet-w32-256x192-coco --data coco.json --out runs/w32

    What was killed goes on with --resume, and comes to the same weights. What torchrun --max-restarts starts again goes
    on by itself; PyTorch 2.14 wants TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for that, else its processes wait for ever.
    """
    from rsgnet.config import FasterRCNNConfig
    from rsgnet.inference.teacher import open_teacher
    from rsgnet.presets import preset_named

    with requires_train_extra():
        from rsgnet.data.teacher import Teacher
        from rsgnet.training import run
    if teacher:
        open_teacher(teacher)  # so that what is wrong with it is said at once
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
        teacher=Teacher(teacher, partial(open_teacher, teacher), tuple(teacher_padding or (1.25,)))
        if teacher
        else None,
    )
    in_pytorch_only = isinstance(preset_named(preset), FasterRCNNConfig)
    step = f"predict PHOTOS --out out --detector {model}" if in_pytorch_only else f"export {model}"
    typer.echo(f"{model}\nTry next: rsgnet {step}")
