"""`rsgnet compare`: the images in which two results differ most, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import Out
from rsgnet.errors import RSGNetError


def compare(
    first: Annotated[Path, typer.Argument(help="COCO keypoint results, as poses.json.", metavar="A.json")],
    second: Annotated[Path, typer.Argument(help="Others of the same images.", metavar="B.json")],
    *,
    images: Annotated[Path, typer.Option(help="The images' folder.", metavar="DIR")],
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="How many images to draw.")] = 12,
    threshold: Annotated[float, typer.Option(help="People who score less are left out.")] = 0.1,
    listed_in: Annotated[
        Path | None, typer.Option(help="Labels that list the images, for results that name them by id.", metavar="L")
    ] = None,
) -> None:
    """Draw side by side the images in which two results differ most. No truth is needed.

    People are matched by OKS; a pair differs by 1 - OKS, who is found by one side only by 1, each times the person's
    score; an image's measure is the sum. On both sides a person has the same colour and number (0 differs most),
    grey where they agree, a box where only one side has them. differences.json lists all images.

    [dim]Examples:[/dim]

      rsgnet compare old/poses.json new/poses.json --images photos --out differences --count 20
    """
    import json

    from rsgnet.evaluation.comparison import (
        draw_difference,
        most_different,
    )
    from rsgnet.evaluation.found_people import read_found_people
    from rsgnet.files import replacing, write_text
    from rsgnet.images import read_image

    if not images.is_dir():
        raise RSGNetError(f"--images {images}: no such folder")
    one, other = (read_found_people(path, listed_in) for path in (first, second))
    found = most_different(one, other, threshold)
    names = (f"A {first}", f"B {second}")
    listed = [{"file_name": each.file_name, "difference": round(each.measure, 4)} for each in found]
    write_text(out / "differences.json", json.dumps(listed, indent=1))
    for place, each in enumerate(found[:count], 1):
        if each.measure == 0:
            break
        page = draw_difference(each, read_image(images / each.file_name), one.skeleton, names)
        path = out / f"{place:03d}-{Path(each.file_name).stem}.jpg"
        with replacing(path) as beside:
            page.save(beside, quality=90)
        typer.echo(f"{each.measure:7.3f}  {each.file_name} -> {path}")
    alike = sum(each.measure == 0 for each in found)
    typer.echo(f"{len(found)} images, {alike} of them alike; all in {out / 'differences.json'}")
