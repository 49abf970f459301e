import time
from threading import Thread

import pytest
from tests.server.conftest import PATIENCE_S, png

from rsgnet.errors import ImageError
from rsgnet.inference.sources import SentImage
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics
from rsgnet.server.worker import Busy, Worker, WorkerCrash


@pytest.fixture
def worker(estimator):
    started = Worker(lambda: estimator, Limits(images=4, waiting=4, batch=2), Metrics())
    started.start()
    yield started
    estimator.gate.set()
    started.stop()


def images(*names):
    return [SentImage(b"" if "broken" in name else png(), name) for name in names]


def test_each_image_has_its_own_outcome(worker):
    good, broken = worker.submit(images("a", "broken"))
    assert good.result(PATIENCE_S).file_name == "a" and good.result().image is None
    assert isinstance(broken.exception(PATIENCE_S), ImageError)


def test_what_was_taken_is_finished_when_it_stops(worker, estimator):
    estimator.gate.clear()
    first = worker.submit(images("a"))
    assert estimator.started.wait(PATIENCE_S)
    rest = worker.submit(images("b", "c", "d"))
    stopping = Thread(target=worker.stop)
    stopping.start()
    while worker.ready:
        time.sleep(0.01)
    with pytest.raises(Busy, match="stopping"):
        worker.submit(images("e"))
    assert not any(future.done() for future in [*first, *rest])
    estimator.gate.set()
    stopping.join(PATIENCE_S)
    assert [future.result(0).file_name for future in [*first, *rest]] == ["a", "b", "c", "d"]
    assert estimator.batches == [["a"], ["b", "c"], ["d"]]


def test_a_request_goes_in_whole_or_not_at_all(worker, estimator):
    estimator.gate.clear()
    worker.submit(images("a"))
    assert estimator.started.wait(PATIENCE_S)
    worker.submit(images("b", "c"))
    worker.check_room(2)
    with pytest.raises(Busy) as busy:
        worker.submit(images("d", "e", "f"))
    assert 1 <= busy.value.retry_after_s <= 60
    worker.submit(images("d", "e"))
    with pytest.raises(Busy, match="4 images wait already"):
        worker.check_room(1)


def test_what_is_cancelled_while_it_waits_is_not_worked_on(worker, estimator):
    estimator.gate.clear()
    (first,) = worker.submit(images("a"))
    assert estimator.started.wait(PATIENCE_S)
    gone, kept = worker.submit(images("b", "c"))
    assert gone.cancel() and not first.cancel()
    estimator.gate.set()
    kept.result(PATIENCE_S)
    assert estimator.batches == [["a"], ["c"]]


def test_a_crash_takes_its_batch_only(worker, estimator):
    estimator.gate.clear()
    (first,) = worker.submit(images("a"))
    assert estimator.started.wait(PATIENCE_S)
    before, crash, after = worker.submit(images("b", "crash", "c"))
    estimator.gate.set()
    assert len(first.result(PATIENCE_S)) == len(before.result(PATIENCE_S)) == len(after.result(PATIENCE_S)) == 3
    assert isinstance(crash.exception(PATIENCE_S), WorkerCrash)


def test_weights_that_cannot_be_opened_say_so_at_once():
    def opening():
        raise ImageError("no such weights")

    with pytest.raises(ImageError, match="no such weights"):
        Worker(opening, Limits(), Metrics())
