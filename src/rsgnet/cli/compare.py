"""`rsgnet compare`: draw the images in which two results differ most."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from rsgnet.cli.options import Out
from rsgnet.errors import RSGNetError


def compare(
    first: Annotated[Path, Argument(help="COCO keypoint results, such as poses.json.", metavar="A.json")],
    second: Annotated[Path, Argument(help="Other results for the same images.", metavar="B.json")],
    *,
    images: Annotated[Path, Option(help="Folder of the images.", metavar="DIR")],
    out: Out,
    annotations: Annotated[
        Path | None, Option(help="Keypoint annotations of the images, for --figure.", metavar="TRUTH.json")
    ] = None,
    figure: Annotated[
        bool, Option("--figure", help="Judge both by the annotations, and draw figure.html and figure.svg.")
    ] = False,
    count: Annotated[int, Option(min=1, help="Images to draw.", metavar="COUNT")] = 12,
    threshold: Annotated[
        float, Option(help="Ignore people with a lower score; not for --figure.", metavar="SCORE")
    ] = 0.1,
    listed_in: Annotated[
        Path | None,
        Option(help="Labels that list the images, for results that have only image ids.", metavar="LABELS.json"),
    ] = None,
) -> None:
    """Draw side by side the images in which two results differ most, with or without annotations.

    Writes to DIR the drawn images and differences.json, which lists all images.

    People are matched by OKS. A matched pair differs by 1 - OKS, a person without a match by 1, each times the person's
    score; an image's difference is the sum. A person has the same colour and number on both sides (0 differs most),
    grey if the two agree, and a box if only one side has the person.

    With --figure an image's difference is the number of labelled keypoints that are right in one result only. Errors
    have a ring by kind (missed, swapped, inverted, jitter), and what only this result has right has a green one. People
    on whom both agree are faint. [bold]figure.html[/bold] and [bold]figure.svg[/bold] load nothing else; the latter is
    as wide as A4's text.

    [dim]Examples:[/dim]

      rsgnet compare old/poses.json new/poses.json --images photos --out differences --count 20
      rsgnet compare hrnet.json rsgnet.json --annotations val.json --images val --figure --out fig
    """
    if figure != (annotations is not None):
        raise RSGNetError("--figure needs --annotations TRUTH.json, and --annotations is for --figure")
    if not images.is_dir():
        raise RSGNetError(f"--images {images}: no such folder")
    if annotations is not None:
        _draw_figure(annotations, (first, second), images, out, count)
    else:
        _draw_differences(first, second, images, out, count, threshold, listed_in)


def _draw_differences(
    first: Path, second: Path, images: Path, out: Path, count: int, threshold: float, listed_in: Path | None
) -> None:
    from rsgnet.evaluation.comparison import draw_difference, rank_differences
    from rsgnet.evaluation.predicted_people import read_predicted_people
    from rsgnet.files import replace_atomically, write_text
    from rsgnet.images import read_image

    results_a, results_b = (read_predicted_people(path, listed_in) for path in (first, second))
    found = rank_differences(results_a, results_b, threshold)
    names = (f"A {first}", f"B {second}")
    listed = [{"file_name": each.file_name, "difference": round(each.total, 4)} for each in found]
    write_text(out / "differences.json", json.dumps(listed, indent=1))
    for rank, each in enumerate(found[:count], 1):
        if each.total == 0:
            break
        page = draw_difference(each, read_image(images / each.file_name), results_a.skeleton, names)
        path = out / f"{rank:03d}-{Path(each.file_name).stem}.jpg"
        with replace_atomically(path) as beside:
            page.save(beside, quality=90)
        typer.echo(f"{each.total:7.3f}  {each.file_name} -> {path}")
    equal = sum(each.total == 0 for each in found)
    typer.echo(f"{len(found)} images, {equal} of them without difference; all in {out / 'differences.json'}")


def _draw_figure(annotations: Path, files: tuple[Path, Path], images: Path, out: Path, count: int) -> None:
    from rsgnet.annotations.readers import read_annotations
    from rsgnet.evaluation.figure import render_figure, render_figure_page
    from rsgnet.evaluation.paired_errors import judge_results, list_judged_images
    from rsgnet.evaluation.results import read_keypoint_results
    from rsgnet.files import write_text
    from rsgnet.images import read_image

    truth = read_annotations(annotations)
    judged = judge_results(truth, *(read_keypoint_results(path, truth) for path in files))
    write_text(out / "differences.json", json.dumps(list_judged_images(judged), indent=1))
    chosen = [image for image in judged[:count] if image.differing.any()]
    if not chosen:
        typer.echo(f"{len(judged)} images, none with a keypoint that is right in one result only")
        return
    drawn = [(image, read_image(images / image.annotated.file_name)) for image in chosen]
    names = _name_results(*files)
    texts = {
        "figure.html": render_figure_page(judged, drawn, truth.skeleton, names, (*files, annotations)),
        "figure.svg": render_figure(drawn, truth.skeleton, names),
    }
    for name, text in texts.items():
        write_text(out / name, text)
        typer.echo(out / name)
    first, second = (sum(each) for each in zip(*(image.right_once for image in judged), strict=True))
    typer.echo(f"keypoints right only in A ({names[0]}): {first}, only in B ({names[1]}): {second}")


def _name_results(first: Path, second: Path) -> tuple[str, str]:
    """Returns names for a figure: the weights, where a run.json beside the file records them, else the file.

    Two runs of weights of one name are named by their folders.
    """
    from rsgnet.files import escape_name
    from rsgnet.inference.predictions import read_run_record

    records = read_run_record(first), read_run_record(second)
    names = [
        path.stem if record is None else Path(record.weights.name).name
        for path, record in zip((first, second), records, strict=True)
    ]
    if names[0] == names[1]:
        names = [str(Path(path.parent.name) / path.stem) for path in (first, second)]
    return escape_name(names[0]), escape_name(names[1])
