"""Decodes uploaded images in processes, which are killed and replaced where an image takes too much time or memory.

`python -m rsgnet.server.decoding` is such a process. It reads a line of JSON and the bytes of an image; it answers with
a line of JSON and the pixels. It ends with its standard input.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread, Timer
from typing import IO, Any

import numpy as np

import rsgnet
from rsgnet.errors import ImageError, RSGNetError
from rsgnet.images import RGBImage, decode_image
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.inference.sources import UploadedImage
from rsgnet.server.limits import Limits

DECODING_BYTES_PER_PIXEL = 24  # tests measure up to 17
_DECODING_BYTES = 256 << 20  # for the libraries' buffers, whatever the image
_MIN_PROCESSES, _MAX_PROCESSES = 2, 4
_PROCESS_START_S = 60.0


@dataclass(frozen=True, eq=False)
class _Task:
    """An image to be decoded, and the future that receives it."""

    client: str
    image: UploadedImage
    future: Future[LoadedImage] = field(default_factory=Future)


class Decoders:
    """Decodes images in some processes. Clients take turns, and no client has all processes, so that none waits long.

    Args:
        limits: The limits of an image, of the time to decode it, and of the decoded pixels in memory.
        processes: How many images are decoded at once; None for the number of cores, from 2 to 4.
    """

    def __init__(self, limits: Limits, processes: int | None = None) -> None:
        count = processes or min(_MAX_PROCESSES, max(_MIN_PROCESSES, os.cpu_count() or 1))
        self._limits, self._budget = limits, PixelBudget(limits.decoded_pixels)
        self._processes = [DecodingProcess(limits) for _ in range(count)]
        self._queues: OrderedDict[str, deque[_Task]] = OrderedDict()  # by client; the first one's turn is next
        self._share, self._running = max(count - 1, 1), Counter[str]()  # processes that a client may have, and has
        self._changed = Condition()
        self._is_closed = False

    def start(self) -> None:
        """Starts decoding."""
        for process in self._processes:
            Thread(target=self._run, args=[process], name="rsgnet-decoder", daemon=True).start()

    def submit(self, image: UploadedImage, client: str = "") -> Future[LoadedImage]:
        """Queues an image.

        Args:
            image: The image.
            client: Who sent it.

        Returns:
            A future. Its exception is an `RSGNetError` where the image cannot be decoded within the limits.
        """
        task = _Task(client, image)
        with self._changed:
            self._queues.setdefault(client, deque()).append(task)
            self._changed.notify_all()
        return task.future

    def close(self) -> None:
        """Kills the processes; images that still wait are never decoded."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for process in self._processes:
            process.kill()

    def _run(self, process: DecodingProcess) -> None:
        while (task := self._next_task()) is not None:
            if task.future.set_running_or_notify_cancel():
                try:
                    task.future.set_result(process.decode(task.image, self._budget))
                except Exception as error:
                    task.future.set_exception(error)
            with self._changed:
                self._running[task.client] -= 1
                if not self._running[task.client]:
                    del self._running[task.client]
                self._changed.notify_all()
            del task  # which holds the pixels

    def _next_task(self) -> _Task | None:
        """Waits for the next task; returns None once closed."""
        with self._changed:
            while not self._is_closed:
                client = next((each for each in self._queues if self._running[each] < self._share), None)
                if client is not None:
                    return self._take_task(client)
                self._changed.wait()
            return None

    def _take_task(self, client: str) -> _Task:
        """Returns the next task of a client, whose turn is then after all others'."""
        queue = self._queues.pop(client)
        self._running[client] += 1
        task = queue.popleft()
        while queue and queue[0].future.cancelled():
            queue.popleft()  # frees the bytes
        if queue:
            self._queues[client] = queue  # behind the other clients
        return task


