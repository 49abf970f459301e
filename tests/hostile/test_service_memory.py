"""The service with nasty images from several addresses stays below the memory that docs/security.md says.

`python -m pytest -m slow -s tests/hostile/test_service_memory.py` prints the peak, summed over all its processes.
"""

import http.client
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from tests.hostile.test_image_memory import IMAGES, SIZE_WH
from tests.server.process import FORM_TYPE, form, memory_mb, serving

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"), pytest.mark.slow]

MAX_PIXELS, HELD_MB, PROCESSES, ADDRESSES, MAX_SECONDS = SIZE_WH[0] * SIZE_WH[1], 128, 2, 2, 1800
BOUND_MB = 500 + PROCESSES * (50 + 17 * MAX_PIXELS / 1e6) + 3 * max(2 * MAX_PIXELS, 48_000_000) / 1e6 + HELD_MB


def sum_memory_mb(process):
    """Returns the resident memory of a process and its children; pages that they share count several times."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    children = [int(each) for task in tasks for each in (task / "children").read_text().split()]
    return memory_mb(process) + sum(memory_mb(each) for each in children)


def test_the_peak_is_below_the_documented_bound(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    limits = ["--max-pixels", MAX_PIXELS, "--max-held-megabytes", HELD_MB, "--max-megabytes", 40]
    patience = ["--max-seconds", MAX_SECONDS, "--max-decode-seconds", MAX_SECONDS]  # the machine may be busy
    bodies = {name: form(make()) for name, make in IMAGES.items()}
    stopped, peaks = Event(), []

    def send(job):
        address, body = job
        connection = http.client.HTTPConnection(server.host, server.port, MAX_SECONDS, (f"127.0.0.{2 + address}", 0))
        connection.request("POST", "/v1/poses", body, {"content-type": FORM_TYPE})
        return connection.getresponse().status

    def watch():
        while not stopped.is_set():
            with suppress(OSError, IndexError):  # a process ends
                peaks.append(sum_memory_mb(server.process.pid))
            time.sleep(0.02)

    with serving(tmp_path / "log", *limits, *patience) as server, ThreadPoolExecutor(40) as pool:
        watching = pool.submit(watch)
        before = sum_memory_mb(server.process.pid)
        try:
            statuses = list(pool.map(send, [(number, body) for number in range(ADDRESSES) for body in bodies.values()]))
        finally:
            stopped.set()
        watching.result()
    print(
        f"\n{len(statuses)} images of {MAX_PIXELS / 1e6:.0f} megapixels, statuses {set(statuses)}: "
        f"{before:.0f} MB before, at most {max(peaks):.0f} MB; documented bound {BOUND_MB:.0f} MB"
    )
    assert set(statuses) <= {200, 503} and statuses.count(200) >= len(bodies)
    assert max(peaks) < BOUND_MB
