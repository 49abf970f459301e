"""The Dockerfile, as far as it can be checked without Docker: pinned images, no root, existing files, real commands."""

import json
import re
import shlex

import pytest
import typer
from tests.docs.pages import ROOT

from rsgnet.cli import app

TEXT = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
STARTS = [index for index, line in enumerate(LINES) if line.startswith("FROM ")]
STAGES = {
    LINES[start].split(" AS ")[1]: LINES[start:end] for start, end in zip(STARTS, [*STARTS[1:], None], strict=True)
}


def value(stage, instruction):
    return [line.partition(" ")[2] for line in STAGES[stage] if line.startswith(f"{instruction} ")]


def test_there_are_two_targets_from_pinned_images():
    assert list(STAGES) == ["wheel", "cpu", "gpu"]
    for stage in STAGES.values():
        assert re.fullmatch(r"FROM [\w./-]+:[\w.-]*\d[\w.-]* AS \w+", stage[0]) and ":latest" not in stage[0]


@pytest.mark.parametrize("stage", ["cpu", "gpu"])
def test_the_service_runs_without_rights_and_is_watched(stage):
    (user,) = value(stage, "USER")
    assert int(user) > 0 and any(f"useradd --uid {user} --create-home rsgnet" in run for run in value(stage, "RUN"))
    last_run = max(index for index, line in enumerate(STAGES[stage]) if line.startswith("RUN "))
    assert STAGES[stage].index(f"USER {user}") > last_run  # nothing is installed by that user
    (healthcheck,) = value(stage, "HEALTHCHECK")
    assert "/readyz" in healthcheck
    command = json.loads(value(stage, "ENTRYPOINT")[0]) + json.loads(value(stage, "CMD")[0])
    context = typer.main.get_command(app).make_context("rsgnet", command[1:])
    assert command[:2] == ["rsgnet", "serve"] and context.command.commands["serve"].make_context("serve", command[2:])


def test_what_is_copied_exists_and_is_not_ignored():
    named = [word for line in value("wheel", "COPY") for word in shlex.split(line)[:-1]]
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert named and all((ROOT / name).exists() and f"!{name}" in allowed for name in named)
    assert "sudo" not in TEXT and "ADD " not in TEXT and "--no-cache-dir" in TEXT
