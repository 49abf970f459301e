"""`rsgnet export`: a network for ONNX Runtime or OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import requires_train_extra
from rsgnet.errors import RSGNetError


def export(
    model: Annotated[Path, typer.Argument(help="A model directory.", metavar="DIR")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write a model directory of its own here, weights halved.", metavar="DIR")
    ] = None,
    to: Annotated[str, typer.Option(help="onnx (model.onnx) or openvino (model.xml and model.bin).")] = "onnx",
    with_flip: Annotated[
        bool, typer.Option("--with-flip", help="Average with the mirrored crop inside the file.")
    ] = False,
    with_decoding: Annotated[
        bool, typer.Option("--with-decoding", help="Give keypoints in crop pixels and scores, not heatmaps.")
    ] = False,
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            help="With --to openvino: write model-int8.xml, too, its convolutions in 8 bits, their ranges measured on "
            "these people's crops; repeatable.",
            metavar="LABELS[:IMAGES_DIR]",
        ),
    ] = None,
) -> None:
    """Write a model's network beside its weights, for ONNX Runtime or OpenVINO. Needs rsgnet\\[train].

    Every file takes 8-bit RGB crops, any number at once, and carries its configuration; `--backend onnx` and
    `--backend openvino` see from it what it does inside. OpenVINO also runs model.onnx as it is.

    [dim]Examples:[/dim]

      rsgnet export runs/nano/model

      rsgnet export runs/nano/model --out small

      rsgnet export runs/nano/model --with-flip --with-decoding

      rsgnet export runs/nano/model --to openvino --calibrate people.json:images
    """
    with requires_train_extra():
        from rsgnet.config import ExportOptions
        from rsgnet.export.directory import export_onnx, export_openvino, publish
    if to not in ("onnx", "openvino"):
        raise RSGNetError(f"--to {to}: expected onnx or openvino")
    if calibrate and to != "openvino":
        raise RSGNetError("--calibrate: 8 bits are for OpenVINO: add --to openvino")
    if out is not None:
        publish(model, out)
    directory, form = out or model, ExportOptions(with_flip, with_decoding)
    if to == "onnx":
        export_onnx(directory, form)
        engine = ""
    else:
        export_openvino(directory, form, calibrate or ())
        engine = f" --backend openvino{' --precision int8' if calibrate else ''}"
    typer.echo(f"Try next: rsgnet predict PHOTOS --out out --weights {directory}{engine}")
