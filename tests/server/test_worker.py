import gc
import time
from threading import Thread

import pytest
from tests.server.conftest import TIMEOUT_S, png

from rsgnet.errors import ImageError
from rsgnet.inference.sources import UploadedImage
from rsgnet.server.decoding import Decoders
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics
from rsgnet.server.worker import BusyError, Worker, WorkerCrashError


@pytest.fixture
def worker(estimator):
    limits = Limits(images=4, waiting=4, batch=2)
    decoders = Decoders(limits, processes=1)  # so that images are decoded in their order
    worker = Worker(lambda: estimator, decoders, limits, Metrics())
    decoders.start()
    worker.start()
    yield worker
    estimator.gate.set()
    worker.stop()
    decoders.close()


def wait_for_decoding(worker, images):
    end = time.monotonic() + TIMEOUT_S
    while len(worker._decoded) < images:
        assert time.monotonic() < end
        time.sleep(0.01)


def images(*names):
    return [UploadedImage(b"" if "broken" in name else png(), name) for name in names]


def test_each_image_has_its_own_outcome(worker):
    good, broken = worker.submit(images("a", "broken"))
    assert good.result(TIMEOUT_S).file_name == "a" and good.result().image is None
    assert isinstance(broken.exception(TIMEOUT_S), ImageError)


def test_finished_images_hold_no_pixels(worker):
    """Not even until garbage is collected: other images wait for the memory, and nothing may happen meanwhile."""
    gc.disable()
    try:
        futures = worker.submit(images("a", "b", "broken"))
        assert [type(future.exception(TIMEOUT_S)) for future in futures] == [type(None), type(None), ImageError]
        end = time.monotonic() + 60
        while worker._decoders._budget._held and time.monotonic() < end:
            time.sleep(0.01)
        assert worker._decoders._budget._held == 0
    finally:
        gc.enable()


def test_waiting_images_are_finished_when_the_worker_stops(worker, estimator):
    estimator.gate.clear()
    first = worker.submit(images("a"))
    assert estimator.started.wait(TIMEOUT_S)
    rest = worker.submit(images("b", "c", "d"))
    wait_for_decoding(worker, 3)
    stopping = Thread(target=worker.stop)
    stopping.start()
    while worker.is_ready:
        time.sleep(0.01)
    with pytest.raises(BusyError, match="stopping"):
        worker.submit(images("e"))
    assert not any(future.done() for future in [*first, *rest])
    estimator.gate.set()
    stopping.join(TIMEOUT_S)
    assert [future.result(0).file_name for future in [*first, *rest]] == ["a", "b", "c", "d"]
    assert estimator.batches == [["a"], ["b", "c"], ["d"]]


def test_a_request_is_queued_whole_or_not_at_all(worker, estimator):
    estimator.gate.clear()
    worker.submit(images("a"))
    assert estimator.started.wait(TIMEOUT_S)
    worker.submit(images("b", "c"))
    worker.check_capacity(2)
    with pytest.raises(BusyError) as busy:
        worker.submit(images("d", "e", "f"))
    assert 1 <= busy.value.retry_after_s <= 60
    worker.submit(images("d", "e"))
    with pytest.raises(BusyError, match="4 images wait already"):
        worker.check_capacity(1)


def test_a_client_leaves_room_for_others(estimator):
    limits = Limits(images=2, waiting=8)
    worker = Worker(lambda: estimator, Decoders(limits), limits, Metrics())
    for _ in range(2):
        worker.submit(images("a", "b"), "first")
    with pytest.raises(BusyError, match="4 of your images wait already"):
        worker.check_capacity(1, "first")
    worker.submit(images("a", "b"), "second")
    worker.submit(images("a", "b"), "third")
    with pytest.raises(BusyError, match="8 images wait already"):
        worker.check_capacity(1, "fourth")


def test_a_waiting_image_that_is_cancelled_is_not_processed(worker, estimator):
    estimator.gate.clear()
    (first,) = worker.submit(images("a"))
    assert estimator.started.wait(TIMEOUT_S)
    cancelled, kept = worker.submit(images("b", "c"))
    assert cancelled.cancel() and not first.cancel()
    estimator.gate.set()
    kept.result(TIMEOUT_S)
    assert estimator.batches == [["a"], ["c"]]


def test_a_crash_affects_its_batch_only(worker, estimator):
    estimator.gate.clear()
    (first,) = worker.submit(images("a"))
    assert estimator.started.wait(TIMEOUT_S)
    before, crash, after = worker.submit(images("b", "crash", "c"))
    estimator.gate.set()
    assert len(first.result(TIMEOUT_S)) == len(before.result(TIMEOUT_S)) == len(after.result(TIMEOUT_S)) == 3
    assert isinstance(crash.exception(TIMEOUT_S), WorkerCrashError)


def test_weights_that_cannot_be_opened_are_reported_at_once():
    def open_estimator():
        raise ImageError("no such weights")

    with pytest.raises(ImageError, match="no such weights"):
        Worker(open_estimator, Decoders(Limits()), Limits(), Metrics())
