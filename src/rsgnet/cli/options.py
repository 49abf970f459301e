"""Options that several commands share, and what they ask of the installation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from rsgnet.errors import requires_extra

Weights = Annotated[
    str,
    typer.Option(
        help="A shipped name, a model directory, an .onnx (openvino: .xml) file, or hub:USER/MODEL.",
        metavar="NAME|PATH|HUB",
    ),
]
Out = Annotated[Path, typer.Option(help="Folder to write into; made if it is missing.", metavar="DIR")]
Flip = Annotated[
    bool | None, typer.Option("--flip/--no-flip", help="Average with the mirrored crop; default: as the weights say.")
]
Backend = Annotated[str, typer.Option(help="onnx (ONNX Runtime), torch (PyTorch) or openvino.")]
Precision = Annotated[
    str, typer.Option(help="Of the pose network: float32, bf16 (torch, openvino) or int8 (openvino, where exported).")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Crops in one run of the network.")]
MaxPixels = Annotated[int, typer.Option(min=1, help="Images with more pixels than this are refused.")]

# Of the commands that train.
TrainingData = Annotated[
    list[str],
    typer.Option(help="LABELS.json[:IMAGES_DIR][,weight=2][,partial]; repeatable.", metavar="DATA"),
]
RunFolder = Annotated[Path, typer.Option(help="Folder for checkpoints, curves and the model.", metavar="DIR")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change the preset; repeatable.", metavar="KEY=VALUE")
]
Validation = Annotated[str | None, typer.Option(help="What to validate on, as --data.", metavar="DATA")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")]
StartFrom = Annotated[Path | None, typer.Option(help="A model directory whose weights to start from.", metavar="DIR")]
BackboneFrom = Annotated[
    Path | None, typer.Option(help="A model directory whose backbone to start from.", metavar="DIR")
]
FittingFrom = Annotated[
    Path | None,
    typer.Option(help="A model directory of which to start from whatever fits: to grow a network.", metavar="DIR"),
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that cut crops, for each that trains.")]
Devices = Annotated[int | None, typer.Option(min=1, help="GPUs, or processes where there is none; default: all GPUs.")]
ValidateEvery = Annotated[int, typer.Option(min=1, help="Epochs between validations.")]


def requires_train_extra() -> AbstractContextManager[None]:
    """Names the extra to install where a library of training is missing."""
    return requires_extra("this", "train")


BAD_IMAGES, BAD_INPUT, INTERRUPTED = 1, 2, 130  # exit codes


@contextmanager
def progress(total: int | None, out: Path | str, what: str = "images") -> Iterator[Callable[[object, object], None]]:
    """A bar on the terminal that is told of each image; errors come out above it, each in one line."""
    from rich.console import Console
    from rich.progress import Progress

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
    from rich.console import Console
    from rich.table import Table

    columns = columns or {}
    table = Table("metric", "value", *columns)
    for name, value in metrics.items():
        told = f"{value:.4f}" if isinstance(value, float) else str(value)
        table.add_row(name, told, *(column.get(name, "") for column in columns.values()))
    Console().print(table)


def print_markdown(text: str) -> None:
    """Markdown on standard output: laid out on a terminal, else as it is."""
    from rich.console import Console
    from rich.markdown import Markdown

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
