"""The command line, in modules of related commands. Each command imports the libraries that it needs when it runs."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Annotated

import typer
from typer import Option

from rsgnet.cli.compare import compare
from rsgnet.cli.crowds import crowds
from rsgnet.cli.data import data
from rsgnet.cli.evaluate import evaluate, evaluate_tracks
from rsgnet.cli.fetch import fetch
from rsgnet.cli.help import HelpCommand, HelpGroup
from rsgnet.cli.models import calibrate, convert, export, info, push
from rsgnet.cli.predict import demo, predict
from rsgnet.cli.predict_dataset import predict_dataset
from rsgnet.cli.reproduce import ablate, reproduce
from rsgnet.cli.serve import serve
from rsgnet.cli.show import show
from rsgnet.cli.terminal import BAD_INPUT, exit_with_error, join_paragraph_lines, show_warnings
from rsgnet.cli.train import train
from rsgnet.errors import RSGNetError

app = typer.Typer(
    cls=HelpGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    predict, predict_dataset, evaluate, evaluate_tracks, train, calibrate, reproduce, ablate, export, convert, push,
    crowds, show, compare,
):  # fmt: skip
    app.command(no_args_is_help=True, cls=HelpCommand)(command)
for command_without_arguments in (demo, info, serve, fetch):
    app.command(cls=HelpCommand)(command_without_arguments)
app.add_typer(data, name="data")
for registered in (*app.registered_commands, *data.registered_commands):
    registered.help = join_paragraph_lines(registered.callback.__doc__ or "")


@app.callback(invoke_without_command=True)
def print_version(
    version: Annotated[bool, Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Find everyone's pose in crowded images.

    To begin: [bold]rsgnet demo[/bold]
    """
    if version:
        import rsgnet

        typer.echo(f"rsgnet {rsgnet.__version__}")
        raise typer.Exit()


def main() -> None:
    """Runs the program.

    Unusable input ends it with one line and exit code 2, SIGTERM ends it as Ctrl-C does, and warnings are lines of
    their own.
    """
    with suppress(ValueError):  # in a thread, as some tests run it
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with show_warnings():
            app()
    except RSGNetError as error:
        exit_with_error(str(error), BAD_INPUT)
    except OSError as error:
        exit_with_error(f"{error.filename or 'system'}: {error.strerror or error}", BAD_INPUT)
