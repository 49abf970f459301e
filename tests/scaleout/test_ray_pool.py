"""Runs on a Ray cluster of three nodes: a node is lost, the driver is killed, and the command end to end."""

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
from tests.scaleout.conftest import png, read_rows

from rsgnet.errors import RSGNetError
from rsgnet.inference.predictions import record_run
from rsgnet.scaleout.shards import Job, ShardFailure, finish_run, plan_run

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from rsgnet.scaleout.ray_pool import MAX_ATTEMPTS, RayOptions, process_on_ray  # noqa: E402

TIMEOUT_S = 600


@pytest.fixture(scope="module", autouse=True)
def long_timeouts():
    """Extends the 30 s that Ray gives a node and its agents to start, for busy machines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_register_timeout_seconds", str(TIMEOUT_S))
        patch.setenv("RAY_agent_register_timeout_ms", str(1000 * TIMEOUT_S))
        original_get_node = ray._private.services.get_node
        original_start_raylet = ray._private.node.Node.start_raylet

        def get_node(*arguments):
            end = time.monotonic() + TIMEOUT_S
            while True:
                try:
                    return original_get_node(*arguments)
                except RuntimeError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.5)

        def start_raylet(self, *arguments, **options):
            port = Path(self.get_session_dir_path()) / f"dashboard_agent_listen_port_{self.node_id}"
            port.write_text("0")  # Ray waits for this file; the agent overwrites it when it starts
            return original_start_raylet(self, *arguments, **options)

        patch.setattr(ray._private.node.Node, "start_raylet", start_raylet)
        patch.setattr(ray._private.services, "get_node", get_node)
        yield


def find_free_ports():
    """Returns ports for a node's agents; without them Ray waits for the agents to choose, with a short timeout."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in names]
        return dict(zip(names, (each.getsockname()[1] for each in sockets), strict=True))


@pytest.fixture(scope="module")
def cluster(long_timeouts):
    """Three nodes of one core each."""
    cluster = Cluster()
    try:
        for head in (True, False, False):
            cluster.add_node(num_cpus=1, **({"include_dashboard": False} if head else {}), **find_free_ports())
        cluster.wait_for_nodes(TIMEOUT_S)
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
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "timeout"
        time.sleep(0.05)


def row_files(out):
    return sorted((out / "parts").glob("*.parquet"))


def records(out):
    return sorted((out / "manifest").glob("*.json"))


def check_rows(out):
    rows = read_rows(out)
    assert [row["file_name"] for row in rows] == [f"{number:03}.png" for number in range(80)]
    assert [row["file_name"] for row in rows if row["error"]] == ["040.png"]
    assert not (out / "partial").exists()


def wrap_stream(open_estimator, change):
    """Returns a class of estimators whose outcomes are changed; a local class, because workers lack this file."""

    class WrappedEstimator:
        def __init__(self):
            self.estimator = open_estimator()

        def __getattr__(self, name):
            return getattr(self.estimator, name)

        def stream(self, sources):
            return change(self.estimator.stream(sources))

    return WrappedEstimator


def slow_down(open_estimator, seconds):
    def change(outcomes):
        for outcome in outcomes:
            time.sleep(seconds)
            yield outcome

    return wrap_stream(open_estimator, change)


def act_at_image(open_estimator, name, act):
    def change(outcomes):
        for image, outcome in outcomes:
            if image.file_name == name:
                act()
            yield image, outcome

    return wrap_stream(open_estimator, change)


def plan_tiny_run(open_estimator, images, out, shard_size):
    estimator = open_estimator()
    run = record_run(estimator, "tiny", "boxes")
    return plan_run([str(images)], str(out), estimator, run, shard_size), run


DRIVER = """
import time
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.cli import main
class SlowEstimator(PoseEstimator):
    def stream(self, sources):
        for outcome in super().stream(sources):
            time.sleep(0.2)
            yield outcome
import rsgnet.inference.estimator
rsgnet.inference.estimator.PoseEstimator = SlowEstimator
main()
"""


def test_the_driver_is_killed_and_restarted(rsgnet, cluster, open_tiny, images, tmp_path):
    out, (weights, detector) = tmp_path / "out", open_tiny.args
    ray_options = ["--ray-address", cluster.address, "--workers", 2, "--shard-size", 2]
    arguments = ["predict-dataset", images, "--out", out, "--weights", weights, "--detector", detector, *ray_options]
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
    time.sleep(5)  # for its workers to notice and to end
    kept = {path.name: path.stat().st_mtime_ns for path in row_files(out)}
    done = len(records(out))
    assert 4 <= done <= len(kept) < 40
    code, _, errors = rsgnet(*arguments)
    assert code == 1 and f"{done} of 40 shards are done already" in errors[0]
    assert "79 of 80 images, 79 people" in errors[1] and "1 could not be done" in errors[2]
    assert len(row_files(out)) == 40
    rewritten = [name for name, time_ns in kept.items() if (out / "parts" / name).stat().st_mtime_ns != time_ns]
    assert len(rewritten) == len(kept) - done
    check_rows(out)


