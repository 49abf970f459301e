"""The images that explain the method are what the command that the page names draws."""

import subprocess
import sys

import numpy as np
from PIL import Image
from tests.docs.pages import DOCS


def test_they_are_drawn_anew(tmp_path):
    command = [sys.executable, DOCS / "method_images.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept = {path.name: path for path in (DOCS / "images").glob("method-*.jpg")}
    assert {path.name for path in tmp_path.iterdir()} == kept.keys()
    for name, path in kept.items():
        anew, before = (np.asarray(Image.open(each), np.float64) for each in (tmp_path / name, path))
        assert anew.shape == before.shape and abs(anew - before).mean() < 1, name
        assert f"images/{name}" in (DOCS / "method.md").read_text()
