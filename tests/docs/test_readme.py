"""What the README shows: every `rsgnet` line is one that the program takes, what it names is there, the Python runs."""

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


def parsed(line):
    """The command that a line means, and its arguments; what the program would not take raises."""
    _, *words = shlex.split(line, comments=True)
    context = typer.main.get_command(app).make_context("rsgnet", words)
    while hasattr(context.command, "commands"):
        given = [*getattr(context, "_protected_args", []), *context.args]
        name, command, rest = context.command.resolve_command(context, given)
        context = command.make_context(name, rest, parent=context)
    return context.command.name, context.params


@pytest.mark.parametrize("line", LINES)
def test_the_program_takes_the_line(line):
    assert parsed(line)[0]


def test_a_line_that_it_would_not_take_is_found_out():
    with pytest.raises(Exception, match="--nope"):
        parsed("rsgnet predict photo.jpg --nope")
    assert len(LINES) > 30


def test_what_it_names_is_there():
    made = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}
    assert set(re.findall(r"\bmake (\w+)", "\n".join(SHELL))) <= made
    named = re.findall(r"\]\(((?!http)[^)#]+)\)", TEXT) + re.findall(r"\b(?:benchmarks|examples)/\w+\.py", TEXT)
    assert len(named) > 10 and [name for name in named if not (ROOT / name).exists()] == []


def test_the_three_lines_run(tmp_path):
    Image.fromarray(simulate_crowd(seed=3).image).save(tmp_path / "photo.jpg")
    (code,) = (block.code for block in blocks(README) if block.language == "python")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert Image.open(tmp_path / "overlay.jpg").size == (640, 480)
