"""The image at the head of the README is the one that docs/hero_image.py draws with the default weights of today."""

import subprocess
import sys

import numpy as np
from PIL import Image
from tests.docs.pages import DOCS, ROOT


def test_the_image_is_up_to_date(tmp_path):
    command = [sys.executable, DOCS / "hero_image.py", tmp_path / "crowd.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    drawn, kept = (
        np.asarray(Image.open(path), np.float64) for path in (tmp_path / "crowd.jpg", DOCS / "images/crowd.jpg")
    )
    stale = "docs/images/crowd.jpg was drawn by other weights or code: run make images"
    assert drawn.shape == kept.shape and abs(drawn - kept).mean() < 1, stale
    assert "docs/images/crowd.jpg" in (ROOT / "README.md").read_text()
