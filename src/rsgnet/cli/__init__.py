"""The command line, one module a command. Libraries are loaded by the command that needs them."""

from __future__ import annotations

from typing import Annotated

import typer

from rsgnet.cli.ablate import ablate
from rsgnet.cli.calibrate import calibrate
from rsgnet.cli.compare import compare
from rsgnet.cli.convert import convert
from rsgnet.cli.crowds import crowds
from rsgnet.cli.data import data
from rsgnet.cli.demo import demo
from rsgnet.cli.evaluate import evaluate
from rsgnet.cli.evaluate_tracks import evaluate_tracks
from rsgnet.cli.export import export
from rsgnet.cli.info import info
from rsgnet.cli.options import BAD_INPUT, fail
from rsgnet.cli.predict import predict
from rsgnet.cli.push import push
from rsgnet.cli.reproduce import reproduce
from rsgnet.cli.serve import serve
from rsgnet.cli.show import show
from rsgnet.cli.train import train
from rsgnet.cli.train_detector import train_detector
from rsgnet.errors import RSGNetError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    predict, evaluate, evaluate_tracks, train, train_detector, calibrate, reproduce, ablate, export, convert, push,
    crowds, show, compare,
):  # fmt: skip
    app.command(no_args_is_help=True)(command)
app.command()(demo)
app.command()(info)
app.command()(serve)
app.add_typer(data, name="data")


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Everyone's pose in crowded images.

    First of all: [bold]rsgnet demo[/bold]
    """
    if version:
        import rsgnet

        typer.echo(f"rsgnet {rsgnet.__version__}")
        raise typer.Exit()


def main() -> None:
    """The program. Input that cannot be used ends it with one line and exit code 2."""
    try:
        app()
    except RSGNetError as error:
        fail(str(error), BAD_INPUT)
    except OSError as error:
        fail(f"{error.filename or 'system'}: {error.strerror or error}", BAD_INPUT)
