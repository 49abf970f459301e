"""Fuzzes each reader for some seconds; docs/security.md explains longer runs."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.readers import READERS
from tests.fuzz.seeds import SEEDS

ROOT = Path(__file__).parents[2]
SECONDS = 2


@pytest.mark.parametrize("reader", READERS)
def test_seeds_are_valid(reader, monkeypatch):
    """The readers accept their seeds or refuse them with a documented error, so fuzzing starts from valid inputs."""
    seeds, refused = SEEDS[reader](), []
    monkeypatch.setattr("tests.fuzz.readers.suppress", lambda *kinds: _RecordingSuppress(kinds, refused))
    for seed in seeds:
        READERS[reader](seed)
    assert len(seeds) >= 2
    assert reader == "results" or len(refused) <= len(seeds)


class _RecordingSuppress:
    def __init__(self, kinds, refused):
        self.kinds, self.refused = kinds, refused

    def __enter__(self):
        pass

    def __exit__(self, kind, error, trace):
        if isinstance(error, self.kinds):
            self.refused.append(error)
            return True
        return False


@pytest.mark.parametrize("reader", READERS)
def test_readers_raise_only_documented_errors(reader, tmp_path):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed; it does not support every Python version and system")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "tests.fuzz", reader, "--seconds", str(SECONDS), "--inputs", str(tmp_path)]
    process = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False
    )
    found = [path.read_bytes()[:500] for path in tmp_path.glob("found-*")]
    assert process.returncode == 0 and not found, f"{found}\n{process.stdout[-3000:]}{process.stderr[-3000:]}"
    assert "number_of_executed_units" in process.stderr  # the fuzzer ran
