"""The Space's function finds people, says in a line what it cannot do, and its app can be built."""

import numpy as np
import pytest
from tests.conftest import load_script
from tests.docs.pages import ROOT

from rsgnet.crowds.simulator.crowd import simulate_crowd


@pytest.fixture(scope="module")
def app():
    return load_script(ROOT / "space" / "app.py")


@pytest.mark.parametrize("colour_by", ["person", "side", "owned"])
def test_people_are_drawn_and_returned(app, colour_by):
    image = simulate_crowd(3, (640, 480), 8).image
    drawn, line, results = app.find_poses(image, "nano", 0.0, colour_by, True)
    assert drawn.size == (640, 480) and line.startswith(f"Poses({len(results)} p") and len(results) > 0
    assert not np.array_equal(np.asarray(drawn), image)


def test_what_cannot_be_used_is_one_line(app):
    assert app.find_poses(None, "nano", 0.2, "person", False) == (None, "Choose an image first.", [])
    huge = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (6000, 6000, 3))
    assert "scale it down" in app.find_poses(huge, "nano", 0.2, "person", False)[1]


def test_the_app_is_built(app):
    pytest.importorskip("gradio", reason="the Space's page needs gradio")
    assert app.make_app().title.startswith("RSGNet")


def test_the_space_says_what_it_needs():
    folder = ROOT / "space"
    assert (folder / "requirements.txt").read_text().splitlines() == ["rsgnet", "gradio>=5"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n") and "sdk: gradio\n" in card and "app_file: app.py\n" in card
