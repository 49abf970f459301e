"""`rsgnet calibrate`: probabilities that can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import Backend, Device, Flip, print_metrics, progress, requires_train_extra


def calibrate(
    weights: Annotated[str, typer.Argument(help="A shipped name, a model directory, or an .onnx file.")],
    *,
    data: Annotated[
        list[str],
        typer.Option(help="LABELS[:IMAGES_DIR] that it was not trained on; repeatable.", metavar="DATA"),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Also write the curves here, as reliability.html.", metavar="DIR")
    ] = None,
    flip: Flip = None,
    backend: Backend = "onnx",
    device: Device = "auto",
) -> None:
    """Fit how likely each keypoint is present, visible and the person's own; keep the fit with the weights.

    Writes [bold]ownership.json[/bold] beside the weights and the same into their model.onnx (which needs
    rsgnet\\[train]). Prints the expected calibration error of each probability, every image told by a fit on other
    images.

    [dim]Examples:[/dim]

      rsgnet calibrate runs/nano/model --data val.json:val/

      rsgnet calibrate runs/nano/model --data val.json:val/ --data crowds/crowds.json --out out
    """
    from rsgnet.calibrate.run import (
        calibrate_weights,
        keep,
        reliability_html,
    )
    from rsgnet.files import write_text

    with progress(None, Path(weights)) as report:
        found = calibrate_weights(weights, data, flip_test=flip, backend=backend, device=device, report=report)
    if out is not None:
        write_text(out / "reliability.html", reliability_html(found, weights))
    errors = {f"ECE of {name}": curve.expected_calibration_error for name, curve in found.curves.items()}
    counts = {f"ECE of {name}": str(count) for name, count in found.claims.items()}
    with requires_train_extra():
        kept = keep(found, weights)
    print_metrics(errors, {"keypoints": counts})
    typer.echo(f"{found.ownership.fitted_on} -> {kept}", err=True)
