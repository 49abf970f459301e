"""`python -m release.licences [EXTRA ...]`: checks the licences of all dependencies; exits with 1 if one is refused.

Reads the metadata of the installed packages, and the names of the libraries in their wheels, which metadata omit.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rich.console import Console
from rich.table import Table

EXTRAS = ("train", "openvino", "int8", "supervision", "hub", "serve", "video", "ray")
REFUSED = re.compile(r"\bA?GPL|General Public|non-?commercial|\bNC\b|SSPL|Server Side Public|Commons Clause", re.I)
PERMITTED = re.compile(
    r"^(MIT(-0|-CMU)?|(0|\d-clause )?BSD.*|(modified|new|simplified) BSD|Apache.*|ISC.*|PSF.*"
    r"|Python Software Foundation.*"
    r"|MPL[- ]2\.0|Mozilla Public License 2\.0.*|Zlib|CC0-1\.0|BSL-1\.0|HPND|Unlicense|FreeBSD|3-Clause BSD License"
    r"|(The )?MIT License.*|OSI Approved :: Apache.*|Public Domain)$",
    re.I,
)
_IN_PARENTHESES = re.compile(r"\(([^()]* (?:AND|OR) [^()]*)\)")
# Names of the files of libraries under the GPL that some wheels contain.
GPL_LIBRARIES = re.compile(r"(^|/)lib(x264|x265|xvidcore|readline|fftw3|postproc)[-.]")
# Packages whose metadata name no licence; these are from their licence files.
LICENCES_BY_HAND = {"cuda-toolkit": "LicenseRef-NVIDIA-Proprietary", "faster-coco-eval": "Apache-2.0"}
_NVIDIA = "NVIDIA's, not open source; pip installs it with PyTorch's CUDA build, the CPU build needs none"
# Packages that are allowed although the rule refuses them, and why; see docs/decisions/0018-releases.md.
EXCEPTIONS = {
    "av": "its wheel contains FFmpeg with x264 and x265 (GPL); only the extra video installs it, and we do not ship it",
    "cuda-": _NVIDIA,
    "nvidia-": _NVIDIA,
}


@dataclass(frozen=True)
class Finding:
    """The licence of one dependency and the verdict on it.

    Attributes:
        name: Its name and version.
        licence: The licence that it states.
        problem: Why the rule refuses it, "" where it does not.
        exception: Why it is allowed nevertheless, "" where it is not.
    """

    name: str
    licence: str
    problem: str
    exception: str


def main(asked: Sequence[str]) -> int:
    """Prints a table of all dependencies and the refused ones; returns the exit code."""
    found = [check_licence(each) for each in find_dependencies("rsgnet", asked or EXTRAS)]
    table = Table("dependency", "licence", "")
    for each in found:
        table.add_row(each.name, each.licence, each.exception or each.problem or "permitted")
    Console(width=160).print(table)
    refused = [each for each in found if each.problem and not each.exception]
    for each in refused:
        print(f"error: {each.name}: {each.problem}", file=sys.stderr)
    print(f"{len(found)} dependencies, {sum(bool(e.exception) for e in found)} by exception, {len(refused)} refused")
    return int(bool(refused))


def find_dependencies(package: str, extras: Iterable[str]) -> list[Distribution]:
    """Returns all direct and indirect dependencies of a package with some extras, ordered by name.

    Raises:
        SystemExit: A dependency is not installed, so that its licence cannot be read.
    """
    found: dict[str, Distribution] = {}
    waiting = [(package, frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, wanted = each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"error: {name} is not installed: run this where rsgnet[all] is")
        for text in found[name].requires or ():
            requirement = Requirement(text)
            chosen = wanted or {""}
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in chosen):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    del found[package]
    return [found[name] for name in sorted(found)]


def check_licence(dependency: Distribution) -> Finding:
    """Returns the verdict on a dependency."""
    name = canonicalize_name(dependency.metadata["Name"])
    licence = read_licence(dependency)
    gpl_libraries = sorted({str(file.name) for file in dependency.files or () if GPL_LIBRARIES.search(str(file))})
    problem = ""
    if gpl_libraries:
        problem = f"its wheel contains {', '.join(gpl_libraries)} (GPL)"
    elif not is_permitted(licence):
        problem = f"licence {licence!r} is not permitted"
    exception = next((why for prefix, why in EXCEPTIONS.items() if _matches(name, prefix)), "") if problem else ""
    return Finding(f"{name} {dependency.version}", licence, problem, exception)


def read_licence(dependency: Distribution) -> str:
    """Returns the licence in a dependency's metadata: an expression, else its classifiers, else free text."""
    metadata = dependency.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    text = " ".join((metadata.get("License") or "").split())
    classifiers = [
        each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or () if each[:9] == "License :"
    ]
    specific = [each for each in classifiers if each not in ("OSI Approved", "Other/Proprietary License")]
    if specific:
        return " AND ".join(specific)
    known = LICENCES_BY_HAND.get(canonicalize_name(metadata["Name"]), "nothing said")
    return text[:120] if text not in ("", "UNKNOWN") else known


def is_permitted(expression: str) -> bool:
    """Returns whether every part of one alternative of a licence expression is permitted."""
    while within := _IN_PARENTHESES.search(expression):
        replacement = "MIT" if is_permitted(within[1]) else "refused"
        expression = expression[: within.start()] + replacement + expression[within.end() :]
    return any(all(map(_is_part_permitted, alternative.split(" AND "))) for alternative in expression.split(" OR "))


def _is_part_permitted(part: str) -> bool:
    licence = part.strip().split(" WITH ")[0]
    return PERMITTED.match(licence) is not None and not REFUSED.search(part)


def _matches(name: str, prefix: str) -> bool:
    return name.startswith(prefix) if prefix.endswith("-") else name == prefix


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
