"""Reading images ahead of the network, in threads, in order, and never more than fit."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from PIL import Image

from rsgnet.errors import RSGNetError
from rsgnet.images import as_image, read_image
from rsgnet.inference.boxes import Photo

Source = TypeVar("Source")

AHEAD = 4  # images read while the network works
CHUNK_IMAGES = 16
CHUNK_PIXELS = 48_000_000


@runtime_checkable
class Readable(Protocol):
    """An image that knows how it is read. Anything with this method may be a source."""

    def read_photo(self, max_pixels: int) -> Photo:
        """The image, decoded.

        Raises:
            RSGNetError: It cannot be read, or has more pixels than `max_pixels`.
        """
        ...


def read_photo(source: object, max_pixels: int) -> Photo | RSGNetError:
    """The photo that a source means, or what is wrong with it.

    Args:
        source: A `Photo`, anything `Readable`, or whatever `rsgnet.images.as_image` takes.
        max_pixels: Files with more pixels than this are refused.
    """
    try:
        if isinstance(source, Photo):
            return source
        if isinstance(source, Readable):
            return source.read_photo(max_pixels)
        if isinstance(source, (str, PathLike)):
            path = Path(source)
            return Photo(read_image(path, max_pixels), path.as_posix(), path)
        name = str(getattr(source, "filename", "") or "") if isinstance(source, Image.Image) else ""
        return Photo(as_image(source, max_pixels), Path(name).as_posix() if name else "")
    except RSGNetError as error:
        return error


def read_ahead(
    sources: Iterable[Source], pool: ThreadPoolExecutor, max_pixels: int
) -> Iterator[tuple[Source, Photo | RSGNetError]]:
    """Each source with its photo or its error, in order, a few of them being read while the caller works."""
    waiting: deque[tuple[Source, Future[Photo | RSGNetError]]] = deque()
    remaining = iter(sources)
    for source in islice(remaining, AHEAD):
        waiting.append((source, pool.submit(read_photo, source, max_pixels)))
    while waiting:
        source, future = waiting.popleft()
        photo = future.result()
        waiting.extend((later, pool.submit(read_photo, later, max_pixels)) for later in islice(remaining, 1))
        yield source, photo


def in_chunks(
    read: Iterable[tuple[Source, Photo | RSGNetError]],
) -> Iterator[list[tuple[Source, Photo | RSGNetError]]]:
    """Groups of images that go through the line together: so many, and not many more pixels than CHUNK_PIXELS."""
    chunk: list[tuple[Source, Photo | RSGNetError]] = []
    pixels = 0
    for source, photo in read:
        chunk.append((source, photo))
        pixels += 0 if isinstance(photo, RSGNetError) else photo.size_wh[0] * photo.size_wh[1]
        if len(chunk) >= CHUNK_IMAGES or pixels >= CHUNK_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk
