"""The packages that build a release are pinned with hashes, and no index or host is named."""

import re
from pathlib import Path

from packaging.requirements import Requirement

RELEASE = Path(__file__).parents[2] / "release"


def read_requirements():
    """Returns each pinned requirement with its hashes in one line."""
    joined = (RELEASE / "build.txt").read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_every_line_is_one_version_with_hashes():
    assert len(read_requirements()) > 20
    for line in read_requirements():
        assert re.match(r"[\w.-]+==[^ ]+ ( *;[^-]*)?.*--hash=sha256:[0-9a-f]{64}", line), line
        assert not re.search(r"@|://|--(index|find|extra|trusted)", line), line


def test_no_host_is_named():
    text = (RELEASE / "build.txt").read_text()
    assert not re.search(r"https?:|\.(org|com|io|net)\b|/(root|home|work|tmp)/", text)


def test_everything_in_build_in_is_pinned():
    pinned = {Requirement(re.split(r" +(?:;|--hash)", line)[0]).name.lower() for line in read_requirements()}
    required = {
        Requirement(line).name for line in (RELEASE / "build.in").read_text().splitlines() if line and line[0] != "#"
    }
    assert required <= pinned and "hatchling" in required
