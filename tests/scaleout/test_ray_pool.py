"""The engine on real Ray: three nodes of which one is lost, a driver that is killed, and the program end to end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tests.scaleout.conftest import png, rows_of

from rsgnet.errors import RSGNetError
from rsgnet.inference.predictions import record_run
from rsgnet.scaleout.run import Job, ShardFailure, finish_run, plan_run

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from rsgnet.scaleout.ray_pool import TRIES, RayOptions, do_on_ray  # noqa: E402

PATIENCE_S = 600


@pytest.fixture(scope="module", autouse=True)
def patience():
    """Ray gives a node and its agents 30 s to start; on a busy machine they may need more."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("worker_register_timeout_seconds",):
            patch.setenv(f"RAY_{name}", str(PATIENCE_S))
        patch.setenv("RAY_agent_register_timeout_ms", str(1000 * PATIENCE_S))
        asked = ray._private.services.get_node

        def get_node(*arguments):
            end = time.monotonic() + PATIENCE_S
            while True:
                try:
                    return asked(*arguments)
                except RuntimeError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.5)

        def start_raylet(self, *arguments, **more):
            port = Path(self.get_session_dir_path()) / f"dashboard_agent_listen_port_{self.node_id}"
            port.write_text("0")  # which it would wait for; the agent writes its own when it comes
            return start(self, *arguments, **more)

        start = ray._private.node.Node.start_raylet
        patch.setattr(ray._private.node.Node, "start_raylet", start_raylet)
        patch.setattr(ray._private.services, "get_node", get_node)
        yield


def free_ports():
    """For a node's agents: without ports of their own Ray waits for them, and not for long."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("", 0))) for _ in names]
        return dict(zip(names, (each.getsockname()[1] for each in sockets), strict=True))


@pytest.fixture(scope="module")
def cluster(patience):
    """Three nodes of one core each."""
    cluster = Cluster()
    try:
        for head in (True, False, False):
            cluster.add_node(num_cpus=1, **({"include_dashboard": False} if head else {}), **free_ports())
        cluster.wait_for_nodes(PATIENCE_S)
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(80):
        (folder / f"{number:03}.png").write_bytes(png(number))
    (folder / "040.png").write_text("not an image")
    return folder


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "nothing came in time"
        time.sleep(0.05)


def parts(out):
    return sorted((out / "parts").glob("*.parquet"))


def records(out):
    return sorted((out / "manifest").glob("*.json"))


def check_rows(out):
    rows = rows_of(out)
    assert [row["file_name"] for row in rows] == [f"{number:03}.png" for number in range(80)]
    assert [row["file_name"] for row in rows if row["error"]] == ["040.png"]
    assert not (out / "partial").exists()


def changed(open_estimator, change):
    """Opens estimators that meddle with what they yield; a class in here, as workers do not have this file."""

    class Changed:
        def __init__(self):
            self.whole = open_estimator()

        def __getattr__(self, name):
            return getattr(self.whole, name)

        def stream(self, sources):
            return change(self.whole.stream(sources))

    return Changed


def slow(open_estimator, seconds):
    def change(outcomes):
        for told in outcomes:
            time.sleep(seconds)
            yield told

    return changed(open_estimator, change)


def at_image(open_estimator, name, act):
    def change(outcomes):
        for image, outcome in outcomes:
            if image.file_name == name:
                act()
            yield image, outcome

    return changed(open_estimator, change)


def planned_run(open_estimator, images, out, shard_size):
    estimator = open_estimator()
    run = record_run(estimator, "tiny", "boxes")
    return plan_run([str(images)], str(out), estimator, run, shard_size), run


DRIVER = """
import time
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.cli import main
class Slow(PoseEstimator):
    def stream(self, sources):
        for told in super().stream(sources):
            time.sleep(0.2)
            yield told