class PixelBudget:
    """Limits the number of pixels in memory over all decoded images.

    Args:
        limit: The number of pixels. A single image may have more.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._changed = Condition()

    def allocate(self, shape_hw: tuple[int, int], timeout_s: float) -> RGBImage:
        """Returns an uninitialized image as soon as its pixels are within the limit; they count while it exists.

        Raises:
            RSGNetError: Other images have held the pixels for too long.
        """
        pixels = shape_hw[0] * shape_hw[1]
        with self._changed:
            if not self._changed.wait_for(lambda: not self._held or self._held + pixels <= self._limit, timeout_s):
                raise RSGNetError("no memory became free for this image; try again later")
            self._held += pixels
        image = np.empty((*shape_hw, 3), np.uint8)
        weakref.finalize(image, self._release, pixels).atexit = False
        return image

    def _release(self, pixels: int) -> None:
        with self._changed:
            self._held -= pixels
            self._changed.notify_all()


class _Process(subprocess.Popen[bytes]):
    """A process with pipes for its standard input and output."""

    stdin: io.BufferedWriter
    stdout: io.BufferedReader


class DecodingProcess:
    """A process that decodes one image after the other. It starts with the first image, and again after it was killed.

    Args:
        limits: The limits of an image, and of the time to decode it.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: _Process | None = None

    def decode(self, image: UploadedImage, budget: PixelBudget) -> LoadedImage:
        """Decodes an image.

        Raises:
            ImageError: The image cannot be decoded, or only in more than the allowed time or memory.
            RSGNetError: The budget has no room for the image.
        """
        limit_s, name = self._limits.decode_seconds, image.file_name
        if self._process is None or self._process.poll() is not None:
            self.kill()
            self._start()
        request = json.dumps({"name": name, "bytes": len(image.content)}).encode() + b"\n"
        with self._deadline(limit_s, name, f"decoding it takes longer than {limit_s:g} s; scale it down") as process:
            process.stdin.write(request)
            process.stdin.write(image.content)
            process.stdin.flush()
            reply = _read_reply(process)
        if "error" in reply:
            raise ImageError(reply["error"])
        try:
            pixels = budget.allocate((reply["height"], reply["width"]), self._limits.seconds)
        except RSGNetError:
            self.kill()  # it still has the pixels
            raise
        with self._deadline(limit_s, name, "its pixels take too long to be copied; try again") as process:
            if process.stdout.readinto(pixels.data.cast("B")) < pixels.nbytes:
                raise EOFError
        return LoadedImage(pixels, name, boxes=image.boxes)

    def kill(self) -> None:
        """Ends the process, whatever it does."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what the process did not read
                pipe.close()

    def _start(self) -> None:
        """Starts the process and waits for its imports, which are to take no time of an image's."""
        command = [sys.executable, "-m", __name__, str(self._limits.pixels)]
        folder = Path(rsgnet.__file__).parents[1]  # the current folder might have modules of the same names
        pipe = subprocess.PIPE
        self._process = _Process(command, cwd=folder, stdin=pipe, stdout=pipe, start_new_session=True)
        with self._deadline(_PROCESS_START_S, "decoding", "its process does not start"):
            _read_reply(self._process)

    @contextmanager
    def _deadline(self, seconds: float, name: str, message: str) -> Iterator[_Process]:
        """Kills the process when the block takes too long.

        Raises:
            ImageError: The process was killed, or has died.
        """
        assert self._process is not None
        process = self._process
        timer, started = Timer(seconds, process.kill), time.monotonic()
        timer.daemon = True
        timer.start()
        try:
            yield process
        except (EOFError, OSError) as error:
            self.kill()
            is_late = time.monotonic() - started >= seconds
            raise ImageError(f"{name}: {message if is_late else 'its decoder died; scale it down'}") from error
        finally:
            timer.cancel()


def _read_reply(process: _Process) -> dict[str, Any]:
    line = process.stdout.readline()
    if not line:
        raise EOFError
    reply: dict[str, Any] = json.loads(line)
    return reply


def main(max_pixels: int) -> None:
    """Decodes the images that arrive on standard input."""
    _limit_memory(max_pixels)
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no reply
    _reply(replies, {})
    while line := requests.readline():
        request = json.loads(line)
        try:
            pixels = decode_image(requests.read(request["bytes"]), request["name"], max_pixels)
        except ImageError as error:
            _reply(replies, {"error": str(error)})
        else:
            _reply(replies, {"height": pixels.shape[0], "width": pixels.shape[1]}, pixels.data.cast("B"))
            del pixels


def _reply(replies: IO[bytes], header: dict[str, Any], content: bytes | memoryview = b"") -> None:
    replies.write(json.dumps(header).encode() + b"\n")
    replies.write(content)
    replies.flush()


def _limit_memory(max_pixels: int) -> None:
    """Lets allocations fail beyond what an image of that size can need. Linux only."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415  not on Windows

        own_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = own_bytes + _DECODING_BYTES + max_pixels * DECODING_BYTES_PER_PIXEL
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main(int(sys.argv[1]))
