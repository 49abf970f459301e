"""`python -m release.audit`: checks the installed packages against known vulnerabilities; exits with 1 if one has any.

Two sources: the list below, which is kept by hand and needs no network, and pip-audit's where it can be reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Advisory:
    """A vulnerability of a dependency.

    Attributes:
        package: The name of the package.
        affected: The versions that have it.
        effect: What it does, with its number where it has one.
    """

    package: str
    affected: str
    effect: str


# `pyproject.toml` allows none of these versions; a test checks it. A release adds what became known since the last one.
ADVISORIES = (
    Advisory("lightning", "==2.6.2", "a malicious release"),
    Advisory("lightning", "==2.6.3", "a malicious release"),
    Advisory("starlette", "<0.40", "a form field fills the memory (CVE-2024-47874)"),
    Advisory("starlette", "<0.47.2", "a large file blocks the event loop (CVE-2025-54121)"),
    Advisory("starlette", ">=0.39,<0.49.1", "a Range header takes quadratic time (CVE-2025-62727)"),
    Advisory("starlette", "<1.0.1", "a Host header changes the path of request.url (CVE-2026-48710)"),
    Advisory("starlette", ">=0.4.1,<1.3.1", "the limits of urlencoded forms are ignored (CVE-2026-54283)"),
    Advisory("h11", "<0.16", "malformed chunks are accepted: request smuggling (CVE-2025-43859)"),
    Advisory("python-multipart", "<0.0.18", "data around the parts is logged byte by byte (CVE-2024-53981)"),
    Advisory("python-multipart", "<0.0.22", "a file name writes outside the folder (CVE-2026-24486)"),
    Advisory("python-multipart", "<0.0.26", "large data around the parts takes long (CVE-2026-40347)"),
    Advisory("python-multipart", "<0.0.27", "a part may have endless headers (CVE-2026-42561)"),
    Advisory("python-multipart", "<0.0.30", "a query takes quadratic time (CVE-2026-53539)"),
    Advisory("pyarrow", "<14.0.1", "reading runs code of the file (CVE-2023-47248)"),
    Advisory("pyarrow", ">=15,<23.0.1", "reading a file uses freed memory (CVE-2026-25087)"),
    Advisory("pillow", "<10.3", "a buffer overflow in colour management (CVE-2024-28219)"),
    Advisory("torch", "<2.6", "torch.load(weights_only=True) runs code (CVE-2025-32434)"),
    Advisory("onnx", "<1.17", "a downloaded archive writes outside the folder (CVE-2024-7776)"),
)


def main() -> int:
    """Prints the vulnerabilities of the installed packages and returns the exit code."""
    installed = {canonicalize_name(each.metadata["Name"]): each.version for each in distributions()}
    found = list(find_known(installed))
    audited, listed = find_with_pip_audit()
    for line in dict.fromkeys([*found, *listed]):
        print(f"error: {line}", file=sys.stderr)
    print(
        f"{len(installed)} packages, {len(found) + len(listed)} findings; checked against {len(ADVISORIES)} advisories "
        f"of the list by hand, and {audited} packages by pip-audit"
    )
    if not audited:
        print("note: pip-audit has no data here; run it again with a network, where PyPI itself is reached")
    return int(bool(found or listed))


def find_known(installed: Mapping[str, str]) -> Iterator[str]:
    """Yields a line for every advisory of the list that an installed version falls under."""
    for each in ADVISORIES:
        version = installed.get(each.package)
        if version is not None and SpecifierSet(each.affected, prereleases=True).contains(version):
            yield f"{each.package} {version}: {each.effect}"


def find_with_pip_audit() -> tuple[int, list[str]]:
    """Returns how many packages pip-audit has data of, and a line for every vulnerability that it finds.

    Some mirrors of PyPI have packages, but no vulnerabilities; pip-audit skips these packages and reports success.
    """
    command = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--format", "json"]
    done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False)
    try:
        packages = [each for each in json.loads(done.stdout)["dependencies"] if "vulns" in each]
    except json.JSONDecodeError:
        return 0, []
    return len(packages), [
        f"{package['name']} {package['version']}: {fault['id']}, fixed in {', '.join(fault['fix_versions']) or 'none'}"
        for package in packages
        for fault in package["vulns"]
    ]


if __name__ == "__main__":
    sys.exit(main())
