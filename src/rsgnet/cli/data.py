"""`rsgnet data`: checks, completes and converts data sets, and writes submissions to COCO's server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from rsgnet.cli.help import HelpCommand, HelpGroup
from rsgnet.cli.options import Out, parse_out_file, parse_out_folder
from rsgnet.errors import RSGNetError

if TYPE_CHECKING:
    from rsgnet.annotations.findings import Finding

FAULTS_FOUND = 1  # exit code

data = typer.Typer(
    cls=HelpGroup,
    no_args_is_help=True,
    help="Check, complete and convert data sets; write submissions.",
    rich_markup_mode="rich",
)


@data.command(no_args_is_help=True, cls=HelpCommand)
def check(
    paths: Annotated[list[str], Argument(help="JSON, data.yaml#SPLIT or CVAT's XML.", metavar="LABELS[:IMAGES_DIR]")],
    *,
    images: Annotated[
        Path | None,
        Option(help="Folder of the images; default: as in the labels, else images/ beside them.", metavar="DIR"),
    ] = None,
    against: Annotated[
        list[str] | None,
        Option(
            help="What must share no image: labels of another split, a published set of which hashes ship "
            "(coco:val2017, coco:train2017), or a file of `data hash`; repeatable.",
            metavar="LABELS[:IMAGES_DIR]|SET|FILE.hashes",
        ),
    ] = None,
    limit: Annotated[int, Option(min=0, help="Findings of each kind to print.", metavar="COUNT")] = 10,
    out: Annotated[
        Path | None, Option(help="Write all findings to this file.", metavar="REPORT.json", parser=parse_out_file)
    ] = None,
) -> None:
    """Check labels and their images, and name each faulty item.

    Prints the findings; several LABELS are also compared with each other. Without images only the labels are checked.
    The exit code is 1 if there are faults, and 0 if there are only warnings.

    Images in both are found as the same file or slightly changed: scaled, stretched, recompressed, brightened. Of COCO
    the hashes of some images ship; how many of a set is printed.

    [dim]Examples:[/dim]

      rsgnet data check train.json --images images/
      rsgnet data check train.json:images --against coco:val2017
      rsgnet data check train.json:images --against val.json:images --out report.json
      rsgnet data check my-poses/data.yaml#train my-poses/data.yaml#val
    """
    from rsgnet.annotations.catalog import resolve_labels_and_images
    from rsgnet.annotations.checks import check_data_set, check_published, check_splits, summarise_check
    from rsgnet.annotations.hash_files import read_hashed_sets
    from rsgnet.files import write_text

    hashed_sets = {text: read_hashed_sets(text) for text in against or []}
    published = [each for sets in hashed_sets.values() for each in sets or []]
    splits = [text for text, sets in hashed_sets.items() if sets is None]
    files = [resolve_labels_and_images(path, images) for path in [*paths, *splits]]
    sets = [check_data_set(each.annotations, each.images if each.images.is_dir() else None) for each in files]
    reports = []
    for index, checked in enumerate(sets[: len(paths)]):
        shared = [finding for other in sets[index + 1 :] for finding in check_splits(checked, other)]
        leaks = [check_published(checked, each) for each in published]
        shared += [finding for found in leaks for finding in found]
        findings = sorted([*checked.findings, *shared], key=lambda finding: not finding.is_fault)
        reports.append(summarise_check(checked, findings))
        _print(reports[-1], findings, limit)
        for each, found in zip(published, leaks, strict=True):
            images_found = len({finding.file_name for finding in found})
            typer.echo(
                f"  {images_found} images are of {each.name}, as far as known: {len(each.bits)} of its {each.size} "
                "images have a hash"
            )
    if out is not None:
        write_text(out, json.dumps(reports, indent=1))
    if any(report["faults"] for report in reports):
        raise typer.Exit(FAULTS_FOUND)


@data.command("hash", no_args_is_help=True, cls=HelpCommand)
def hash_sets(
    sets: Annotated[
        list[str], Argument(help="A name and the labels of its images.", metavar="SET=LABELS[:IMAGES_DIR]...")
    ],
    *,
    out: Annotated[Path, Option(help="The file to write.", metavar="FILE.hashes", parser=parse_out_file)],
    size: Annotated[
        list[str] | None,
        Option(help="Images of the published set, where the labels list only some; repeatable.", metavar="SET=COUNT"),
    ] = None,
) -> None:
    """Write the hashes of a data set's images, by which they are found in other data.

    A line has an image's name and 39 bytes, from which the image cannot be seen. A set named twice is joined. Images
    that cannot be read are left out.

    [dim]Examples:[/dim]

      rsgnet data hash coco=DIR:coco:val2017 crowdpose=DIR:crowdpose:test --out mine.hashes
      rsgnet data hash coco:val2017=some.json:images --size coco:val2017=5000 --out mine.hashes
      rsgnet data check train.json:images --against mine.hashes
    """
    from rsgnet.annotations.catalog import resolve_labels_and_images
    from rsgnet.annotations.hash_files import SUFFIX, HashedSet, write_hash_file
    from rsgnet.annotations.image_hashes import ImageHash, hash_images
    from rsgnet.annotations.readers import read_annotations

    if out.suffix != SUFFIX:
        raise RSGNetError(f"--out {out}: the name of a file of hashes ends with {SUFFIX}")
    sizes = {name: _parse_count(text, count) for text in size or [] for name, _, count in [text.rpartition("=")]}
    hashed: dict[str, HashedSet] = {}
    for text in sets:
        name, equals, source = text.partition("=")
        if not equals or not name:
            raise RSGNetError(f"{text}: expected SET=LABELS[:IMAGES_DIR], such as coco:val2017=val.json:images")
        files = resolve_labels_and_images(source)
        truth = read_annotations(files.annotations)
        before = hashed.get(name, HashedSet(name, 0, {}))
        found = {
            image.file_name: outcome.bits
            for image, outcome in hash_images(truth, files.images)
            if isinstance(outcome, ImageHash) and outcome.bits is not None
        }
        typer.echo(f"{text}: {len(found)} of {len(truth.images)} images hashed")
        hashed[name] = HashedSet(name, sizes.get(name, before.size + len(truth.images)), {**before.bits, **found})
    write_hash_file(out, list(hashed.values()))


def _parse_count(text: str, count: str) -> int:
    if not count.isdecimal():
        raise RSGNetError(f"--size {text}: expected SET=COUNT, such as coco:val2017=5000")
    return int(count)


@data.command(no_args_is_help=True, cls=HelpCommand)
def complete(
    annotations: Annotated[Path, Argument(help="COCO-format keypoint annotations.", metavar="LABELS.json")],
    results: Annotated[Path, Argument(help="COCO results of a network: boxes or poses.", metavar="RESULTS.json")],
    *,
    out: Annotated[
        Path, Option(help="Write the completed annotations to this file.", metavar="ALL.json", parser=parse_out_file)
    ],
    skeleton: Annotated[
        str | None, Option(help="coco17, crowdpose14 or people19; default: that of the labels.", metavar="NAME")
    ] = None,
    person: Annotated[float, Option(help="Add unlabelled people with this score or more.", metavar="SCORE")] = 0.5,
    doubt: Annotated[
        float, Option(help="Add boxes with this score or more as regions to ignore.", metavar="SCORE")
    ] = 0.25,
    keypoint: Annotated[float, Option(help="Add unlabelled keypoints with this score or more.", metavar="SCORE")] = 0.5,
    correction: Annotated[
        float,
        Option(
            help="Move labels that are at most this far from the found keypoint onto it, and remove labels farther "
            "away; a share of the square root of the person's area. 0 keeps all labels.",
            metavar="SHARE",
        ),
    ] = 0.0,
) -> None:
    """Add to labels the people and keypoints that a network found and nobody labelled.

    Writes the completed labels to ALL.json.

    [dim]Examples:[/dim]

      rsgnet data complete lspet.json boxes.json --out lspet-everyone.json
      rsgnet data complete people.json found/poses.json --skeleton people19 --out completed.json
    """
    from rsgnet.annotations import completion
    from rsgnet.annotations.readers import load_json, read_annotations
    from rsgnet.files import write_text
    from rsgnet.skeletons import get_skeleton

    truth = read_annotations(annotations)
    into = get_skeleton(skeleton) if skeleton else None
    before = load_json(annotations)
    trust = completion.CompletionThresholds(person, doubt, keypoint, correction)
    after = completion.complete_annotations(before, truth.skeleton, load_json(results), trust, into)
    write_text(out, json.dumps(after))
    new = after["annotations"][len(before["annotations"]) :]
    ignored = sum(each["iscrowd"] for each in new)
    filled = sum(isinstance(each.get("completed"), list) for each in after["annotations"])
    typer.echo(f"{out}: {len(new) - ignored} people and {ignored} regions to ignore added, {filled} people completed")


@data.command(no_args_is_help=True, cls=HelpCommand)
def submission(
    poses: Annotated[Path, Argument(help="poses.json of predict or evaluate.", metavar="POSES.json")],
    *,
    out: Out,
    images: Annotated[Path, Option(help="COCO's list of images: image_info_test-dev2017.json.", metavar="INFO.json")],
    name: Annotated[str, Option(help="Name of the method in the file name.", metavar="NAME")] = "rsgnet",
    split: Annotated[str, Option(help="Name of the data set in the file name.", metavar="SPLIT")] = "test-dev2017",
) -> None:
    """Write poses in the format of COCO's evaluation server.

    Writes [bold]person_keypoints_SPLIT_NAME_results.json[/bold] to DIR.

    [dim]Examples:[/dim]

      rsgnet evaluate --annotations INFO.json --images test2017 --boxes boxes.json --out out
      rsgnet data submission out/poses.json --out out --images INFO.json
    """
    from rsgnet.evaluation.submission import write_submission

    written = write_submission(poses, images, out, name, split)
    typer.echo(f"{written}\nTry next: zip it and upload it to the COCO keypoints server")


@data.command(no_args_is_help=True, cls=HelpCommand)
def convert(
    source: Annotated[
        str,
        Argument(
            help="Labels (JSON, data.yaml#SPLIT, XML, CSV), poses.json or poses.jsonl.", metavar="PEOPLE[:IMAGES_DIR]"
        ),
    ],
    *,
    out: Annotated[str, Option(help="The file to write; for YOLO and OpenPose a folder.", metavar="PATH")],
    to: Annotated[
        str,
        Option(help="coco, coco-results, yolo, yolo-results, cvat, label-studio, openpose or csv.", metavar="FORMAT"),
    ],
    listed_in: Annotated[
        Path | None,
        Option(help="Labels that list the images, for results that have only image ids.", metavar="LABELS.json"),
    ] = None,
    threshold: Annotated[
        float, Option(help="Where scores become labels, leave out keypoints with a lower score.", metavar="SCORE")
    ] = 0.2,
    split: Annotated[
        str, Option(help="YOLO only: train, val or test; other splits in PATH stay.", metavar="SPLIT")
    ] = "train",
) -> None:
    """Convert labels or results to another format, and say what is lost.

    coco, yolo and cvat hold labels, so scores become labels by --threshold; the *-results formats keep scores, and csv
    and label-studio keep both. YOLO's folder also gets the images, linked or copied. CVAT's XML needs a skeleton label
    `person` and a rectangle label `box` in the task; Label Studio's interface is written to OUT.xml beside OUT.json.
    OpenPose's files, one a frame, are for predictions, with `owned` as the confidence. In other formats each frame of
    poses.jsonl with people becomes an image: clip/000012.jpg is frame 12 of clip.mp4, counted from 0.

    [dim]Examples:[/dim]

      rsgnet data convert people.json:images --out yolo --to yolo --split val
      rsgnet data convert out/poses.json:photos --out poses.xml --to cvat --threshold 0.3
      rsgnet data convert out/poses.json --out poses.csv --to csv
      rsgnet data convert out/poses.jsonl --out frames.csv --to csv
      rsgnet data convert out/poses.jsonl --out pose --to openpose
      rsgnet data convert people.json:images --out tasks.json --to label-studio
      rsgnet data convert annotations.xml --out people.json --to coco
    """
    from rsgnet.annotations.catalog import resolve_labels_and_images
    from rsgnet.evaluation import conversion

    path = (parse_out_folder if to in conversion.FOLDER_FORMATS else parse_out_file)(out)
    files = resolve_labels_and_images(source)
    done = conversion.convert(
        files.annotations, path, to, images=files.images, listed_in=listed_in, threshold=threshold, split=split
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