import rsgnet.inference.estimator
rsgnet.inference.estimator.PoseEstimator = Slow
main()
"""


def test_the_driver_is_killed_and_started_anew(rsgnet, cluster, open_tiny, images, tmp_path):
    out, (weights, detector) = tmp_path / "out", open_tiny.args
    line = ["--engine", "ray", "--ray-address", cluster.address, "--workers", 2, "--shard-size", 2]
    arguments = ["predict", images, "--out", out, "--weights", weights, "--detector", detector, *line]
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *map(str, arguments)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(records(out)) >= 4)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    time.sleep(5)  # in which its workers notice, and end
    kept = {path.name: path.stat().st_mtime_ns for path in parts(out)}
    done = len(records(out))
    assert 4 <= done <= len(kept) < 40
    code, _, errors = rsgnet(*arguments)
    assert code == 1 and f"{done} of 40 shards are done already" in errors[0]
    assert "79 of 80 images, 79 people" in errors[1] and "1 could not be done" in errors[2]
    assert len(parts(out)) == 40
    again = [name for name, time_ns in kept.items() if (out / "parts" / name).stat().st_mtime_ns != time_ns]
    assert len(again) == len(kept) - done
    check_rows(out)


def test_what_fails_fails_its_shard_alone(cluster, open_tiny, images, tmp_path):
    def fail():
        raise OSError("disk full")

    planned, run = planned_run(open_tiny, images, tmp_path / "out", 10)
    options = RayOptions(cluster.address, workers=1)
    told = list(do_on_ray(Job(planned.store.uri, at_image(open_tiny, "035.png", fail), run), planned.missing, options))
    failed = [each for each in told if isinstance(each, ShardFailure)]
    assert failed == [ShardFailure(3, "OSError: disk full")]
    assert sorted(each.shard for each in told) == list(range(8)) and len(parts(tmp_path / "out")) == 7


def test_a_image_that_kills_its_workers_costs_its_shard_alone(cluster, open_tiny, images, tmp_path):
    def die():
        (tmp_path / f"death-{os.getpid()}").touch()
        os._exit(1)

    planned, run = planned_run(open_tiny, images, tmp_path / "out", 10)
    job = Job(planned.store.uri, at_image(open_tiny, "035.png", die), run)
    told = list(do_on_ray(job, planned.missing, RayOptions(cluster.address)))
    (failed,) = (each for each in told if isinstance(each, ShardFailure))
    assert failed.shard == 3 and f"died {TRIES} times" in failed.reason
    assert len(list(tmp_path.glob("death-*"))) == TRIES
    assert sorted(each.shard for each in told) == list(range(8)) and len(records(tmp_path / "out")) == 7


def test_a_worker_with_other_weights_ends_the_run(cluster, open_tiny, images, tmp_path):
    planned, run = planned_run(open_tiny, images, tmp_path / "out", 10)
    job = Job(planned.store.uri, open_tiny, replace(run, rsgnet="0.0.0"))
    with pytest.raises(RSGNetError, match="install the same everywhere"):
        list(do_on_ray(job, planned.missing, RayOptions(cluster.address, workers=1)))
    assert parts(tmp_path / "out") == []


def test_the_shipped_network_on_drawn_crowds(rsgnet, cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    assert rsgnet("crowds", tmp_path / "crowds", "--scenes", 3)[0] == 0
    truth = f"boxes:{tmp_path / 'crowds' / 'crowds.json'}"
    images, out = tmp_path / "crowds" / "images", tmp_path / "out"
    line = ["predict", images, "--detector", truth]
    assert rsgnet(*line, "--out", tmp_path / "plain", "--no-overlay")[0] == 0
    code, _, errors = rsgnet(*line, "--engine", "ray", "--out", out, "--workers", 2, "--shard-size", 2)
    assert code == 0 and len(errors) == 1 and "3 of 3 images" in errors[0]
    expected = json.loads((tmp_path / "plain" / "poses.json").read_text())
    found = [(row["file_name"], person) for row in rows_of(out) for person in row["people"]]
    assert len(found) == len(expected) > 3
    for (name, person), plain in zip(found, expected, strict=True):
        assert name == plain["file_name"] and person["score"] == pytest.approx(plain["score"], abs=1e-3)
        numbers = [value for each in person["keypoints"] for value in (each["x"], each["y"], each["score"])]
        assert numbers == pytest.approx(plain["keypoints"], abs=0.05)
        for claim in ("present", "visible", "owned", "rival"):
            assert [each[claim] for each in person["keypoints"]] == pytest.approx(plain[claim], abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "ray", "--rivals"], "draws no overlays"),
        (["--engine", "ray", "--smooth", 2], "does no clips"),
        (["--engine", "spark"], "engine must be plain or ray"),
        (["--engine", "ray", "--weights", "none"], "no weights 'none'"),
        (["--engine", "ray", "--ray-address", "127.0.0.1:9"], "--ray-address 127.0.0.1:9: no Ray answers there"),
    ],
)
def test_what_is_refused(rsgnet, images, tmp_path, arguments, message):
    code, _, errors = rsgnet("predict", images, "--out", tmp_path / "out", *arguments)
    assert code == 2 and message in errors[-1]


def test_a_node_is_lost_in_mid_run(cluster, open_tiny, images, tmp_path):
    out, open_slowly, done_before = tmp_path / "out", slow(open_tiny, 0.15), []
    planned, run = planned_run(open_tiny, images, out, 2)
    lost = cluster.list_all_nodes()[-1]

    def open_noted():  # every worker notes the node that it is on
        (tmp_path / f"node-{ray.get_runtime_context().get_node_id()}").touch()
        return open_slowly()

    def lose():
        wait_for(lambda: (tmp_path / f"node-{lost.node_id}").exists() and len(parts(out)) >= 4)
        done_before.append(len(parts(out)))
        cluster.remove_node(lost, allow_graceful=False)

    loser = threading.Thread(target=lose, daemon=True)
    loser.start()
    do = partial(do_on_ray, options=RayOptions(cluster.address))
    totals = finish_run(planned, Job(planned.store.uri, open_noted, run), do, lambda *_: None)
    loser.join(10)
    assert done_before and done_before[0] < 40 and len(cluster.list_all_nodes()) == 2
    assert (totals.images, totals.errors, len(parts(out))) == (80, 1, 40)
    check_rows(out)
