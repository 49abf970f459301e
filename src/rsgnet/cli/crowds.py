"""`rsgnet crowds`: makes simulated crowds with exact annotations."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from rsgnet.cli.options import Out, parse_size
from rsgnet.cli.terminal import show_progress
from rsgnet.errors import RSGNetError

if TYPE_CHECKING:
    from rsgnet.crowds.scenes import CrowdMaker


def crowds(
    *,
    out: Out,
    scenes: Annotated[int, Option(min=1, help="Images, or clips, to make.", metavar="COUNT")] = 100,
    crowd_index: Annotated[
        tuple[float, float] | None, Option(help="Range of the crowd index; default: 0 1.", metavar="LOW HIGH")
    ] = None,
    seed: Annotated[int, Option(min=0, help="The same seed makes the same files.", metavar="NUMBER")] = 0,
    people: Annotated[
        str | None,
        Option(
            help="Labelled images with masks, from which real people are cut out; default: drawn people.",
            metavar="LABELS[:IMAGES_DIR]",
        ),
    ] = None,
    size: Annotated[str | None, Option(help="Size of the images in pixels.", metavar="WIDTHxHEIGHT")] = None,
    sheet: Annotated[bool, Option("--sheet", help="Also write sheet.png, an overview of the images.")] = False,
    frames: Annotated[
        int | None, Option(min=1, help="Make clips of drawn people who walk, of this length.", metavar="FRAMES")
    ] = None,
    walkers: Annotated[int, Option(min=1, help="People in a clip.", metavar="COUNT")] = 8,
) -> None:
    """Make crowds in which every keypoint, and who hides it, is known exactly.

    Writes DIR/images and the annotations [bold]DIR/crowds.json[/bold]. With --frames also writes the videos
    DIR/clips, which needs rsgnet\\[video], and the track of each person into crowds.json.

    [dim]Examples:[/dim]

      rsgnet crowds --out crowds --scenes 100 --crowd-index 0.2 0.8
      rsgnet crowds --out crowds --people coco.json:images --crowd-index 0.8 1.5 --sheet
      rsgnet crowds --out walks --scenes 5 --frames 100
    """
    from rsgnet.crowds.data_sets import write_crowds
    from rsgnet.crowds.simulator.crowd import render_crowd

    size_wh = parse_size("--size", size, "WIDTHxHEIGHT, such as 640x480") if size else None
    if frames is not None:
        if people or crowd_index or sheet:
            raise RSGNetError("--frames: can be combined with --scenes, --walkers, --seed and --size only")
        _write_clips(out, scenes, frames, seed, size_wh, walkers)
        return
    make_crowd = _open_real_crowds(people) if people else render_crowd
    with show_progress(scenes, out) as report:
        path = write_crowds(
            out,
            scenes,
            seed,
            crowd_index or (0.0, 1.0),
            size_wh,
            make_crowd,
            sheet,
            on_scene=lambda scene: report(None, scene),
        )
    typer.echo(
        f"{path}\nTry next: rsgnet evaluate --annotations {path} --images {out / 'images'} --out {out / 'evaluation'}"
    )


def _write_clips(out: Path, scenes: int, frames: int, seed: int, size_wh: tuple[int, int] | None, walkers: int) -> None:
    from PIL import Image

    from rsgnet.crowds.simulator.walking import FRAME_RATE, format_clip_name, write_moving_crowds
    from rsgnet.images import read_image, read_image_size
    from rsgnet.inference.video.reader import load_pyav
    from rsgnet.inference.video.writer import open_clip_writer

    load_pyav()
    with show_progress(scenes * frames, out, "frames") as report:
        path = write_moving_crowds(
            out, scenes, frames, seed, size_wh, walkers, on_scene=lambda scene: report(None, scene)
        )
    rate = Fraction(FRAME_RATE)
    for name in map(format_clip_name, range(1, scenes + 1)):
        images = sorted((out / "images" / Path(name).stem).iterdir())[:frames]
        with open_clip_writer(out / "clips" / name, read_image_size(images[0]), 1 / rate, rate) as writer:
            for frame, image in enumerate(images):
                writer.write(Image.fromarray(read_image(image)), frame / rate)
    typer.echo(f"{path}\nTry next: rsgnet predict {out / 'clips'} --out {out / 'found'}")


def _open_real_crowds(people: str) -> CrowdMaker:
    from rsgnet.annotations.readers import find_images_folder
    from rsgnet.crowds.real_people.compositing import RealCrowds

    annotations, _, images = people.partition(":")
    return RealCrowds(Path(annotations), Path(images) if images else find_images_folder(annotations))
