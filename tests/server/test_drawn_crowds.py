import pytest
from tests.server.conftest import png

from rsgnet.server import drawn_crowds
from rsgnet.server.drawn_crowds import CrowdRenderer, DrawnCrowd
from rsgnet.server.worker import BusyError


def test_the_same_crowd_is_rendered_once(monkeypatch):
    rendered = []
    monkeypatch.setattr(
        drawn_crowds, "_render", lambda *arguments: rendered.append(arguments) or DrawnCrowd(png(), b"{}")
    )
    render = CrowdRenderer()
    assert render(0.5, 1) is render(0.5, 1) and render(0.5, 2) is not render(0.5, 1)
    assert rendered == [(0.5, 1), (0.5, 2)]


def test_only_one_crowd_is_rendered_at_a_time(monkeypatch):
    monkeypatch.setattr(drawn_crowds, "_RETRY_AFTER_S", 0.01)
    render = CrowdRenderer()
    with render._lock, pytest.raises(BusyError, match="another crowd"):
        render(0.5, 1)
