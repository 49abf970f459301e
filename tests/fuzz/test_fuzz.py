"""The readers are fuzzed for some seconds each; docs/security.md tells how to go on for longer."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.readers import READERS
from tests.fuzz.seeds import SEEDS

from rsgnet.errors import RSGNetError

ROOT = Path(__file__).parents[2]
SECONDS = 4


@pytest.mark.parametrize("reader", READERS)
def test_seeds_are_whole(reader, monkeypatch):
    """Each goes through its reader, and most without an error: fuzzing begins with what is read, not with noise."""
    seeds, refused = SEEDS[reader](), []
    monkeypatch.setattr("tests.fuzz.readers.suppress", lambda *kinds: _Noting(kinds, refused))
    for seed in seeds:
        READERS[reader](seed)
    assert len(seeds) >= 2 and all(isinstance(error, RSGNetError) for error in refused)
    assert reader == "results" or len(refused) <= len(seeds)


class _Noting:
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
def test_nothing_but_promised_errors(reader, tmp_path):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed; there is none for this Python or system")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    line = [sys.executable, "-m", "tests.fuzz", reader, "--seconds", str(SECONDS), "--inputs", str(tmp_path)]
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    found = [path.read_bytes()[:500] for path in tmp_path.glob("found-*")]
    assert done.returncode == 0 and not found, f"{found}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert "number_of_executed_units" in done.stderr  # it did run
