import pytest
from tests.server.conftest import png

from rsgnet.server import crowd
from rsgnet.server.crowd import CrowdPainter
from rsgnet.server.worker import Busy


def test_the_same_crowd_is_drawn_once(monkeypatch):
    drawn = []
    monkeypatch.setattr(crowd, "_draw", lambda *asked: drawn.append(asked) or crowd.DrawnCrowd(png(), b"{}"))
    paint = CrowdPainter()
    assert paint(0.5, 1) is paint(0.5, 1) and paint(0.5, 2) is not paint(0.5, 1)
    assert drawn == [(0.5, 1), (0.5, 2)]


def test_only_one_is_drawn_at_a_time(monkeypatch):
    monkeypatch.setattr(crowd, "_RETRY_AFTER_S", 0.01)
    paint = CrowdPainter()
    with paint._lock, pytest.raises(Busy, match="another crowd"):
        paint(0.5, 1)
