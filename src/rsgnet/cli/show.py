"""`rsgnet show`: what the network sees of one person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import Device, Flip, MaxPixels, Out, Weights
from rsgnet.errors import RSGNetError


def show(
    image: Annotated[Path, typer.Argument(help="An image.", metavar="IMAGE")],
    *,
    out: Out,
    person: Annotated[
        int | None, typer.Option(min=0, help="Whom of those found, as poses.json counts, from 0; default: the surest.")
    ] = None,
    box: Annotated[str | None, typer.Option(help="Or a box, in pixels.", metavar="LEFT,TOP,WIDTH,HEIGHT")] = None,
    weights: Weights = "nano",
    detector: Annotated[str, typer.Option(help="As for predict.", metavar="SPEC")] = "nano",
    flip: Flip = None,
    backend: Annotated[
        str | None, typer.Option(help="onnx or torch; default: PyTorch where it is, which shows most.")
    ] = None,
    device: Device = "auto",
    max_pixels: MaxPixels = 100_000_000,
) -> None:
    """Draw how a person's pose came about: crop, everyone's heatmaps, relations, limbs, result.

    Writes sheet.png with all of it, and crop, everyone, relation, limbs, own and result.png in detail. Without PyTorch
    (rsgnet\\[train]) there are neither relations nor limbs: files for ONNX Runtime do not hold them.

    [dim]Examples:[/dim]

      rsgnet show photo.jpg --person 2 --out look

      rsgnet show photo.jpg --box 120,40,80,210 --out look --weights runs/mine/model
    """
    from rsgnet.files import replacing
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.inference.inspect_drawing import draw_inspection
    from rsgnet.inference.inspect_person import inspect_person, telling_backend

    if person is not None and box is not None:
        raise RSGNetError("--person and --box exclude each other")
    box_xywh = None if box is None else _numbers(box)
    estimator = PoseEstimator(
        weights,
        detector if box is None else "full",
        device=device,
        backend=backend or telling_backend(weights),
        flip_test=flip,
        max_pixels=max_pixels,
    )
    look = inspect_person(estimator, image, person or 0, box_xywh)
    drawn = draw_inspection(look)
    for name, drawing in drawn.items():
        with replacing(out / f"{name}.png") as beside:
            drawing.save(beside)
        typer.echo(out / f"{name}.png")
    if look.config.model.candidates is not None and look.maps.relation is None:
        typer.echo("no relations, no limbs: --backend torch shows them (pip install 'rsgnet[train]')", err=True)


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise RSGNetError(f"--box {text}: expected LEFT,TOP,WIDTH,HEIGHT, such as 120,40,80,210")
    return numbers
