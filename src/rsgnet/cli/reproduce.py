"""`rsgnet reproduce`: the paper's tables, its figures beside ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from rsgnet.cli.options import requires_train_extra
from rsgnet.errors import RSGNetError


def reproduce(
    table: Annotated[str, typer.Argument(help="table1, table2, table3 or table4.", metavar="TABLE")],
    *,
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds crowdpose/ and coco/ as published.", metavar="DIR")
    ] = None,
    runs: Annotated[
        Path, typer.Option(help="Folder whose PRESET/model are the trained networks.", metavar="DIR")
    ] = Path("runs"),
    out: Annotated[Path, typer.Option(help="Folder for boxes, poses and the table.", metavar="DIR")] = Path("tables"),
    boxes: Annotated[
        str, typer.Option(help="gt (the truth's), a COCO JSON file, or a detector as predict takes it.", metavar="SPEC")
    ] = "gt",
    train: Annotated[
        bool, typer.Option("--train/--collect", help="Train what is not trained yet, or collect what there is.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change the presets that are trained; repeatable.", metavar="K=V")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that cut crops in training.")] = 4,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Do it all with tiny networks on a few made-up images.")
    ] = False,
) -> None:
    """Measure a table of the paper; print its figures beside ours. Needs rsgnet\\[train].

    Networks are taken from RUNS/PRESET/model; those that are not there are left out, or trained with --train. Poses
    that were found with the same weights and boxes are not found again. The table goes to OUT/TABLE.md and .json.

    [dim]Examples:[/dim]

      rsgnet reproduce table4 --smoke

      rsgnet reproduce table1 --data /data --train --boxes runs/faster-rcnn-r101/model

      rsgnet reproduce table3 --data /data --boxes coco-test-dev-boxes.json
    """
    with requires_train_extra():
        from rsgnet.reproduce import measure, synthetic_data, tables
    from rsgnet.files import write_text

    wanted = tables.table_named(table)
    given = {block.data: boxes for block in wanted.blocks}
    if smoke:
        data, runs, workers = out / "smoke-data", out / "smoke-runs", 0
        given |= synthetic_data.write_data_sets(data)
    if data is None:
        raise RSGNetError("reproduce needs --data DIR, the folder of CrowdPose and COCO, or --smoke")
    place = measure.Workplace(
        data, runs, out, given,
        train_missing=train or smoke,
        settings=lambda preset: (synthetic_data.tiny_settings(preset) if smoke else []) + (settings or []),
        workers=workers,
        tell=lambda line: typer.echo(line, err=True),
    )  # fmt: skip
    figures = [measure.measure(block, place) for block in wanted.blocks]
    found_by = [given[block.data] for block in wanted.blocks]
    text = tables.markdown(wanted, figures, found_by)
    write_text(out / f"{table}.md", text)
    write_text(out / f"{table}.json", json.dumps(tables.as_json(wanted, figures, found_by), indent=2))
    typer.echo(text)
    untrained = sorted({row.preset for block in wanted.blocks for row in measure.untrained(block, place) if row.preset})
    if untrained:
        typer.echo(f"Not trained yet: {', '.join(untrained)}. --train trains them into {runs}.", err=True)
