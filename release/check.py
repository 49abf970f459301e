"""`python -m release.check`: builds what would be released, installs it where nothing else is, and uses it.

Needs what release/build.txt pins; `make release-check` installs that, and nothing but that, first.
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
IN_SDIST = ("src/rsgnet/__init__.py", "tests/test_cli.py", "tests/soak/__main__.py", "docs/index.md", "mkdocs.yml",
            "examples", "benchmarks", "release/build.txt", "Makefile", "CHANGELOG.md", "CONTRIBUTING.md",
            "CITATION.cff", "LICENSE", "README.md", "pyproject.toml", "PKG-INFO")  # fmt: skip
IN_WHEEL = ("rsgnet/py.typed", "rsgnet/weights/nano/model.onnx", "rsgnet/weights/small/model.onnx",
            "rsgnet/weights/detector-nano/model.onnx", "rsgnet/server/page")  # fmt: skip
LARGEST_WHEEL_MB = 40


def main() -> int:
    """Does all checks; the first that fails ends it with what it found."""
    with tempfile.TemporaryDirectory(prefix="rsgnet-release-") as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)  # the wheel out of the sdist
        (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
        run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
        check_names(sdist_names(sdist), IN_SDIST, sdist.name)
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        check_names(names, IN_WHEEL, wheel.name)
        strange = [each for each in names if not each.startswith(("rsgnet/", "rsgnet-"))]
        require(not strange, f"{wheel.name} holds what is not the package: {strange[:5]}")
        require(wheel.stat().st_size < LARGEST_WHEEL_MB << 20, f"{wheel.name} is larger than {LARGEST_WHEEL_MB} MB")
        use(wheel, folder)
        print(
            f"{sdist.name}, {wheel.name} ({wheel.stat().st_size / 2**20:.1f} MB): built, complete, installed and used"
        )
    return 0


def use(wheel: Path, folder: Path) -> None:
    """Installs the wheel into an environment of its own and runs its commands from elsewhere than the checkout."""
    venv.create(folder / "light", with_pip=True)
    programs = folder / "light" / ("Scripts" if sys.platform == "win32" else "bin")
    run(programs / "python", "-m", "pip", "install", "--quiet", wheel)
    run(programs / "python", "-m", "pip", "check")
    told = run(programs / "rsgnet", "--version", cwd=folder).split()[-1]
    require(wheel.name.startswith(f"rsgnet-{told}-"), f"{wheel.name} says that it is {told}")
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    require(heading is not None and heading[1] == told, f"CHANGELOG.md does not begin with {told}")
    require("predict" in run(programs / "rsgnet", "--help", cwd=folder), "rsgnet --help names no command")
    run(programs / "rsgnet", "demo", "--out", folder / "demo", cwd=folder)
    require(any((folder / "demo").rglob("*.jpg")) or any((folder / "demo").rglob("*.png")), "rsgnet demo drew nothing")
    absent = "import importlib.util as u, sys; sys.exit(bool(u.find_spec('torch')))"
    run(programs / "python", "-c", absent, cwd=folder)


def sdist_names(sdist: Path) -> list[str]:
    """The files of an sdist, without its own folder."""
    with tarfile.open(sdist) as archive:
        return ["/".join(PurePosixPath(each.name).parts[1:]) for each in archive.getmembers()]


def check_names(names: Sequence[str], wanted: Sequence[str], what: str) -> None:
    """Refuses an archive that lacks a file, or any file of a folder."""
    missing = [each for each in wanted if not any(name == each or name.startswith(f"{each}/") for name in names)]
    require(not missing, f"{what} lacks {missing}")
    private = [name for name in names if re.match(r"(data|runs|out|shared|\.venv)[^/]*(/|$)", name)]
    require(not private, f"{what} holds what is not to be released: {private[:5]}")


def require(holds: bool, otherwise: str) -> None:
    """Ends the program where something does not hold."""
    if not holds:
        sys.exit(f"error: {otherwise}")


def run(*command: object, cwd: Path = ROOT) -> str:
    """Runs a command; gives what it says. Ends the program where it fails."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
