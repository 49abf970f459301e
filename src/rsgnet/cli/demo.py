"""`rsgnet demo`: everything once, on a drawn crowd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import BAD_IMAGES, Out, progress


def demo(
    photos: Annotated[list[str] | None, typer.Argument(help="Photos of yours to try.", metavar="PHOTO")] = None,
    *,
    out: Out = Path("rsgnet-demo"),
    seed: Annotated[int, typer.Option(help="Draws another crowd.")] = 0,
) -> None:
    """Draw a crowd, run everything on it, and on any photo named. Needs no network and no GPU.

    [dim]Examples:[/dim]

      rsgnet demo

      rsgnet demo my-photo.jpg --out out
    """
    from rsgnet.inference.demo import run_demo

    with progress(None, out) as report:
        shown = run_demo(photos or [], out, report, seed)
    done = shown.predictions
    if shown.boxes_given:
        typer.echo(
            f"The detector, trained on photos, found {shown.found} of the {shown.people} drawn people: "
            "their true boxes were used."
        )
    typer.echo(f"{len(done.results)} people in {done.images} images:")
    for path in done.overlays:
        typer.echo(f"  {path}")
    typer.echo(f"  {out / 'poses.json'}")
    typer.echo(
        "Try next:\n"
        f"  rsgnet predict YOUR_PHOTOS/ --out {out}\n"
        f"  rsgnet evaluate --annotations {shown.truth} --images {out} --out {out / 'evaluation'}"
    )
    if done.errors:
        raise typer.Exit(BAD_IMAGES)
