"""`python -m release.check`: builds the sdist and the wheel, checks their files, and runs the installed wheel.

Needs the packages pinned in release/build.txt, which `make release-check` installs first.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
SDIST_FILES = (
    "src/rsgnet/__init__.py", "tests/cli/test_predict.py", "tests/soak/__main__.py", "docs/index.md", "mkdocs.yml",
    "examples", "benchmarks", "release/build.txt", "Makefile", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff",
    "LICENSE", "README.md", "pyproject.toml", "PKG-INFO",
)  # fmt: skip
WHEEL_FILES = (
    "rsgnet/py.typed", "rsgnet/weights/nano/model.onnx", "rsgnet/weights/small/model.onnx",
    "rsgnet/weights/detector-nano/model.onnx", "rsgnet/server/page",
)  # fmt: skip
MAX_WHEEL_MB = 40


def main() -> int:
    """Runs all checks; the first that fails ends the program with its reason."""
    with tempfile.TemporaryDirectory(prefix="rsgnet-release-") as name:
        folder = Path(name)
        run(
            sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT
        )  # builds the wheel from the sdist
        (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
        run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
        check_names(list_sdist(sdist), SDIST_FILES, sdist.name)
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        check_names(names, WHEEL_FILES, wheel.name)
        foreign = [each for each in names if not each.startswith(("rsgnet/", "rsgnet-"))]
        require(not foreign, f"{wheel.name} holds files of no package: {foreign[:5]}")
        require(wheel.stat().st_size < MAX_WHEEL_MB << 20, f"{wheel.name} is larger than {MAX_WHEEL_MB} MB")
        check_installed(wheel, folder)
        print(
            f"{sdist.name}, {wheel.name} ({wheel.stat().st_size / 2**20:.1f} MB): built, complete, installed and used"
        )
    return 0


def check_installed(wheel: Path, folder: Path) -> None:
    """Installs the wheel into a new environment and runs its commands outside the checkout."""
    venv.create(folder / "light", with_pip=True)
    programs = folder / "light" / ("Scripts" if sys.platform == "win32" else "bin")
    run(programs / "python", "-m", "pip", "install", "--quiet", wheel)
    run(programs / "python", "-m", "pip", "check")
    version = run(programs / "rsgnet", "--version", cwd=folder).split()[-1]
    require(wheel.name.startswith(f"rsgnet-{version}-"), f"{wheel.name}: rsgnet --version prints {version}")
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    require(heading is not None and heading[1] == version, f"CHANGELOG.md does not begin with {version}")
    require("predict" in run(programs / "rsgnet", "--help", cwd=folder), "rsgnet --help names no command")
    run(programs / "rsgnet", "demo", "--out", folder / "demo", cwd=folder)
    require(any((folder / "demo").rglob("*.jpg")) or any((folder / "demo").rglob("*.png")), "rsgnet demo drew nothing")
    torch_is_absent = "import importlib.util as u, sys; sys.exit(bool(u.find_spec('torch')))"
    run(programs / "python", "-c", torch_is_absent, cwd=folder)


def list_sdist(sdist: Path) -> list[str]:
    """Returns the files of an sdist, relative to its top folder."""
    with tarfile.open(sdist) as archive:
        return ["/".join(PurePosixPath(each.name).parts[1:]) for each in archive.getmembers()]


def check_names(names: Sequence[str], required: Sequence[str], archive: str) -> None:
    """Refuses an archive that lacks a file or every file of a folder, or that holds private files."""
    missing = [each for each in required if not any(name == each or name.startswith(f"{each}/") for name in names)]
    require(not missing, f"{archive} lacks {missing}")
    private = [name for name in names if re.match(r"(data|runs|out|shared|\.venv)[^/]*(/|$)", name)]
    require(not private, f"{archive} holds private files: {private[:5]}")


def require(condition: bool, message: str) -> None:
    """Ends the program with the message if the condition does not hold."""
    if not condition:
        sys.exit(f"error: {message}")


def run(*command: object, cwd: Path = ROOT) -> str:
    """Runs a command and returns its output; ends the program if the command fails."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
