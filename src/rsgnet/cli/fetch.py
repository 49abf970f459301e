"""`rsgnet fetch`: fetches published network files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from rsgnet.cli.options import parse_out_folder
from rsgnet.errors import RSGNetError


def fetch(
    name: Annotated[
        str | None, Argument(help="A name of the table; without one the table is printed.", metavar="NAME")
    ] = None,
    *,
    out: Annotated[
        Path | None,
        Option(
            help="Folder to fetch into; default: rsgnet in the user's cache folder.",
            metavar="DIR",
            parser=parse_out_folder,
        ),
    ] = None,
    table: Annotated[
        Path | None, Option(help="A table of your own, such as of a mirror; default: this package's.", metavar="TOML")
    ] = None,
) -> None:
    """Fetch a published network file, check it by SHA-256 and print how to use it.

    Prints the licence and what the authors say of the training data. A file that is there already is not fetched again,
    and a broken connection is continued by the same command.

    [dim]Examples:[/dim]

      rsgnet fetch
      rsgnet fetch yolox-s
    """
    from rsgnet.inference.fetch import TABLE, default_folder, fetch_file, read_table

    files = read_table(table or TABLE)
    if name is None:
        for each, file in files.items():
            typer.echo(f"{each}: {file.bytes / 1e6:.0f} MB, {file.licence}, {file.score}\n  {file.address}")
        return
    if name not in files:
        raise RSGNetError(f"no published file {name!r}; there are {', '.join(files)}")
    file = files[name]
    path = fetch_file(file, out or default_folder())
    typer.echo(
        f"{path}\nlicence: {file.licence}\ntrained on: {file.training_data}\npublished: {file.score}\n"
        f"Try next: rsgnet predict PHOTOS --out out {file.use.format(path=path)}"
    )
