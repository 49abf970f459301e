"""`rsgnet reproduce` and `rsgnet ablate`: measure the paper's tables, and what the paper's modules bring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from rsgnet.cli.options import FittingFrom, Settings, Workers, parse_model_directory, parse_out_folder
from rsgnet.cli.terminal import print_markdown
from rsgnet.errors import RSGNetError, requires_extra
from rsgnet.files import write_text

if TYPE_CHECKING:
    from rsgnet.reproduce.ablation import Ablation, Benchmark


def reproduce(
    table: Annotated[str, Argument(help="table1, table2, table3 or table4.", metavar="TABLE")],
    *,
    data: Annotated[Path | None, Option(help="Folder with crowdpose/ and coco/ as published.", metavar="DIR")] = None,
    runs: Annotated[
        Path, Option(help="Folder of the trained networks, which are in DIR/PRESET/model.", metavar="DIR")
    ] = Path("runs"),
    out: Annotated[
        Path, Option(help="Output folder for boxes, poses and the table.", metavar="DIR", parser=parse_out_folder)
    ] = Path("tables"),
    boxes: Annotated[
        list[str] | None,
        Option(
            help="gt (the true boxes, the default), a COCO JSON file, or a detector as for predict; for one data set "
            "of the table, such as crowdpose:test, or for all; repeatable.",
            metavar="[DATA_SET=]BOXES",
        ),
    ] = None,
    results: Annotated[
        list[str] | None,
        Option(
            help="Results of another system on the table's data set, as a COCO results list, for the row of that name, "
            "or for a row of its own; repeatable. The data set is needed where the table has two. Boxes are a note.",
            metavar="NAME[@DATA_SET]=FILE[,boxes=TEXT]",
        ),
    ] = None,
    train: Annotated[
        bool, Option("--train/--collect", help="Train missing networks, or measure only trained ones.")
    ] = False,
    settings: Settings = None,
    workers: Annotated[int, Option(min=0, help="Processes that cut crops in training.", metavar="COUNT")] = 4,
    smoke: Annotated[
        bool, Option("--smoke", help="Run everything with tiny networks on a few synthetic images.")
    ] = False,
) -> None:
    """Measure a table of the paper, and print the paper's figures beside ours.

    Needs rsgnet\\[train]. Writes the table to OUT/TABLE.md and OUT/TABLE.json. Networks missing from RUNS/PRESET/model
    are left out, or trained with --train. Poses of the same weights and boxes are not predicted again.

    --results measures any system's results by the same rules: CPN, OpenPose, RTMO, whatever writes COCO's format. For
    test-dev, which has no labels, it writes the submission and reads the server's metrics. Names of rows are compared
    by letters and digits; HRNet-W32 256x192 is one of several HRNets.

    [dim]Examples:[/dim]

      rsgnet reproduce table4 --smoke
      rsgnet reproduce table1 --data /data --train --boxes runs/faster-rcnn-r101/model
      rsgnet reproduce table3 --data /data --boxes coco-test-dev-boxes.json
      rsgnet reproduce table4 --data /data --boxes crowdpose:test=a.json --boxes coco:val2017=b.json
      rsgnet reproduce table1 --data /data --results OPEC-Net=opec.json --results "RTMO=rtmo.json,boxes=none"
    """
    with requires_extra("rsgnet reproduce", "train"):
        from rsgnet.reproduce import measure, synthetic_data, table_output, tables
        from rsgnet.reproduce.given_results import parse_results
    from rsgnet.files import write_text

    wanted, given_results = parse_results(results or [], tables.table_named(table))
    given = measure.parse_boxes(boxes or [], wanted)
    if smoke:
        data, runs, workers = out / "smoke-data", out / "smoke-runs", 0
        given |= synthetic_data.write_data_sets(data)
    if data is None:
        raise RSGNetError("reproduce needs --data DIR, the folder of CrowdPose and COCO, or --smoke")
    place = measure.Reproduction(
        data, runs, out, given,
        train_missing=train or smoke,
        settings=lambda preset: (synthetic_data.tiny_settings(preset) if smoke else []) + (settings or []),
        workers=workers,
        log=lambda line: typer.echo(line, err=True),
    )  # fmt: skip
    figures = [measure.measure_block(block, place, given_results) for block in wanted.blocks]
    found_by = [given[block.data] for block in wanted.blocks]
    text = table_output.table_markdown(wanted, figures, found_by, given_results)
    content = table_output.table_json(wanted, figures, found_by, given_results)
    write_text(out / f"{table}.md", text)
    write_text(out / f"{table}.json", json.dumps(content, indent=2))
    typer.echo(text)
    with_results = {each.row.name for each in given_results}
    untrained = sorted(
        {row.name for block in wanted.blocks for row in measure.untrained_rows(block, place)} - with_results
    )
    if untrained:
        typer.echo(f"Not trained yet: {', '.join(untrained)}. --train trains them into {runs}.", err=True)


def ablate(
    *,
    out: Annotated[
        Path, Option(help="Output folder for runs, poses and tables.", metavar="DIR", parser=parse_out_folder)
    ],
    data: Annotated[
        list[str] | None,
        Option(
            help="Labelled images to train on, as for train; repeatable.",
            metavar="LABELS[:IMAGES_DIR][,weight=W][,partial]",
        ),
    ] = None,
    validate: Annotated[
        str | None, Option(help="Labelled images to measure on.", metavar="LABELS[:IMAGES_DIR]")
    ] = None,
    crowds: Annotated[
        list[str] | None,
        Option(help="Simulated crowds to measure on, all together; repeatable.", metavar="LABELS[:IMAGES_DIR]"),
    ] = None,
    preset: Annotated[
        str, Option(help="The network whose modules are switched on and off.", metavar="PRESET")
    ] = "rsgnet-light",
    variants: Annotated[
        str, Option(help="Any of plain, plain+conv, sgm, trp, trp+sgm, paper, dense.", metavar="VARIANT,VARIANT")
    ] = "plain,trp,trp+sgm,dense",
    seeds: Annotated[int, Option(min=1, help="Runs of each variant.", metavar="COUNT")] = 3,
    start_from: FittingFrom = None,
    backbone_from: Annotated[
        Path | None,
        Option(
            help="Start from the backbone of a shipped network or a model directory; all heads start untrained.",
            metavar="NAME|DIR",
            parser=parse_model_directory,
        ),
    ] = None,
    settings: Settings = None,
    workers: Workers = 1,
    bootstrap: Annotated[
        int, Option(min=1, help="Bootstrap resamples of images and seeds for the intervals.", metavar="COUNT")
    ] = 1000,
    collect: Annotated[bool, Option("--collect", help="Train nothing; measure the trained runs.")] = False,
    smoke: Annotated[
        bool, Option("--smoke", help="Run everything with tiny networks on a few synthetic images, two seeds.")
    ] = False,
) -> None:
    """Train a network with and without the paper's modules and measure what they bring.

    Needs rsgnet\\[train]. Writes the tables to OUT/ablation.md and OUT/ablation.json. Run it again to continue:
    finished runs are not repeated.

    Variants have the same data, budget, seeds and starting weights. plain+conv has convolutions of the relation's cost
    instead of the relation. Poses are predicted without flip test in the true boxes; the difference to plain is paired
    by seed and image.

    If --start-from names a network that has the modules, variants with modules start trained and win any short
    comparison: start from a plain network, or use --backbone-from, with which all heads start untrained.

    Crowds for the measurement are made once of held-out people, 100 scenes per level:

      rsgnet crowds --out easy --scenes 100 --crowd-index 0 0.2 --seed 7 --people val.json:images
      rsgnet crowds --out medium --scenes 100 --crowd-index 0.2 0.8 --seed 7 --people val.json:images
      rsgnet crowds --out hard --scenes 100 --crowd-index 0.8 1.2 --seed 7 --people val.json:images

    [dim]Examples:[/dim]

      rsgnet ablate --smoke --out ablation
      rsgnet ablate --data train.json --validate val.json --variants plain,trp,dense --out ablation
      rsgnet ablate --data train.json --crowds hard/crowds.json --backbone-from nano --out out
    """
    with requires_extra("rsgnet ablate", "train"):
        from rsgnet.reproduce import synthetic_data
        from rsgnet.reproduce.ablation import Ablation, train_runs
        from rsgnet.reproduce.variants import variants_named

    if smoke:
        sets = synthetic_data.write_crowd_sets(out / "smoke-data")
        data, validate, crowds = [sets["train"]], sets["val"], [sets["easy"], sets["medium"], sets["hard"]]
        settings = [*synthetic_data.tiny_settings(preset), *(settings or [])]
        seeds, workers, bootstrap = 2, 0, 50
    if not (data or collect) or not (validate or crowds):
        raise RSGNetError("ablate needs --data, and --validate or --crowds to measure on; or --smoke")
    ablation = Ablation(
        preset,
        tuple(settings or []),
        variants_named(variants),
        seeds,
        tuple(data or []),
        out,
        start_from,
        backbone_from,
        workers,
        log=lambda line: typer.echo(line, err=True),
    )
    benchmarks = _open_benchmarks(validate, crowds or [])  # before training, to report missing files at once
    _print_variants(ablation)
    if not collect:
        train_runs(ablation)
    _measure(ablation, benchmarks, bootstrap)


def _open_benchmarks(validate: str | None, crowds: list[str]) -> list[Benchmark]:
    from rsgnet.annotations.catalog import resolve_labels_and_images
    from rsgnet.reproduce.ablation import Benchmark

    named = {"validation": [validate] if validate else [], "simulated crowds": crowds}
    return [Benchmark(name, tuple(map(resolve_labels_and_images, texts))) for name, texts in named.items() if texts]


def _print_variants(ablation: Ablation) -> None:
    from rsgnet.reproduce.ablation_table import summarise_variant

    for variant in ablation.variants:
        row = summarise_variant(ablation, variant)
        typer.echo(
            f"{variant.name}: {row.cost.parameters / 1e6:.3f} M parameters, {row.cost.macs / 1e6:.0f} M multiply-adds, "
            f"{row.loaded_tensors} of {row.tensors} tensors from the given weights, "
            f"{len(row.trained_seeds)} seeds trained",
            err=True,
        )


def _measure(ablation: Ablation, benchmarks: list[Benchmark], bootstrap: int) -> None:
    from rsgnet.reproduce.ablation import measure_runs
    from rsgnet.reproduce.ablation_table import ablation_json, ablation_markdown, summarise_variant

    outcomes = [measure_runs(ablation, benchmark, bootstrap) for benchmark in benchmarks]
    rows = [summarise_variant(ablation, variant) for variant in ablation.variants]
    text = ablation_markdown(ablation.preset, rows, outcomes)
    write_text(ablation.out / "ablation.md", text)
    write_text(ablation.out / "ablation.json", json.dumps(ablation_json(ablation.preset, rows, outcomes), indent=2))
    print_markdown(text)
