"""What the commands say: a progress bar, one line an error, tables, and how they exit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

import typer

BAD_IMAGES, BAD_INPUT, INTERRUPTED = 1, 2, 130  # exit codes


@contextmanager
def progress(total: int | None, out: Path | str, what: str = "images") -> Iterator[Callable[[object, object], None]]:
    """A bar on the terminal that is told of each image; errors come out above it, each in one line."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    done = 0
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(what, total=total)
    # Elsewhere than on a terminal it is not even begun: older versions of rich end one that is disabled with a line.
    with bar if console.is_terminal else nullcontext():

        def report(_: object, outcome: object) -> None:
            nonlocal done
            done += 1
            if isinstance(outcome, Exception):
                console.print(f"error: {_one_line(outcome)}", markup=False, highlight=False, soft_wrap=True)
            bar.advance(task)

        try:
            yield report
        except KeyboardInterrupt:
            if console.is_terminal:
                bar.stop()
            typer.echo(f"interrupted; what was done ({done} {what}) is written to {out}", err=True)
            raise typer.Exit(INTERRUPTED) from None


def print_metrics(metrics: dict[str, float], columns: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """A table of figures on standard output.

    Args:
        metrics: A row each.
        columns: More columns, by their titles: what to say of the metrics that they know.
    """
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    columns = columns or {}
    table = Table("metric", "value", *columns)
    for name, value in metrics.items():
        told = f"{value:.4f}" if isinstance(value, float) else str(value)
        table.add_row(name, told, *(column.get(name, "") for column in columns.values()))
    Console().print(table)


def print_markdown(text: str) -> None:
    """Markdown on standard output: laid out on a terminal, else as it is."""
    from rich.console import Console  # noqa: PLC0415
    from rich.markdown import Markdown  # noqa: PLC0415

    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        typer.echo(text)


def _one_line(error: Any) -> str:
    return " ".join(str(error).split())


def fail(message: str, code: int) -> NoReturn:
    """Ends the program with one line on standard error."""
    typer.echo(f"error: {_one_line(message)}", err=True)
    sys.exit(code)