def test_an_error_fails_only_its_shard(cluster, open_tiny, images, tmp_path):
    def fail():
        raise OSError("disk full")

    planned, run = plan_tiny_run(open_tiny, images, tmp_path / "out", 10)
    options = RayOptions(cluster.address, workers=1)
    job = Job(planned.store.uri, act_at_image(open_tiny, "035.png", fail), run)
    outcomes = list(process_on_ray(job, planned.missing, options))
    failed = [each for each in outcomes if isinstance(each, ShardFailure)]
    assert failed == [ShardFailure(3, "OSError: disk full")]
    assert sorted(each.shard for each in outcomes) == list(range(8)) and len(row_files(tmp_path / "out")) == 7


def test_an_image_that_kills_its_workers_fails_only_its_shard(cluster, open_tiny, images, tmp_path):
    def die():
        (tmp_path / f"death-{os.getpid()}").touch()
        os._exit(1)

    planned, run = plan_tiny_run(open_tiny, images, tmp_path / "out", 10)
    job = Job(planned.store.uri, act_at_image(open_tiny, "035.png", die), run)
    outcomes = list(process_on_ray(job, planned.missing, RayOptions(cluster.address)))
    (failed,) = (each for each in outcomes if isinstance(each, ShardFailure))
    assert failed.shard == 3 and f"died {MAX_ATTEMPTS} times" in failed.reason
    assert len(list(tmp_path.glob("death-*"))) == MAX_ATTEMPTS
    assert sorted(each.shard for each in outcomes) == list(range(8)) and len(records(tmp_path / "out")) == 7


def test_a_worker_with_other_weights_ends_the_run(cluster, open_tiny, images, tmp_path):
    planned, run = plan_tiny_run(open_tiny, images, tmp_path / "out", 10)
    job = Job(planned.store.uri, open_tiny, replace(run, rsgnet="0.0.0"))
    with pytest.raises(RSGNetError, match="install the same everywhere"):
        list(process_on_ray(job, planned.missing, RayOptions(cluster.address, workers=1)))
    assert row_files(tmp_path / "out") == []


def test_the_shipped_network_on_drawn_crowds(rsgnet, cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    assert rsgnet("crowds", "--out", tmp_path / "crowds", "--scenes", 3)[0] == 0
    truth = f"boxes:{tmp_path / 'crowds' / 'crowds.json'}"
    images, out = tmp_path / "crowds" / "images", tmp_path / "out"
    arguments = [images, "--detector", truth]
    assert rsgnet("predict", *arguments, "--out", tmp_path / "plain", "--no-overlay")[0] == 0
    ray_options = ["--workers", 2, "--shard-size", 2]
    code, _, errors = rsgnet("predict-dataset", *arguments, "--out", out, *ray_options)
    assert code == 0 and len(errors) == 1 and "3 of 3 images" in errors[0]
    expected = json.loads((tmp_path / "plain" / "poses.json").read_text())
    found = [(row["file_name"], person) for row in read_rows(out) for person in row["people"]]
    assert len(found) == len(expected) > 3
    for (file_name, person), plain in zip(found, expected, strict=True):
        assert file_name == plain["file_name"] and person["score"] == pytest.approx(plain["score"], abs=1e-3)
        # As in poses.json, the confidence is the probability that the keypoint is there and the person's own.
        found_keypoints = [(each["x"], each["y"], each["present"] * each["owned"]) for each in person["keypoints"]]
        numbers = [value for keypoint in found_keypoints for value in keypoint]
        assert numbers == pytest.approx(plain["keypoints"], abs=0.05)
        for name in ("present", "visible", "owned", "rival"):
            assert [each[name] for each in person["keypoints"]] == pytest.approx(plain[name], abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rivals"], "No such option: --rivals"),
        (["--smooth", 2], "No such option: --smooth"),
        (["--weights", "none"], "no weights 'none'"),
        (["--ray-address", "127.0.0.1:9"], "--ray-address 127.0.0.1:9: no Ray answers there"),
    ],
)
def test_unusable_options(rsgnet, images, tmp_path, arguments, message):
    code, _, errors = rsgnet("predict-dataset", images, "--out", tmp_path / "out", *arguments)
    assert code == 2 and message in "\n".join(errors)


@pytest.mark.slow
def test_a_node_is_lost_during_a_run(cluster, open_tiny, images, tmp_path):
    out, open_slowly, done_before = tmp_path / "out", slow_down(open_tiny, 0.15), []
    planned, run = plan_tiny_run(open_tiny, images, out, 2)
    lost = cluster.list_all_nodes()[-1]

    def open_and_note_node():
        (tmp_path / f"node-{ray.get_runtime_context().get_node_id()}").touch()
        return open_slowly()

    def lose_node():
        wait_for(lambda: (tmp_path / f"node-{lost.node_id}").exists() and len(row_files(out)) >= 4)
        done_before.append(len(row_files(out)))
        cluster.remove_node(lost, allow_graceful=False)

    thread = threading.Thread(target=lose_node, daemon=True)
    thread.start()
    process_shards = partial(process_on_ray, options=RayOptions(cluster.address))
    totals = finish_run(planned, Job(planned.store.uri, open_and_note_node, run), process_shards, lambda *_: None)
    thread.join(10)
    assert done_before and done_before[0] < 40 and len(cluster.list_all_nodes()) == 2
    assert (totals.images, totals.errors, len(row_files(out))) == (80, 1, 40)
    check_rows(out)
