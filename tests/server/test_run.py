"""The service as a process of its own, told to stop by a signal."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.server.conftest import PATIENCE_S, png

BUSY = """
import time
from rsgnet.server.app import Service
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics
from rsgnet.server.run import run
from rsgnet.server.worker import Worker
from tests.server.conftest import Told, three_people

class Slow(Told):
    def stream(self, sources):
        print("started", flush=True)
        time.sleep(1)
        for source in sources:
            yield source, three_people(source.file_name)

limits, metrics = Limits(), Metrics()
run(Service({"slow": Worker(Slow, limits, metrics)}, limits, metrics), "127.0.0.1", 0)
"""


@pytest.fixture
def started():
    """Starts a process of this Python; gives it and the address that it serves."""
    processes = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
        )  # fmt: skip
        processes.append(process)
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"running on (http://\S+)", line):
                return process, found[1]
        raise AssertionError(said)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def post(address, token=None):
    body = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n' + png() + b"\r\n--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x", **({"authorization": token} if token else {})}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/v1/poses", body, headers)) as answer:
        return json.load(answer)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to stop by")
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_it_finishes_what_it_took_and_leaves_with_0(started, told):
    process, address = started("-c", BUSY)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, address)
        assert process.stdout.readline() == "started\n"
        process.send_signal(told)
        assert len(answer.result()["images"][0]["people"]) == 3
    assert process.wait(PATIENCE_S) == 0
    with pytest.raises(urllib.error.URLError):
        post(address)


def test_the_program(started, pose_network, box_network):
    line = ["--weights", pose_network(name="pose"), "--detector", f"onnx:{box_network([[5, 5, 50, 60]], [0.9])}"]
    _, address = started("-m", "rsgnet", "serve", "--port", 0, "--max-people", 3, *line, RSGNET_TOKEN="secret")
    assert address.startswith("http://127.0.0.1:")
    (image,) = post(address, "Bearer secret")["images"]
    assert image["people"][0]["bbox"] == pytest.approx([25, 25, 225, 215], abs=100) and image["width"] == 320
    with pytest.raises(urllib.error.HTTPError, match="401"):
        post(address)


def test_what_the_program_cannot_serve(rsgnet):
    for arguments, says in (
        (["--weights", "nowhere"], "no weights 'nowhere'"),
        (["--detector", "nowhere"], "no detector 'nowhere'"),
        (["--max-waiting", "3"], "could never be taken"),
        (["--compare", "nano"], "--compare"),
    ):
        code, _, errors = rsgnet("serve", "--port", "0", *arguments)
        assert code == 2 and len(errors) == 1 and says in errors[0]


def test_without_the_extra_it_says_what_to_install(rsgnet, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "rsgnet.server.run", raising=False)
    code, _, errors = rsgnet("serve")
    assert code == 2 and errors == ["error: this needs uvicorn: pip install 'rsgnet[serve]'"]
