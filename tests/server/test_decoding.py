import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from tests.hostile.images import scans_jpeg
from tests.server.conftest import TIMEOUT_S, png

from rsgnet.errors import ImageError, RSGNetError
from rsgnet.images import decode_image
from rsgnet.inference.detectors.detector import Boxes, LoadedImage
from rsgnet.inference.sources import UploadedImage
from rsgnet.server.decoding import Decoders, DecodingProcess, PixelBudget
from rsgnet.server.limits import Limits

BUDGET = PixelBudget(1_000_000)
posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


@pytest.fixture
def process():
    process = DecodingProcess(Limits(pixels=100_000, decode_seconds=3))
    yield process
    process.kill()


def test_the_image_and_its_boxes_arrive(process):
    content, boxes = scans_jpeg((300, 200), 10), Boxes.empty()
    for name in ("a", "ä\n\ud800"):
        loaded = process.decode(UploadedImage(content, name, boxes), BUDGET)
        assert (loaded.pixels == decode_image(content, "")).all() and loaded.pixels.dtype == np.uint8
        assert loaded.file_name == name and loaded.boxes is boxes


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "a: the file is empty"), (png((400, 300)), "a: 400x300 is over the limit of 100000"), (b"x", "a: not an")],
)
def test_an_image_that_cannot_be_decoded(process, content, message):
    with pytest.raises(ImageError, match=message):
        process.decode(UploadedImage(content, "a"), BUDGET)
    before = process._process.pid
    process.decode(UploadedImage(png(), "b"), BUDGET)
    assert process._process.pid == before


@posix_only
@pytest.mark.parametrize(
    ("then_sent", "message"),
    [("SIGSTOP", "a: decoding it takes longer than 3 s"), ("SIGKILL", "a: its decoder died; scale it down")],
)
def test_a_process_that_hangs_or_dies_is_replaced(process, then_sent, message):
    process.decode(UploadedImage(png(), "before"), BUDGET)
    old = process._process
    old.send_signal(signal.SIGSTOP)
    Thread(target=lambda: (time.sleep(0.5), old.send_signal(signal.Signals[then_sent]))).start()
    with pytest.raises(ImageError, match=message):
        process.decode(UploadedImage(png(), "a"), BUDGET)
    assert old.poll() == -signal.SIGKILL
    assert process.decode(UploadedImage(png(), "after"), BUDGET).size_wh == (320, 240)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_memory_is_limited():
    script = "from rsgnet.server.decoding import _limit_memory; _limit_memory({}); print(len(bytes(400 << 20)))"
    done = [
        subprocess.run([sys.executable, "-c", script.format(pixels)], capture_output=True, text=True, check=False)
        for pixels in (1_000_000, 30_000_000)
    ]
    assert "MemoryError" in done[0].stderr and done[1].stdout == f"{400 << 20}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_ends_with_its_parent():
    script = """
from tests.server.test_decoding import *
process = DecodingProcess(Limits())
process.decode(UploadedImage(png(), ""), BUDGET)
print(process._process.pid, flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    end = time.monotonic() + TIMEOUT_S
    while _is_running(int(done.stdout)):
        assert time.monotonic() < end
        time.sleep(0.05)


def _is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_clients_take_turns():
    decoders, order = Decoders(Limits(), processes=1), []
    for client, names in (("first", "abc"), ("second", "de"), ("third", "f")):
        for name in names:
            future = decoders.submit(UploadedImage(png(), name), client)
            future.add_done_callback(lambda future: order.append(future.result().file_name))
    decoders.start()
    decoders.submit(UploadedImage(png(), "last"), "first").result(TIMEOUT_S)
    decoders.close()
    assert order == ["a", "d", "f", "b", "e", "c"]


def test_no_client_has_all_processes(monkeypatch):
    gate = Event()

    def decode(process, image, budget):
        assert image.file_name not in "abc" or gate.wait(TIMEOUT_S)
        return LoadedImage(np.zeros((1, 1, 3), np.uint8), image.file_name)

    monkeypatch.setattr(DecodingProcess, "decode", decode)
    decoders = Decoders(Limits(), processes=3)
    decoders.start()
    held = [decoders.submit(UploadedImage(b"", name), "slow") for name in "abc"]
    for name in "def":
        assert decoders.submit(UploadedImage(b"", name), "other").result(TIMEOUT_S).file_name == name
    assert [future.running() for future in held] == [True, True, False]
    gate.set()
    assert [future.result(TIMEOUT_S).file_name for future in held] == ["a", "b", "c"]
    decoders.close()
    assert not decoders._queues


def test_an_image_waits_until_there_is_room_for_its_pixels():
    budget = PixelBudget(100)
    first, second = budget.allocate((6, 10), 0), budget.allocate((4, 10), 0)
    assert first.shape == (6, 10, 3)
    with pytest.raises(RSGNetError, match="no memory became free"):
        budget.allocate((1, 1), 0)
    view = second[:1]
    del second
    with pytest.raises(RSGNetError, match="no memory became free"):
        budget.allocate((1, 1), 0)  # the view holds the pixels
    del view
    third = budget.allocate((4, 10), 0)
    waiting = []
    thread = Thread(target=lambda: waiting.append(budget.allocate((20, 10), TIMEOUT_S)))
    thread.start()
    del first, third
    thread.join(TIMEOUT_S)
    assert waiting[0].shape == (20, 10, 3)  # over the limit, but alone
