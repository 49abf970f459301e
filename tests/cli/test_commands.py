"""What all commands have in common."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from rsgnet import cli

COMMANDS = typer.main.get_command(cli.app).commands
NAMES = [name for name in COMMANDS if name != "data"] + [f"data {name}" for name in COMMANDS["data"].commands]


@pytest.mark.parametrize("name", NAMES)
def test_help_has_examples(name):
    result = CliRunner().invoke(cli.app, [*name.split(), "--help"])
    assert result.exit_code == 0 and "Examples:" in result.output and f"rsgnet {name}" in result.output


@pytest.mark.parametrize("name", NAMES)
def test_help_fits_100_columns(name):
    group, _, sub_command = name.partition(" ")
    command = COMMANDS["data"].commands[sub_command] if sub_command else COMMANDS[group]
    paragraphs = command.help.split("\n\n")
    assert [each for each in paragraphs if "\n" in each and not each.startswith("  ")] == []
    assert [line for line in command.help.splitlines() if line.startswith("  ") and len(line) > 98] == []


@pytest.mark.parametrize("name", ["predict", "data check"])
def test_help_imports_no_heavy_library(name):
    code = (
        "import sys; from typer.testing import CliRunner; from rsgnet import cli\n"
        f"assert CliRunner().invoke(cli.app, [*{name.split()}, '--help']).exit_code == 0\n"
        "print([name for name in ('torch', 'onnxruntime', 'numpy', 'PIL', 'yaml') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_version(rsgnet):
    assert rsgnet("--version")[1].startswith("rsgnet ")


@pytest.mark.parametrize(
    "arguments",
    [["predict"], ["predict", "a.jpg"], ["dance"], ["predict", "a.jpg", "--batch-size", "0"], ["train-detector", "x"]],
)
def test_wrong_usage_exits_with_2(rsgnet, arguments):
    assert rsgnet(*arguments)[0] == 2
