"""`rsgnet crowds`: simulated crowds with exact truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsgnet.errors import RSGNetError
from rsgnet.terminal import progress

if TYPE_CHECKING:
    from rsgnet.data.scenes import CrowdMaker


def crowds(
    out: Annotated[Path, typer.Argument(help="Folder to write into; made if it is missing.", metavar="OUT")],
    *,
    scenes: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 100,
    crowd_index: Annotated[
        tuple[float, float], typer.Option(help="Least and largest crowd index.", metavar="LOW HIGH")
    ] = (0.0, 1.0),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    people: Annotated[
        str | None,
        typer.Option(
            help="Cut real people out of this set by their masks; default: draw people.", metavar="JSON[:DIR]"
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Of the pictures, in pixels.", metavar="WxH")] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also write sheet.png, to look at.")] = False,
) -> None:
    """Make crowds in which every keypoint is known, and who hides it: pictures and [bold]OUT/crowds.json[/bold].

    [dim]Examples:[/dim]

      rsgnet crowds crowds --scenes 100 --crowd-index 0.2 0.8

      rsgnet crowds crowds --people coco.json:images --crowd-index 0.8 1.5 --sheet
    """
    from rsgnet.data.crowd_sets import write_crowds  # noqa: PLC0415
    from rsgnet.data.crowds import rendered_crowd  # noqa: PLC0415

    size_wh = _size(size) if size else None
    make = _real_crowds(people) if people else rendered_crowd
    with progress(scenes, out) as report:
        path = write_crowds(
            out, scenes, seed, crowd_index, size_wh, make, sheet, report=lambda scene: report(None, scene)
        )
    typer.echo(
        f"{path}\nTry next: rsgnet evaluate --annotations {path} --images {out / 'images'} --out {out / 'evaluation'}"
    )


def _real_crowds(people: str) -> CrowdMaker:
    from rsgnet.data.annotations import pictures_folder  # noqa: PLC0415
    from rsgnet.data.composed import RealCrowds  # noqa: PLC0415

    annotations, _, pictures = people.partition(":")
    return RealCrowds(Path(annotations), Path(pictures) if pictures else pictures_folder(annotations))


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise RSGNetError(f"--size {text}: expected WxH, such as 640x480")
    return int(width), int(height)
