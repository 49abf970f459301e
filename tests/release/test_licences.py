"""Which licences the check permits and refuses, and that all dependencies pass it."""

import sys
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest
from release.licences import EXTRAS, check_licence, find_dependencies, is_permitted, main, read_licence

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")


class FakeDistribution:
    """A dependency with the given metadata."""

    version, requires = "1.0", ()

    def __init__(self, *fields, files=(), name="thing"):
        self.metadata = Message()
        self.metadata["Name"] = name
        for key, value in fields:
            self.metadata[key] = value
        self.files = [PurePosixPath(file) for file in files]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("BSD-3-Clause AND (0BSD OR GPL-3.0-only) AND MIT", True),
        ("GPL-3.0-only AND (MIT OR BSD-3-Clause)", False),
        ("MIT AND (GPL-3.0-only OR (Apache-2.0 AND LGPL-2.1-only))", False),
        ("ISC License (ISCL)", True),
        ("GPL-3.0-or-later OR MIT", True),
        ("MPL-2.0 AND MIT", True),
        ("AGPL-3.0-only", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("GNU Affero General Public License v3", False),
        ("CC-BY-NC-4.0", False),
        ("MIT, non-commercial use only", False),
        ("BSD, but not for commercial use: non-commercial", False),
        ("Proprietary", False),
        ("nothing said", False),
    ],
)
def test_expressions(expression, expected):
    assert is_permitted(expression) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("License-Expression", "MIT"), ("License", "GPL")], "MIT"),
        ([("Classifier", "License :: OSI Approved :: BSD License"), ("License", "see LICENSE")], "BSD License"),
        ([("Classifier", "License :: OSI Approved"), ("License", "ISC")], "ISC"),
        ([("License", "UNKNOWN")], "nothing said"),
        (
            [("Classifier", f"License :: OSI Approved :: {name}") for name in ("MIT License", "GNU GPL")],
            "MIT License AND GNU GPL",
        ),
    ],
)
def test_the_licence_in_metadata(fields, expected):
    assert read_licence(FakeDistribution(*fields)) == expected


def test_a_library_under_the_gpl_in_a_permissive_wheel_is_found():
    files = ["thing/__init__.py", "thing.libs/libx264-d6533a8d.so.165"]
    found = check_licence(FakeDistribution(("License-Expression", "BSD-3-Clause"), files=files))
    assert "libx264" in found.problem and not found.exception
    assert check_licence(FakeDistribution(("License-Expression", "BSD-3-Clause"), files=files, name="av")).exception
    assert not check_licence(FakeDistribution(("License-Expression", "BSD-3-Clause"), files=files[:1])).problem
    assert check_licence(FakeDistribution(("License", "Other"), name="nvidia-thing")).exception


def test_all_dependencies_of_all_extras_are_permitted(capsys):
    names = {each.metadata["Name"].lower() for each in find_dependencies("rsgnet", EXTRAS)}
    assert {"numpy", "torch", "av", "ray", "fastapi", "openvino"} <= names
    assert main([]) == 0 and "0 refused" in capsys.readouterr().out


def test_every_extra_is_checked():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    assert {*EXTRAS, "all", "docs", "dev"} == set(extras)
