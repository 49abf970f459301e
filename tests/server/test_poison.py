"""Poisonous images and cheap requests of some clients at their worst, while ordinary clients get answers.

`python -m pytest -m slow -s tests/server/test_poison.py` prints how long the ordinary clients waited.
"""

import http.client
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import numpy as np
import pytest
from tests.hostile.images import scans_jpeg, slow_images, zeros_png
from tests.server.abuse import connected, post_head
from tests.server.conftest import png
from tests.server.process import FORM_TYPE, TIMEOUT_S, form, serving

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Linux accepts all addresses of 127.0.0.0/8"),
    pytest.mark.slow,
]

REQUESTS, CLIENTS, MAX_SECONDS, GRACE_S = 10, 6, 60, 65


def send(server, address, method, path, body=b""):
    """Returns the status that a client of an address gets, and how long it took."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(server.host, server.port, TIMEOUT_S, (address, 0))
    try:
        connection.request(method, path, body, {"content-type": FORM_TYPE})
        response = connection.getresponse()
        response.read()
        return response.status, time.monotonic() - started
    finally:
        connection.close()


def test_ordinary_clients_get_answers(tmp_path, pose_network):
    network = ["--weights", pose_network(name="pose"), "--detector", "full", "--max-seconds", MAX_SECONDS]
    at_the_limit = [scans_jpeg((7900, 8000), 100), zeros_png((7900, 8000), 8, 6), zeros_png((976, 65_500), 16, 6)]
    poison = [form(content) for content in (*at_the_limit, *(content for *_, content in slow_images()))]
    stopped, statuses = Event(), []

    def attack(number):
        while not stopped.is_set():
            with suppress(OSError):
                statuses.append(send(server, "127.0.0.2", "POST", "/v1/poses", poison[number % len(poison)])[0])

    def draw_crowds(number):
        while not stopped.is_set():
            with suppress(OSError):
                statuses.append(
                    send(server, "127.0.0.3", "GET", f"/v1/crowd?seed={number + time.monotonic_ns() % 9999}")[0]
                )

    def drip(_):
        while not stopped.is_set():
            with suppress(OSError), connected(server, post_head(9999), "127.0.0.4") as connection:
                connection.recv(1 << 16)

    def behave(number):
        waits = []
        for _ in range(REQUESTS):
            status, seconds = send(server, f"127.0.0.{10 + number}", "POST", "/v1/poses", form(png()))
            assert status == 200
            waits.append(seconds)
            time.sleep(0.2)
        return waits

    with serving(tmp_path / "log", *network) as server, ThreadPoolExecutor(200) as pool:
        try:
            assert server.recovers(png())
            for number in range(40):
                pool.submit(attack, number)
                pool.submit(drip, number)
            for number in range(20):
                pool.submit(draw_crowds, number)
            waits = [wait for each in pool.map(behave, range(CLIENTS)) for wait in each]
            p50, p99 = np.percentile(waits, [50, 99])
            print(f"\n{len(waits)} ordinary requests: p50 {p50:.2f} s, p99 {p99:.2f} s; others got {set(statuses)}")
            started = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(GRACE_S + TIMEOUT_S) in (0, 1)
            print(f"ended {time.monotonic() - started:.1f} s after SIGTERM")
        finally:
            stopped.set()
