"""The one thread that runs a network: it takes whatever waits, up to a batch, of however many clients."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from threading import Condition, Thread
from typing import Protocol

from rsgnet.errors import RSGNetError
from rsgnet.inference.sources import SentImage
from rsgnet.poses import Poses
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics
from rsgnet.skeletons import Skeleton

_LOG = logging.getLogger(__name__)
_PACE_MEMORY = 0.8  # how much of the time per image is remembered from batch to batch
_FIRST_PACE_S = 0.5
_LONGEST_RETRY_S = 60
_REOPEN_EVERY_S = 1.0


class Estimator(Protocol):
    """What the thread runs: a `PoseEstimator`."""

    skeleton: Skeleton

    def stream(self, sources: Iterable[SentImage]) -> Iterator[tuple[SentImage, Poses | RSGNetError]]:
        """Each image, in order, with its poses or its error."""
        ...


class Busy(Exception):  # noqa: N818
    """Too many images wait, or the service is stopping.

    Attributes:
        retry_after_s: When to try again.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class WorkerCrash(Exception):  # noqa: N818
    """The network failed while an image was in its batch."""


@dataclass(frozen=True, eq=False)
class _Job:
    """An image that waits, and its answer to come."""

    image: SentImage
    answer: Future[Poses] = field(default_factory=Future)


class Worker:
    """Owns an estimator and the queue before it.

    Args:
        open_estimator: Opens the estimator: at once, and anew whenever it has crashed.
        limits: How many images may wait, and go together.
        metrics: Told of batches and crashes.

    Raises:
        RSGNetError: The estimator cannot be opened.
    """

    def __init__(self, open_estimator: Callable[[], Estimator], limits: Limits, metrics: Metrics) -> None:
        self._open, self._limits, self._metrics = open_estimator, limits, metrics
        self._estimator = open_estimator()
        self.skeleton = self._estimator.skeleton
        self._waiting: deque[_Job] = deque()
        self._changed = Condition()
        self._open_for_work, self._stopping = True, False
        self._pace_s = _FIRST_PACE_S
        self._thread = Thread(target=self._work, name="rsgnet-worker", daemon=True)

    @property
    def ready(self) -> bool:
        """Whether images are being worked on."""
        return self._thread.is_alive() and self._open_for_work and not self._stopping

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Takes nothing more, finishes what was taken, and ends the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def check_room(self, images: int) -> None:
        """Refuses so many images if they would not be taken now; asked before a request's body is read.

        Raises:
            Busy: They do not fit into the queue, or the worker is stopping.
        """
        with self._changed:
            if self._stopping:
                raise Busy("the service is stopping; try again", 1)
            if len(self._waiting) + images > self._limits.waiting:
                raise Busy(f"{len(self._waiting)} images wait already; try again later", self._retry_after_s())

    def submit(self, images: Sequence[SentImage]) -> list[Future[Poses]]:
        """Queues the images of one request, all or none.

        Args:
            images: At most as many as may wait.

        Returns:
            Their poses to come. An image at fault gets a `RSGNetError`, one whose batch crashed a `WorkerCrash`.
            Futures that are cancelled before their turn cost nothing.

        Raises:
            Busy: As `check_room`.
        """
        jobs = [_Job(image) for image in images]
        with self._changed:
            self.check_room(len(jobs))
            self._waiting.extend(jobs)
            self._metrics.waiting(len(self._waiting))
            self._changed.notify_all()
        return [job.answer for job in jobs]

    def _retry_after_s(self) -> int:
        return min(max(1, math.ceil(len(self._waiting) * self._pace_s)), _LONGEST_RETRY_S)

    def _work(self) -> None:
        while batch := self._take():
            started = time.perf_counter()
            try:
                self._answer(batch)
            except Exception:
                _LOG.exception("the network failed; it is opened anew")
                self._metrics.crashed()
                for job in batch:
                    if not job.answer.done():
                        job.answer.set_exception(WorkerCrash("the network failed on this batch; send it again"))
                self._reopen()
            else:
                taken_s = time.perf_counter() - started
                self._metrics.batch_done(len(batch), taken_s)
                self._pace_s = _PACE_MEMORY * self._pace_s + (1 - _PACE_MEMORY) * taken_s / len(batch)

    def _take(self) -> list[_Job]:
        """The next batch; empty once the worker is stopping and nothing waits."""
        batch: list[_Job] = []
        with self._changed:
            while not batch:
                while self._waiting and len(batch) < self._limits.batch:
                    job = self._waiting.popleft()
                    if job.answer.set_running_or_notify_cancel():
                        batch.append(job)
                self._metrics.waiting(len(self._waiting))
                if self._stopping:
                    break
                if not batch:
                    self._changed.wait()
        return batch

    def _answer(self, batch: Sequence[_Job]) -> None:
        outcomes = self._estimator.stream([job.image for job in batch])
        for job, (_, outcome) in zip(batch, outcomes, strict=True):
            if isinstance(outcome, RSGNetError):
                job.answer.set_exception(outcome)
            else:
                job.answer.set_result(replace(outcome, image=None))  # its pixels are not asked for again

    def _reopen(self) -> None:
        """Opens the estimator anew, however often it takes; gives up when the worker is stopped."""
        self._open_for_work = False
        while not self._stopping:
            try:
                self._estimator = self._open()
            except Exception:
                _LOG.exception("the network cannot be opened; trying again in %.0f s", _REOPEN_EVERY_S)
                with self._changed:
                    self._changed.wait(_REOPEN_EVERY_S)
            else:
                self._open_for_work = True
                return
