"""`rsgnet data`: checking, completing and converting data sets, and writing what COCO's server takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rsgnet.annotations.findings import Finding

FAULTS_FOUND = 1  # exit code

data = typer.Typer(
    no_args_is_help=True, help="Check, complete and convert data; write submissions.", rich_markup_mode="rich"
)

Labels = Annotated[
    list[str], typer.Argument(help="Labels: JSON, data.yaml#SPLIT or CVAT's XML.", metavar="LABELS[:IMAGES_DIR]")
]


@data.command(no_args_is_help=True)
def check(
    paths: Labels,
    *,
    images: Annotated[
        Path | None, typer.Option(help="The images' folder; default: as the labels say, or images/ beside them.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Labels of another split that must share no image; repeatable.", metavar="LABELS[:DIR]"),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Findings of a kind to list; the report has all.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Write a JSON report here.", metavar="REPORT.json")] = None,
) -> None:
    """Find what is wrong with labels and images; name each item. The exit code is 1 where there are faults.

    Several LABELS are held against each other too. Warnings alone leave the exit code 0. Without images the labels
    are checked by themselves.

    [dim]Examples:[/dim]

      rsgnet data check train.json --images images/

      rsgnet data check train.json:images --against val.json:images --out report.json

      rsgnet data check my-poses/data.yaml#train my-poses/data.yaml#val
    """
    import json

    from rsgnet.annotations.catalog import labels_and_images
    from rsgnet.annotations.checks import check_set, check_splits, summary
    from rsgnet.files import write_text

    files = [labels_and_images(path, images) for path in [*paths, *(against or [])]]
    sets = [check_set(each.annotations, each.images if each.images.is_dir() else None) for each in files]
    reports = []
    for index, checked in enumerate(sets[: len(paths)]):
        shared = [finding for other in sets[index + 1 :] for finding in check_splits(checked, other)]
        findings = sorted([*checked.findings, *shared], key=lambda finding: not finding.is_fault)
        reports.append(summary(checked, findings))
        _print(reports[-1], findings, limit)
    if out is not None:
        write_text(out, json.dumps(reports, indent=1))
    if any(report["faults"] for report in reports):
        raise typer.Exit(FAULTS_FOUND)


@data.command(no_args_is_help=True)
def complete(
    annotations: Annotated[Path, typer.Argument(help="COCO-format keypoint annotations.", metavar="LABELS.json")],
    results: Annotated[Path, typer.Argument(help="COCO results of a network: boxes or poses.", metavar="RESULTS.json")],
    *,
    out: Annotated[Path, typer.Option(help="The completed annotations.", metavar="ALL.json")],
    skeleton: Annotated[
        str | None, typer.Option(help="coco17, crowdpose14 or people19; default: as the labels have.")
    ] = None,
    person: Annotated[float, typer.Option(help="From this score on, people nobody labelled are added.")] = 0.5,
    doubt: Annotated[float, typer.Option(help="From this score on, boxes become regions to ignore.")] = 0.25,
    keypoint: Annotated[float, typer.Option(help="From this score on, unlabelled keypoints are labelled.")] = 0.5,
    correction: Annotated[
        float, typer.Option(help="Move labels this near to what was found there, drop others; 0: leave labels alone.")
    ] = 0.0,
) -> None:
    """Add people and keypoints that nobody labelled but a network found.

    [dim]Examples:[/dim]

      rsgnet data complete lspet.json boxes.json --out lspet-everyone.json

      rsgnet data complete people.json found/poses.json --skeleton people19 --out completed.json
    """
    import json

    from rsgnet.annotations import completion
    from rsgnet.annotations.readers import load_json, read_annotations
    from rsgnet.files import write_text
    from rsgnet.skeletons import skeleton_named

    truth = read_annotations(annotations)
    into = skeleton_named(skeleton) if skeleton else None
    before = load_json(annotations)
    trust = completion.Trust(person, doubt, keypoint, correction)
    after = completion.complete(before, truth.skeleton, load_json(results), trust, into)
    write_text(out, json.dumps(after))
    new = after["annotations"][len(before["annotations"]) :]
    ignored = sum(each["iscrowd"] for each in new)
    filled = sum(isinstance(each.get("completed"), list) for each in after["annotations"])
    typer.echo(f"{out}: {len(new) - ignored} people and {ignored} regions to ignore added, {filled} people completed")


@data.command(no_args_is_help=True)
def submission(
    poses: Annotated[Path, typer.Argument(help="poses.json, as predict and evaluate write it.", metavar="POSES.json")],
    out: Annotated[Path, typer.Argument(help="The folder to write into.", metavar="DIR")],
    *,
    images: Annotated[
        Path, typer.Option(help="The list of images: image_info_test-dev2017.json.", metavar="INFO.json")
    ],
    name: Annotated[str, typer.Option(help="What to call the method in the file's name.")] = "rsgnet",
    split: Annotated[str, typer.Option(help="What to call the data set in the file's name.")] = "test-dev2017",
) -> None:
    """Write [bold]person_keypoints_SPLIT_NAME_results.json[/bold] in the form that COCO's server takes.

    [dim]Examples:[/dim]

      rsgnet evaluate --annotations image_info_test-dev2017.json --images test2017 --boxes boxes.json --out out

      rsgnet data submission out/poses.json out --images image_info_test-dev2017.json
    """
    from rsgnet.evaluation.exchange import write_submission

    written = write_submission(poses, images, out, name, split)
    typer.echo(f"{written}\nTry next: zip it and upload it to the COCO keypoints server")


@data.command(no_args_is_help=True)
def convert(
    source: Annotated[
        str,
        typer.Argument(help="Labels (JSON, data.yaml#SPLIT, XML, CSV) or poses.json.", metavar="PEOPLE[:IMAGES_DIR]"),
    ],
    out: Annotated[Path, typer.Argument(help="The file to write; of YOLO the folder.", metavar="OUT")],
    *,
    to: Annotated[str, typer.Option(help="coco, coco-results, yolo, yolo-results, cvat or csv.", metavar="FORM")],
    listed_in: Annotated[
        Path | None,
        typer.Option(help="Labels that list the images, for results that name them by id.", metavar="LABELS"),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Where scores become labels: keypoints that score less are not labelled.")
    ] = 0.2,
    split: Annotated[str, typer.Option(help="Of YOLO: train, val or test; other splits in OUT stay.")] = "train",
) -> None:
    """Write labels or results in another format; say what is lost.

    The *-results forms keep scores, csv keeps scores and labels; coco, yolo and cvat are labels: scores become labels
    by --threshold. YOLO's folder gets the images, too, linked or copied. CVAT's XML asks for a skeleton label
    `person` and a rectangle label `box` in the task. Of poses.jsonl every frame with people is an image of its own:
    clip/000012.jpg is frame 12 of clip.mp4, counted from 0.

    [dim]Examples:[/dim]

      rsgnet data convert people.json:images yolo --to yolo --split val

      rsgnet data convert out/poses.json:photos poses.xml --to cvat --threshold 0.3

      rsgnet data convert out/poses.json poses.csv --to csv

      rsgnet data convert out/poses.jsonl frames.csv --to csv

      rsgnet data convert annotations.xml people.json --to coco
    """
    from rsgnet.annotations.catalog import labels_and_images
    from rsgnet.evaluation import exchange

    files = labels_and_images(source)
    done = exchange.convert(
        files.annotations,
        out,
        to,
        images=files.images,
        listed_in=listed_in,
        threshold=threshold,
        split=split,
    )
    typer.echo(f"{done.path}: {done.people} people in {done.images} images")
    for loss in done.losses:
        typer.echo(f"  {loss}")


def _print(report: dict[str, Any], findings: list[Finding], limit: int) -> None:
    from rsgnet.annotations.findings import FAULTS, WARNINGS

    typer.echo(f"{report['labels']}: {report['images']} images, {report['people']} people ({report['skeleton']})")
    if not report["images_read"]:
        typer.echo("  no image was read: --images names their folder")
    for kind, count in report["counts"].items():
        typer.echo(f"  {'fault' if kind in FAULTS else 'warning'} {kind} ({count}): {(FAULTS | WARNINGS)[kind]}")
        alike = [finding for finding in findings if finding.kind == kind]
        for finding in alike[:limit]:
            typer.echo(f"    {finding.where}: {finding.what}")
        if count > limit:
            typer.echo(f"    and {count - limit} more")
    agreement = report["crowd_index"]
    if agreement:
        typer.echo(
            f"  crowdIndex given for {agreement['images']} images, computed by the rule {agreement['rule']}: "
            f"correlation {agreement['correlation']:.5f}, largest difference {agreement['largest_difference']:.4f}"
        )
    typer.echo(f"  {report['faults']} faults, {report['warnings']} warnings")
