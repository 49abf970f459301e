"""`rsgnet ablate`: what the paper's modules bring, on the same data and budget, from several seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsgnet.cli.options import BackboneFrom, Settings, Workers, print_markdown, requires_train_extra
from rsgnet.errors import RSGNetError
from rsgnet.files import write_text

if TYPE_CHECKING:
    from rsgnet.reproduce.ablation import Ablation, Benchmark


def ablate(
    *,
    out: Annotated[Path, typer.Option(help="Folder for runs, poses and the tables.", metavar="DIR")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="What all variants are trained on, as for train; repeatable.", metavar="DATA"),
    ] = None,
    validate: Annotated[str | None, typer.Option(help="Held-out people to measure on.", metavar="JSON[:DIR]")] = None,
    crowds: Annotated[
        list[str] | None,
        typer.Option(help="Simulated crowds to measure on, all together; repeatable.", metavar="JSON[:DIR]"),
    ] = None,
    preset: Annotated[str, typer.Option(help="The network whose modules are switched.")] = "nano",
    variants: Annotated[
        str, typer.Option(help="Out of plain, plain+conv, sgm, trp, trp+sgm, dense.", metavar="ARM,ARM")
    ] = "plain,trp,trp+sgm,dense",
    seeds: Annotated[int, typer.Option(min=1, help="How many times each variant is trained.")] = 3,
    start_from: Annotated[
        Path | None,
        typer.Option(
            help="A model directory: its backbone, and whatever else fits, starts every variant.", metavar="DIR"
        ),
    ] = None,
    backbone_from: BackboneFrom = None,
    settings: Settings = None,
    workers: Workers = 1,
    bootstrap: Annotated[int, typer.Option(min=1, help="Draws of images and seeds behind the intervals.")] = 1000,
    collect: Annotated[bool, typer.Option("--collect", help="Train nothing; measure what is trained.")] = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Do it all with tiny networks on a few made-up images, from two seeds.")
    ] = False,
) -> None:
    """Train a network with and without the paper's modules and tell what they bring. Needs rsgnet\\[train].

    Variants differ in nothing but themselves: data, budget, seeds and starting weights are the same. plain+conv has no
    relation but convolutions of its cost. Run it again to go on: finished runs are not repeated, and processes that run
    it at the same time share the work. Poses are found without flip test about the truth's boxes; a difference to plain
    is paired by seed and image. The tables go to OUT/ablation.md and .json.

    With --start-from a network that has the modules, variants that have them begin trained and win any short
    comparison: start from a plain network, or give --backbone-from, with which all heads begin anew.

    Crowds that nobody was trained on are made of the held-out people, once, 100 scenes for each level:

      rsgnet crowds crowds-easy --scenes 100 --crowd-index 0 0.2 --seed 7 --people val.json:images

      rsgnet crowds crowds-medium --scenes 100 --crowd-index 0.2 0.8 --seed 7 --people val.json:images

      rsgnet crowds crowds-hard --scenes 100 --crowd-index 0.8 1.2 --seed 7 --people val.json:images

    [dim]Examples:[/dim]

      rsgnet ablate --smoke --out ablation

      rsgnet ablate --data train.json:images --validate val.json:images --crowds crowds-easy/crowds.json
      --crowds crowds-medium/crowds.json --crowds crowds-hard/crowds.json --backbone-from runs/plain/model
      --variants plain,plain+conv,trp,trp+sgm,dense --out ablation
    """
    with requires_train_extra():
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
        preset, tuple(settings or []), variants_named(variants), seeds, tuple(data or []), out, start_from,
        backbone_from,
        workers, tell=lambda line: typer.echo(line, err=True),
    )  # fmt: skip
    benchmarks = _benchmarks(validate, crowds or [])  # what is missing is told before anything is trained
    _tell_variants(ablation)
    if not collect and not train_runs(ablation):
        typer.echo("what is left is being trained by other processes; the last of them measures", err=True)
        return
    _conclude(ablation, benchmarks, bootstrap)


def _benchmarks(validate: str | None, crowds: list[str]) -> list[Benchmark]:
    from rsgnet.annotations.catalog import labels_and_images
    from rsgnet.reproduce.ablation import Benchmark

    named = {"validation": [validate] if validate else [], "simulated crowds": crowds}
    return [Benchmark(name, tuple(map(labels_and_images, texts))) for name, texts in named.items() if texts]


def _tell_variants(ablation: Ablation) -> None:
    from rsgnet.reproduce.ablation_table import variant_row

    for variant in ablation.variants:
        row = variant_row(ablation, variant)
        typer.echo(
            f"{variant.name}: {row.cost.parameters / 1e6:.3f} M parameters, {row.macs / 1e6:.0f} M multiply-adds, "
            f"{row.taken} of {row.tensors} tensors from the weights given, {len(row.seeds)} seeds trained",
            err=True,
        )


def _conclude(ablation: Ablation, benchmarks: list[Benchmark], bootstrap: int) -> None:
    from rsgnet.reproduce.ablation import measure_runs
    from rsgnet.reproduce.ablation_table import as_json, markdown, variant_row

    outcomes = [measure_runs(ablation, benchmark, bootstrap) for benchmark in benchmarks]
    rows = [variant_row(ablation, variant) for variant in ablation.variants]
    text = markdown(ablation.preset, rows, outcomes)
    write_text(ablation.out / "ablation.md", text)
    write_text(ablation.out / "ablation.json", json.dumps(as_json(ablation.preset, rows, outcomes), indent=2))
    print_markdown(text)
