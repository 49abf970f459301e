"""`python -m release.oldest [light|train]`: runs tests with the oldest dependencies that pyproject.toml allows.

The dependencies in pyproject.toml are installed in their lowest versions, and theirs in the newest; the tools of the
tests must not change any of these versions. The tests run on the installed package, not on the checkout's src.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = {"light": ["pytest", "pytest-xdist", "onnx"], "train": ["pytest", "pytest-xdist", "beartype"]}
TESTS = {
    "light": [
        "tests/evaluation", "tests/inference", "tests/cli/test_commands.py", "tests/cli/test_crowds.py",
        "tests/cli/test_data.py", "tests/cli/test_evaluate.py", "tests/cli/test_options.py",
        "tests/cli/test_predict.py", "tests/test_config.py", "tests/test_draw.py", "tests/test_files.py",
        "tests/test_geometry.py", "tests/test_heatmaps.py", "tests/test_images.py", "tests/test_poses.py",
        "tests/test_presets.py", "tests/test_public_names.py", "tests/test_skeletons.py",
    ],
    "train": ["tests/training", "tests/model", "tests/test_checkpoint.py", "tests/data/test_dataset.py"],
}  # fmt: skip
# Tests of libraries that the install does not bring.
IGNORED_TESTS = {"light": ["tests/inference/video/test_reader.py", "tests/inference/video/test_writer.py"], "train": []}


def main(install: str) -> int:
    """Makes the environment, runs the tests and returns their exit code."""
    with tempfile.TemporaryDirectory(prefix="rsgnet-oldest-") as name:
        folder = Path(name)
        python = folder / "environment" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder / "environment"], check=True)
        pip = [*uv, "pip", "install", "--quiet", "--python", python]
        package = str(ROOT) if install == "light" else f"{ROOT}[{install}]"
        subprocess.run([*pip, "--resolution", "lowest-direct", package], check=True)
        freeze = [*uv, "pip", "freeze", "--python", python, "--exclude", "rsgnet"]
        frozen = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
        print(frozen, flush=True)
        (folder / "frozen.txt").write_text(frozen)
        subprocess.run([*pip, "--constraint", folder / "frozen.txt", *TOOLS[install]], check=True)
        ignored = [f"--ignore={each}" for each in IGNORED_TESTS[install]]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        workers = ["-n", "2", "--dist", "loadgroup"]
        tests = [python, "-m", "pytest", *workers, "-m", "not slow", *TESTS[install], *ignored]
        return subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "light"))
