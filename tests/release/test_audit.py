"""Known vulnerabilities are found in what is installed, and pyproject.toml allows no version that has one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from release.audit import ADVISORIES, find_known, main

from release import audit

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
FAULT = {"id": "X-1", "fix_versions": ["2"]}


def read_requirements():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda each: f"{each.package}{each.affected}")
def test_no_affected_version_is_allowed(advisory):
    allowed = [each.specifier for each in read_requirements() if each.name == advisory.package]
    assert allowed, f"{advisory.package} has no bound of its own"
    floor = min(Version(each.version) for each in allowed[0] if each.operator == ">=")
    candidates = {str(floor), *(each.version for each in SpecifierSet(advisory.affected)), "0.0.1"}
    candidates |= {f"{version}.1" for version in candidates}
    assert not [v for v in candidates if v in allowed[0] and v in SpecifierSet(advisory.affected)]


def test_installed_versions_are_compared():
    assert list(find_known({"lightning": "2.6.4", "h11": "0.16.0", "starlette": "1.3.1"})) == []
    (found,) = find_known({"lightning": "2.6.3", "h11": "0.16.0"})
    assert found == "lightning 2.6.3: a malicious release"
    assert len(list(find_known({"starlette": "0.39.2"}))) == 5


@pytest.mark.parametrize(
    ("output", "code", "printed"),
    [
        ("", 0, "has no data here"),
        (json.dumps({"dependencies": [{"name": "a", "skip_reason": "not found on PyPI"}]}), 0, "has no data here"),
        (json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b"}]}), 0, "1 packages by"),
        (json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": [FAULT]}]}), 1, "a 1: X-1, fixed in 2"),
    ],
)
def test_pip_audit_counts_where_it_has_data(monkeypatch, capsys, output, code, printed):
    done = subprocess.CompletedProcess([], 1, stdout=output, stderr="")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(audit, "distributions", lambda: ())
    assert main() == code
    shown = capsys.readouterr()
    assert printed in shown.out + shown.err
