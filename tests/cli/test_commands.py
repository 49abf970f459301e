"""What all commands have in common."""

import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from rsgnet import cli
from rsgnet.cli.options import parse_out_store

COMMANDS = typer.main.get_command(cli.app).commands
NAMES = [name for name in COMMANDS if name != "data"] + [f"data {name}" for name in COMMANDS["data"].commands]


def find_command(name):
    group, _, sub_command = name.partition(" ")
    return COMMANDS["data"].commands[sub_command] if sub_command else COMMANDS[group]


@pytest.mark.parametrize("name", NAMES)
def test_help_has_examples(name):
    result = CliRunner().invoke(cli.app, [*name.split(), "--help"])
    assert result.exit_code == 0 and "Examples:" in result.output and f"rsgnet {name}" in result.output


@pytest.mark.parametrize("name", NAMES)
def test_help_fits_100_columns(name):
    command = find_command(name)
    paragraphs = command.help.split("\n\n")
    assert [each for each in paragraphs if "\n" in each and not each.startswith("  ")] == []
    assert [line for line in command.help.splitlines() if line.startswith("  ") and len(line) > 98] == []


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("name", ["", *NAMES, "data"])
def test_help_shows_names_whole_and_wraps_texts(name, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    result = CliRunner().invoke(cli.app, [*name.split(), "--help"])
    text = result.output
    command = typer.main.get_command(cli.app)
    for part in name.split():
        command = command.commands[part]
    for param in command.params:
        for shown in (*param.opts, *param.secondary_opts) if param.param_type_name == "option" else [param.metavar]:
            assert shown in text, shown
    # No types of Python, no cut words, no markup, no files that are not in the package, no line of text too long.
    assert not re.search(r"<\w+>|\u2026|\[/?(bold|dim)|docs/\w+\.md", text)
    described = [line for line in text.splitlines() if line.startswith("      ") and "rsgnet " not in line]
    assert max(map(len, described), default=0) <= min(width, 100)


def test_help_says_what_is_required_and_the_defaults():
    text = " ".join(CliRunner().invoke(cli.app, ["predict", "--help"], env={"COLUMNS": "100"}).output.split())
    assert "Output folder; created if missing. [required]" in text and "[default: auto]" in text
    assert "--flip/--no-flip" in text and "Usage: rsgnet predict SOURCE... OPTIONS" in text.replace("root", "rsgnet")


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


WITH_OUT = [name for name in NAMES if any("--out" in param.opts for param in find_command(name).params)]


@pytest.mark.parametrize("name", WITH_OUT)
def test_an_output_that_cannot_be_made_is_found_before_any_work(rsgnet, tmp_path, name):
    """Nothing else that these commands are given exists; none says so, because none looks for it."""
    (tmp_path / "file").write_text("")
    required = [param for param in find_command(name).params if param.required and "--out" not in param.opts]
    others = [
        text
        for param in required
        for text in ([param.opts[0], "missing"] if param.param_type_name == "option" else ["missing"])
    ]
    code, _, errors = rsgnet(*name.split(), *others, "--out", tmp_path / "file" / "below")
    assert (code, errors) == (2, [f"error: {tmp_path / 'file'}: Not a directory"])


@pytest.mark.parametrize(("form", "name"), [("csv", "folder"), ("yolo", "file"), ("openpose", "file")])
def test_a_conversion_to_the_wrong_kind_of_output_is_found_before_any_work(rsgnet, tmp_path, form, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    code, _, errors = rsgnet("data", "convert", "missing", "--to", form, "--out", tmp_path / name)
    assert code == 2 and errors[0].startswith(f"error: {tmp_path / name}: ") and "missing" not in errors[0]


def test_a_store_is_no_local_folder():
    for uri in ("s3://bucket/poses", "memory://out", "file:///tmp"):
        assert parse_out_store(uri) == uri
    with pytest.raises(NotADirectoryError):
        parse_out_store(f"file://{__file__}/below")
