"""`rsgnet train`: networks learnt from labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import needing_the_train_extra


def train(
    preset: Annotated[
        str, typer.Argument(help="nano, detector-nano, or a row of the paper's tables.", metavar="PRESET")
    ],
    *,
    data: Annotated[
        list[str],
        typer.Option(help="ANNOTATIONS.json[:PICTURES_DIR][,weight=2][,partial]; repeatable.", metavar="DATA"),
    ],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, curves and the model.", metavar="DIR")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change the preset; repeatable.", metavar="KEY=VALUE")
    ] = None,
    validate: Annotated[str | None, typer.Option(help="What to validate on, as --data.", metavar="DATA")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    start_from: Annotated[
        Path | None, typer.Option(help="A model directory whose weights to start from.", metavar="DIR")
    ] = None,
    backbone_from: Annotated[
        Path | None, typer.Option(help="A model directory whose backbone to start from.", metavar="DIR")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that cut crops.")] = 1,
    validate_every: Annotated[int, typer.Option(min=1, help="Epochs between validations.")] = 1,
) -> None:
    """Train a network; leave its model directory in [bold]DIR/model[/bold]. Needs rsgnet\\[train].

    [dim]Examples:[/dim]

      rsgnet train nano --data coco.json:images --out runs/nano

      rsgnet train nano --data coco.json,weight=2 --data lspet.json,partial --out runs/nano

      rsgnet train nano --set training.batch_size=64 --data coco.json --out runs/nano

      rsgnet train nano --data coco.json:images --out runs/nano --resume
    """
    with needing_the_train_extra():
        from rsgnet.training import run  # noqa: PLC0415
    model = run.train(
        preset,
        settings or [],
        data,
        out,
        validation=validate,
        resume=resume,
        start_from=start_from,
        backbone_from=backbone_from,
        workers=workers,
        validate_every=validate_every,
    )
    typer.echo(f"{model}\nTry next: rsgnet export {model}")
