"""`python -m release.licences [EXTRA ...]`: the licences of all that an install brings; exits with 1 if one is refused.

Reads what is installed: its metadata, and the libraries that lie in its wheels, for metadata do not tell of those.
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
# Libraries under the GPL that wheels are known to carry, by the names of their files.
GPL_LIBRARIES = re.compile(r"(^|/)lib(x264|x265|xvidcore|readline|fftw3|postproc)[-.]")
# What says nothing in its metadata; read in its licence file.
SILENT = {
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "faster-coco-eval": "Apache-2.0",
}
_NVIDIA = "NVIDIA's, not open source; pip fetches it with PyTorch's CUDA build, the CPU build does without"
# What is allowed although the rule refuses it, and why: docs/decisions/0022-releases.md.
EXCEPTIONS = {
    "av": "its wheel carries FFmpeg with x264 and x265 (GPL); asked for by the extra video alone, not passed on by us",
    "cuda-": _NVIDIA,
    "nvidia-": _NVIDIA,
}


@dataclass(frozen=True)
class Finding:
    """What is known of one dependency.

    Attributes:
        name: Its name and version.
        licence: What it says.
        trouble: Why the rule refuses it, "" where it does not.
        exception: Why it is allowed all the same, "" where it is not.
    """

    name: str
    licence: str
    trouble: str
    exception: str


def main(asked: Sequence[str]) -> int:
    """Prints a table of all dependencies and says which are not permitted."""
    found = [judge(each) for each in installed("rsgnet", asked or EXTRAS)]
    table = Table("dependency", "licence", "")
    for each in found:
        table.add_row(each.name, each.licence, each.exception or each.trouble or "permitted")
    Console(width=160).print(table)
    refused = [each for each in found if each.trouble and not each.exception]
    for each in refused:
        print(f"error: {each.name}: {each.trouble}", file=sys.stderr)
    print(f"{len(found)} dependencies, {sum(bool(e.exception) for e in found)} by exception, {len(refused)} refused")
    return int(bool(refused))


def installed(package: str, extras: Iterable[str]) -> list[Distribution]:
    """All that a package asks for with those extras, directly or not, by name.

    Raises:
        SystemExit: Something of it is not installed: then nothing can be said of it.
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


def judge(dependency: Distribution) -> Finding:
    """What the rule says of a dependency."""
    name = canonicalize_name(dependency.metadata["Name"])
    licence = licence_of(dependency)
    carried = sorted({str(file.name) for file in dependency.files or () if GPL_LIBRARIES.search(str(file))})
    trouble = ""
    if carried:
        trouble = f"its wheel carries {', '.join(carried)} (GPL)"
    elif not permitted(licence):
        trouble = f"licence {licence!r} is not one of those permitted"
    exception = next((why for prefix, why in EXCEPTIONS.items() if _is(name, prefix)), "") if trouble else ""
    return Finding(f"{name} {dependency.version}", licence, trouble, exception)


def licence_of(dependency: Distribution) -> str:
    """What a dependency says its licence is: an expression, else its classifiers, else its own words."""
    about = dependency.metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    words = " ".join((about.get("License") or "").split())
    classifiers = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier") or () if text[:9] == "License :"]
    told = [each for each in classifiers if each not in ("OSI Approved", "Other/Proprietary License")]
    if told:
        return " AND ".join(told)
    known = SILENT.get(canonicalize_name(about["Name"]), "nothing said")
    return words[:120] if words not in ("", "UNKNOWN") else known


def permitted(expression: str) -> bool:
    """Whether one alternative of an expression, and of that every part, is permitted."""
    while within := _IN_PARENTHESES.search(expression):
        told = "MIT" if permitted(within[1]) else "refused"
        expression = expression[: within.start()] + told + expression[within.end() :]
    return any(all(map(_part_permitted, alternative.split(" AND "))) for alternative in expression.split(" OR "))


def _part_permitted(part: str) -> bool:
    licence = part.strip().split(" WITH ")[0]
    return PERMITTED.match(licence) is not None and not REFUSED.search(part)


def _is(name: str, prefix: str) -> bool:
    return name.startswith(prefix) if prefix.endswith("-") else name == prefix


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
