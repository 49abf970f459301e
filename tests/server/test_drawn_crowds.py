import asyncio
from threading import Event

import pytest
from tests.server.conftest import TIMEOUT_S, png

from rsgnet.errors import RSGNetError
from rsgnet.server import drawn_crowds
from rsgnet.server.drawn_crowds import CrowdRenderer, DrawnCrowd
from rsgnet.server.worker import BusyError


@pytest.fixture
def gate():
    gate = Event()
    yield gate
    gate.set()


@pytest.fixture
def rendered(monkeypatch, gate):
    """The crowds that were rendered, each once the gate was open; there is none of seed 9."""
    rendered = []

    def render(crowd_index, seed):
        assert gate.wait(TIMEOUT_S)
        rendered.append((crowd_index, seed))
        if seed == 9:
            raise RSGNetError("no such crowd")
        return DrawnCrowd(png(), b"{}")

    monkeypatch.setattr(drawn_crowds, "_render", render)
    return rendered


def test_the_same_crowd_is_rendered_once(rendered, gate):
    async def request():
        render = CrowdRenderer()
        first, same = asyncio.create_task(render(0.5, 1)), asyncio.create_task(render(0.5, 1))
        await asyncio.sleep(0)
        gate.set()
        assert await first is await same is await render(0.5, 1) is not await render(0.5, 2)

    asyncio.run(request())
    assert rendered == [(0.5, 1), (0.5, 2)]


def test_all_but_one_waiting_crowd_are_refused_at_once(rendered, gate):
    async def request():
        render = CrowdRenderer()
        tasks = [asyncio.create_task(render(0.5, seed)) for seed in range(4)]
        await asyncio.sleep(0.01)
        assert [task.done() for task in tasks] == [False, False, True, True]
        with pytest.raises(BusyError, match="other crowds"):
            await tasks[2]
        tasks[0].cancel()  # its client hung up
        again = asyncio.create_task(render(0.5, 0))
        gate.set()
        await asyncio.gather(tasks[1], again, render(0.5, 1))

    asyncio.run(request())
    assert rendered == [(0.5, 0), (0.5, 1)]


def test_a_crowd_that_failed_is_not_kept(rendered, gate):
    gate.set()

    async def request():
        render = CrowdRenderer()
        for _ in range(2):
            with pytest.raises(RSGNetError, match="no such crowd"):
                await render(0.5, 9)

    asyncio.run(request())
    assert len(rendered) == 2
