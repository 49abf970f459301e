"""The example runs with the command of its docstring."""

import subprocess
import sys
from pathlib import Path

from PIL import Image

from rsgnet.crowds.simulator.crowd import simulate_crowd

EXAMPLE = Path(__file__).parents[2] / "examples" / "photo_to_poses.py"


def test_the_example_draws_an_overlay(tmp_path):
    Image.fromarray(simulate_crowd(seed=3).image).save(tmp_path / "photo.png")
    command = [sys.executable, str(EXAMPLE), str(tmp_path / "photo.png"), str(tmp_path / "overlay.jpg")]
    subprocess.run(command, check=True, capture_output=True)
    assert Image.open(tmp_path / "overlay.jpg").size == (640, 480)
