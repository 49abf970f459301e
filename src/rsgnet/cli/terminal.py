"""What commands show on the terminal: exit codes, error lines, progress bars and tables."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

import typer

from rsgnet.errors import RSGNetWarning

BAD_IMAGES, BAD_INPUT, INTERRUPTED = 1, 2, 130  # exit codes


def exit_with_error(message: str, code: int) -> NoReturn:
    """Ends the program with one line on standard error."""
    typer.echo(f"error: {_join_lines(message)}", err=True)
    sys.exit(code)


@contextmanager
def show_warnings() -> Iterator[None]:
    """Prints this package's warnings on standard error in one line each, without the place in the code."""
    show_other = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, RSGNetWarning):
            typer.echo(f"warning: {_join_lines(str(message))}", err=True)
        else:
            show_other(message, category, *place, **more)

    with warnings.catch_warnings():
        setattr(warnings, "showwarning", show)  # noqa: B010 - a signature of its own, as its documentation says
        yield


@contextmanager
def show_progress(
    total: int | None, out: Path | str, unit: str = "images"
) -> Iterator[Callable[[object, object], None]]:
    """Shows a progress bar on a terminal, and errors above it in one line each.

    Args:
        total: The number of items, None where it is not known.
        out: Where the results are written, for the message after Ctrl-C.
        unit: What the items are, in the plural.

    Yields:
        A function of an item and its outcome; it advances the bar and shows the outcome if it is an exception.

    Raises:
        typer.Exit: The block was interrupted by Ctrl-C.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    console = Console(stderr=True)
    done = 0
    bar = Progress(  # on one line, whatever the width
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(None, table_column=Column(ratio=1, max_width=40)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task(unit, total=total)
    # Without a terminal the bar is not even started, because older versions of rich end a disabled one with a line.
    with bar if console.is_terminal else nullcontext():

        def report(_: object, outcome: object) -> None:
            nonlocal done
            done += 1
            if isinstance(outcome, Exception):
                console.print(f"error: {_join_lines(str(outcome))}", markup=False, highlight=False, soft_wrap=True)
            bar.advance(task)

        try:
            yield report
        except KeyboardInterrupt:
            if console.is_terminal:
                bar.stop()
            typer.echo(f"interrupted; the results of {done} {unit} are in {out}", err=True)
            raise typer.Exit(INTERRUPTED) from None


def print_metrics(metrics: Mapping[str, float], columns: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Prints a table with a row per metric.

    Args:
        metrics: The values of the metrics by name.
        columns: Further columns by title; each maps names of metrics to texts.
    """
    from rich.console import Console
    from rich.table import Table

    columns = columns or {}
    table = Table("metric", "value", *columns)
    for name, value in metrics.items():
        text = f"{value:.4f}" if isinstance(value, float) else str(value)
        if isinstance(value, float) and value < 0 and name.startswith(("AP", "AR")):
            text = "none"  # no labelled person of this size or level
        table.add_row(name, text, *(column.get(name, "") for column in columns.values()))
    Console().print(table)


def print_markdown(text: str) -> None:
    """Prints Markdown, formatted on a terminal and unchanged elsewhere."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        typer.echo(text)


def join_paragraph_lines(docstring: str) -> str:
    """Returns a docstring with one line per paragraph, so that the help fits any terminal.

    Typer keeps line breaks within paragraphs. Indented paragraphs, such as examples, keep theirs here.
    """
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(each if each.startswith(" ") else each.replace("\n", " ") for each in paragraphs)


def _join_lines(text: str) -> str:
    return " ".join(text.split())
