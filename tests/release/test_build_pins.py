"""What a release is built with is pinned, hashed, and says nothing of where it came from."""

import re
from pathlib import Path

from packaging.requirements import Requirement

RELEASE = Path(__file__).parents[2] / "release"


def blocks():
    """Each pinned requirement with its hashes, line ends joined."""
    joined = (RELEASE / "build.txt").read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_every_line_is_one_version_with_hashes():
    assert len(blocks()) > 20
    for line in blocks():
        assert re.match(r"[\w.-]+==[^ ]+ ( *;[^-]*)?.*--hash=sha256:[0-9a-f]{64}", line), line
        assert not re.search(r"@|://|--(index|find|extra|trusted)", line), line


def test_no_host_is_named():
    text = (RELEASE / "build.txt").read_text()
    assert not re.search(r"https?:|\.(org|com|io|net)\b|/(root|home|work|tmp)/", text)


def test_it_pins_what_is_asked_for_and_builds():
    pinned = {Requirement(re.split(r" +(?:;|--hash)", line)[0]).name.lower() for line in blocks()}
    asked = {
        Requirement(line).name for line in (RELEASE / "build.in").read_text().splitlines() if line and line[0] != "#"
    }
    assert asked <= pinned and "hatchling" in asked
