"""`rsgnet export`: a network for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import needing_the_train_extra


def export(
    model: Annotated[Path, typer.Argument(help="A model directory.", metavar="DIR")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write a model directory of its own here, weights halved.", metavar="DIR")
    ] = None,
) -> None:
    """Write [bold]model.onnx[/bold] beside a model's weights, for ONNX Runtime. Needs rsgnet\\[train].

    [dim]Examples:[/dim]

      rsgnet export runs/nano/model

      rsgnet export runs/nano/model --out small
    """
    with needing_the_train_extra():
        from rsgnet import export as exporting  # noqa: PLC0415
    if out is not None:
        exporting.publish(model, out)
    typer.echo(f"Try next: rsgnet predict PHOTOS --out out --weights {exporting.export_onnx(out or model).parent}")
