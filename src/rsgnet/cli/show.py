"""`rsgnet show`: draws the intermediate outputs of the network for one person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from rsgnet.cli.options import (
    Detector,
    DetectorLayout,
    Device,
    Flip,
    MaxPixels,
    Network,
    Out,
    Weights,
    name_layout,
    name_network,
)
from rsgnet.defaults import DEFAULT_DETECTOR, DEFAULT_WEIGHTS
from rsgnet.errors import RSGNetError


def show(
    image: Annotated[Path, Argument(help="An image.", metavar="IMAGE")],
    *,
    out: Out,
    person: Annotated[
        int | None,
        Option(
            min=0,
            help="Number of the detected person, in the order of poses.json from 0; default: the highest score.",
            metavar="NUMBER",
        ),
    ] = None,
    box: Annotated[
        str | None, Option(help="Box of the person in pixels, instead of --person.", metavar="LEFT,TOP,WIDTH,HEIGHT")
    ] = None,
    weights: Weights = DEFAULT_WEIGHTS,
    network: Network = None,
    detector: Detector = DEFAULT_DETECTOR,
    detector_layout: DetectorLayout = None,
    flip: Flip = None,
    backend: Annotated[
        str | None, Option(help="onnx or torch; default: torch if installed, which shows most.", metavar="BACKEND")
    ] = None,
    device: Device = "auto",
    max_pixels: MaxPixels = 100_000_000,
) -> None:
    """Draw how the network finds one person's pose: crop, everyone's heatmaps, relations, limbs, result.

    Relations and limbs need PyTorch (rsgnet\\[train]): networks for ONNX Runtime do not output them. Writes sheet.png
    with everything, and crop, everyone, relation, limbs, own and result.png in detail.

    [dim]Examples:[/dim]

      rsgnet show photo.jpg --person 2 --out look
      rsgnet show photo.jpg --box 120,40,80,210 --out look --weights runs/mine/model
    """
    from rsgnet.files import replace_atomically
    from rsgnet.inference.estimator import PoseEstimator
    from rsgnet.inference.inspection import choose_inspection_backend, draw_inspection, inspect_person

    if person is not None and box is not None:
        raise RSGNetError("--person and --box exclude each other")
    weights, detector = name_network(weights, network), name_layout(detector, detector_layout)
    box_xywh = None if box is None else _parse_box(box)
    estimator = PoseEstimator(
        weights,
        detector if box is None else "full",
        device=device,
        backend=backend or choose_inspection_backend(weights),
        flip_test=flip,
        max_pixels=max_pixels,
    )
    look = inspect_person(estimator, image, person or 0, box_xywh)
    for name, drawing in draw_inspection(look).items():
        with replace_atomically(out / f"{name}.png") as beside:
            drawing.save(beside)
        typer.echo(out / f"{name}.png")
    if look.config.model.candidates is not None and look.maps.relation is None:
        typer.echo("no relations, no limbs: --backend torch shows them (pip install 'rsgnet[train]')", err=True)


def _parse_box(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise RSGNetError(f"--box {text}: expected LEFT,TOP,WIDTH,HEIGHT, such as 120,40,80,210")
    return numbers
