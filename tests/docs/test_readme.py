"""README and CONTRIBUTING: the program accepts every `rsgnet` line, every file exists, and the Python runs."""

import re
import shlex
import subprocess
import sys

import pytest
import typer
from PIL import Image
from tests.docs.pages import ROOT, blocks

from rsgnet.cli import app
from rsgnet.crowds.simulator.crowd import simulate_crowd

README = "../README.md"
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = [line for block in blocks(README) if block.language == "sh" for line in block.code.splitlines()]
INLINE = [" ".join(code.split()) for code in re.findall(r"`(rsgnet [^`]+)`", TEXT)]
LINES = sorted({line.partition(" -m ")[2] or line for line in [*SHELL, *INLINE] if re.search(r"\brsgnet [a-z]", line)})


def parse(line):
    """Returns the command and the arguments of a line; raises if the program does not accept it."""
    _, *words = shlex.split(line, comments=True)
    context = typer.main.get_command(app).make_context("rsgnet", words)
    while hasattr(context.command, "commands"):
        given = [*getattr(context, "_protected_args", []), *context.args]
        name, command, rest = context.command.resolve_command(context, given)
        context = command.make_context(name, rest, parent=context)
    return context.command.name, context.params


@pytest.mark.parametrize("line", LINES)
def test_the_program_accepts_the_line(line):
    assert parse(line)[0]


def test_an_unknown_option_is_detected():
    with pytest.raises(Exception, match="--nope"):
        parse("rsgnet predict photo.jpg --nope")
    assert len(LINES) > 30


def test_every_named_file_exists():
    targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}
    assert set(re.findall(r"\bmake (\w+)", "\n".join(SHELL))) <= targets
    named = re.findall(r"\]\(((?!http)[^)#]+)\)", TEXT) + re.findall(r"\b(?:benchmarks|examples)/\w+\.py", TEXT)
    assert len(named) > 10 and [name for name in named if not (ROOT / name).exists()] == []


def test_every_file_named_in_contributing_exists():
    named = re.findall(r"`([\w/]+\.py)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(named) > 20 and [name for name in named if not any((ROOT / "src/rsgnet").rglob(name))] == []


def test_the_python_runs(tmp_path):
    Image.fromarray(simulate_crowd(seed=3).image).save(tmp_path / "photo.jpg")
    code = "".join(block.code for block in blocks(README) if block.language == "python")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert Image.open(tmp_path / "overlay.jpg").size == (640, 480)
