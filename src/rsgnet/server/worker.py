"""The thread that runs a network: it batches the decoded images of all clients."""

from __future__ import annotations

import logging
import math
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Condition, Thread

from rsgnet.errors import RSGNetError
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.sources import UploadedImage
from rsgnet.poses import Poses
from rsgnet.server.decoding import Decoders
from rsgnet.server.limits import Limits
from rsgnet.server.metrics import Metrics

_LOG = logging.getLogger(__name__)
_SECONDS_PER_IMAGE_DECAY = 0.8  # of the moving average over batches
_FIRST_SECONDS_PER_IMAGE = 0.5
_LONGEST_RETRY_S = 60
_REOPEN_INTERVAL_S = 1.0


class BusyError(Exception):
    """Too many images wait, or the service is stopping.

    Attributes:
        retry_after_s: When the client should try again.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class WorkerCrashError(Exception):
    """The network failed while an image was in its batch."""


@dataclass(frozen=True, eq=False)
class _Job:
    """An image of a client, and the future that receives its poses."""

    client: str
    future: Future[Poses] = field(default_factory=Future)


def _cancel(decoding: weakref.ref[Future[LoadedImage]], _: Future[Poses]) -> None:
    if (future := decoding()) is not None:
        future.cancel()


class Worker:
    """Runs an estimator in a thread of its own, with a queue of images before it.

    Args:
        open_estimator: Opens the estimator: once at the start, and again whenever it has crashed.
        decoders: Decode the images.
        limits: How many images may wait, and how many go through the network together.
        metrics: Counts batches and crashes.

    Attributes:
        skeleton: The keypoints of the poses.

    Raises:
        RSGNetError: The estimator cannot be opened.
    """

    def __init__(
        self, open_estimator: Callable[[], PoseEstimator], decoders: Decoders, limits: Limits, metrics: Metrics
    ) -> None:
        self._open_estimator, self._decoders, self._limits, self._metrics = open_estimator, decoders, limits, metrics
        self._estimator = open_estimator()
        self.skeleton = self._estimator.skeleton
        self._waiting = Counter[str]()  # by client, the images that are not yet in a batch, decoded or not
        self._decoded: deque[tuple[_Job, Future[LoadedImage]]] = deque()
        self._changed = Condition()
        self._is_open, self._is_stopping = True, False
        self._batch_began_s: float | None = None
        self._seconds_per_image = _FIRST_SECONDS_PER_IMAGE
        self._thread = Thread(target=self._run, name="rsgnet-worker", daemon=True)

    @property
    def is_ready(self) -> bool:
        """Whether the worker processes images, and no batch has taken longer than a request may."""
        began_s = self._batch_began_s
        is_stuck = began_s is not None and time.perf_counter() - began_s > self._limits.seconds
        return self._thread.is_alive() and self._is_open and not self._is_stopping and not is_stuck

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Accepts no more images, finishes those that wait, and ends the thread."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        self._thread.join()

    def check_capacity(self, images: int, client: str = "") -> None:
        """Checks that the queue has room for some images; called before the body of a request is read.

        Args:
            images: The number of images.
            client: Who sends them.

        Raises:
            BusyError: The queue has no room for them, or the worker is stopping.
        """
        with self._changed:
            if self._is_stopping:
                raise BusyError("the service is stopping; try again", 1)
            waiting, of_client = self._waiting.total(), self._waiting[client]
            if waiting + images > self._limits.waiting:
                raise BusyError(f"{waiting} images wait already; try again later", self._retry_after_s())
            if of_client + images > self._limits.waiting_per_client:
                raise BusyError(f"{of_client} of your images wait already; try again later", self._retry_after_s())

    def submit(self, images: Sequence[UploadedImage], client: str = "") -> list[Future[Poses]]:
        """Queues the images of one request, all or none.

        Args:
            images: At most as many as may wait.
            client: Who sent them; clients take turns.

        Returns:
            A future per image. Its exception is a `RSGNetError` where the image is at fault, a `WorkerCrashError` where
            the network failed on its batch. A future that is cancelled before its turn costs nothing.

        Raises:
            BusyError: The queue has no room for them, or the worker is stopping.
        """
        with self._changed:
            self.check_capacity(len(images), client)
            self._count_waiting(client, len(images))
        jobs = [_Job(client) for _ in images]
        for job, image in zip(jobs, images, strict=True):
            decoding = self._decoders.submit(image, client)
            # Weakly, as the decoding refers to the job: a cycle would hold the pixels, for which other images wait.
            job.future.add_done_callback(partial(_cancel, weakref.ref(decoding)))
            decoding.add_done_callback(partial(self._queue_decoded, job))
        return [job.future for job in jobs]

    def _count_waiting(self, client: str, images: int) -> None:
        self._waiting[client] += images
        if not self._waiting[client]:
            del self._waiting[client]
        self._metrics.set_waiting(self._waiting.total())

    def _queue_decoded(self, job: _Job, decoding: Future[LoadedImage]) -> None:
        """Queues a job whose image is decoded, or cannot be."""
        with self._changed:
            self._decoded.append((job, decoding))
            self._metrics.set_decoded(len(self._decoded))
            self._changed.notify_all()

    def _retry_after_s(self) -> int:
        return min(max(1, math.ceil(self._waiting.total() * self._seconds_per_image)), _LONGEST_RETRY_S)

    def _run(self) -> None:
        while batch := self._next_batch():
            self._batch_began_s = began_s = time.perf_counter()
            try:
                self._process(batch)
            except Exception:
                _LOG.exception("the network failed and is being opened again")
                self._metrics.count_crash()
                for job, _ in batch:
                    if not job.future.done():
                        job.future.set_exception(WorkerCrashError("the network failed on this batch; send it again"))
                self._reopen()
            else:
                seconds = time.perf_counter() - began_s
                self._metrics.count_batch(len(batch), seconds)
                decay = _SECONDS_PER_IMAGE_DECAY
                self._seconds_per_image = decay * self._seconds_per_image + (1 - decay) * seconds / len(batch)
            self._batch_began_s = None
            del batch  # which holds the pixels

    def _next_batch(self) -> list[tuple[_Job, LoadedImage]]:
        """Waits for the next batch; returns an empty one once the worker is stopping and no image waits."""
        batch: list[tuple[_Job, LoadedImage]] = []
        with self._changed:
            while not batch:
                while self._decoded and len(batch) < self._limits.batch:
                    job, decoding = self._decoded.popleft()
                    self._count_waiting(job.client, -1)
                    self._metrics.set_decoded(len(self._decoded))
                    if not job.future.set_running_or_notify_cancel():
                        continue
                    if error := decoding.exception():
                        job.future.set_exception(error)
                    else:
                        batch.append((job, decoding.result()))
                if self._is_stopping and not self._waiting:
                    break
                if not batch:
                    self._changed.wait()
        return batch

    def _process(self, batch: Sequence[tuple[_Job, LoadedImage]]) -> None:
        outcomes = self._estimator.stream([image for _, image in batch])
        for (job, _), (_, outcome) in zip(batch, outcomes, strict=True):
            if isinstance(outcome, RSGNetError):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(replace(outcome, image=None))  # frees the pixels, which no response needs

    def _reopen(self) -> None:
        """Opens the estimator again, with as many attempts as it takes; gives up when the worker is stopped."""
        self._is_open = False
        while not self._is_stopping:
            try:
                self._estimator = self._open_estimator()
            except Exception:
                _LOG.exception("the network cannot be opened; trying again in %.0f s", _REOPEN_INTERVAL_S)
                with self._changed:
                    self._changed.wait(_REOPEN_INTERVAL_S)
            else:
                self._is_open = True
                return
