"""`rsgnet crowds`: simulated crowds with exact truth."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsgnet.cli.options import progress
from rsgnet.errors import RSGNetError

if TYPE_CHECKING:
    from rsgnet.crowds.scenes import CrowdMaker


def crowds(
    out: Annotated[Path, typer.Argument(help="Folder to write into; made if it is missing.", metavar="OUT")],
    *,
    scenes: Annotated[int, typer.Option(min=1, help="How many images, or clips.")] = 100,
    crowd_index: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Least and largest crowd index; default: 0 1.", metavar="LOW HIGH"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    people: Annotated[
        str | None,
        typer.Option(
            help="Cut real people out of this set by their masks; default: draw people.", metavar="JSON[:DIR]"
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Of the images, in pixels.", metavar="WxH")] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also write sheet.png, to look at.")] = False,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Make clips of so many frames, of drawn people who walk.")
    ] = None,
    walkers: Annotated[int, typer.Option(min=1, help="How many people a clip has.")] = 8,
) -> None:
    """Make crowds in which every keypoint is known, and who hides it: images and [bold]OUT/crowds.json[/bold].

    [dim]Examples:[/dim]

      rsgnet crowds crowds --scenes 100 --crowd-index 0.2 0.8

      rsgnet crowds crowds --people coco.json:images --crowd-index 0.8 1.5 --sheet

      rsgnet crowds walks --scenes 5 --frames 100

    Of clips, OUT/clips has the videos, OUT/images their frames, and crowds.json says who is who.
    """
    from rsgnet.crowds.data_sets import write_crowds
    from rsgnet.crowds.simulator.crowd import rendered_crowd

    size_wh = _size(size) if size else None
    if frames is not None:
        if people or crowd_index or sheet:
            raise RSGNetError("--frames: goes with --scenes, --walkers, --seed and --size only")
        _write_clips(out, scenes, frames, seed, size_wh, walkers)
        return
    make = _real_crowds(people) if people else rendered_crowd
    with progress(scenes, out) as report:
        path = write_crowds(
            out, scenes, seed, crowd_index or (0.0, 1.0), size_wh, make, sheet, report=lambda scene: report(None, scene)
        )
    typer.echo(
        f"{path}\nTry next: rsgnet evaluate --annotations {path} --images {out / 'images'} --out {out / 'evaluation'}"
    )


def _write_clips(out: Path, scenes: int, frames: int, seed: int, size_wh: tuple[int, int] | None, walkers: int) -> None:
    from PIL import Image

    from rsgnet.crowds.simulator.walking import FRAME_RATE, clip_name, write_moving_crowds
    from rsgnet.images import image_size, read_image
    from rsgnet.inference.video.reader import load_pyav
    from rsgnet.inference.video.writer import writing_clip

    load_pyav()
    with progress(scenes * frames, out, "frames") as report:
        path = write_moving_crowds(
            out, scenes, frames, seed, size_wh, walkers, report=lambda scene: report(None, scene)
        )
    rate = Fraction(FRAME_RATE)
    for name in map(clip_name, range(1, scenes + 1)):
        images = sorted((out / "images" / Path(name).stem).iterdir())[:frames]
        with writing_clip(out / "clips" / name, image_size(images[0]), 1 / rate, rate) as writer:
            for frame, image in enumerate(images):
                writer.write(Image.fromarray(read_image(image)), frame / rate)
    typer.echo(f"{path}\nTry next: rsgnet predict {out / 'clips'} --out {out / 'found'}")


def _real_crowds(people: str) -> CrowdMaker:
    from rsgnet.annotations.readers import images_folder
    from rsgnet.crowds.real_people.compositing import RealCrowds

    annotations, _, images = people.partition(":")
    return RealCrowds(Path(annotations), Path(images) if images else images_folder(annotations))


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise RSGNetError(f"--size {text}: expected WxH, such as 640x480")
    return int(width), int(height)
