"""What a user names on the command line becomes a list of files: images, and clips where they are taken."""

from __future__ import annotations

import glob
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from PIL import Image

from rsgnet.errors import RSGNetError
from rsgnet.images import IMAGE_SUFFIXES, as_image, decode_image, read_image
from rsgnet.inference.detectors.boxes import Boxes, LoadedImage
from rsgnet.inference.video.reader import VIDEO_SUFFIXES, is_camera


@dataclass(frozen=True)
class ImageFile:
    """An image file that is still to be read; or a clip, or a camera.

    Attributes:
        path: Where it lies.
        file_name: What results call it: its path below the folder that was named.
    """

    path: Path
    file_name: str

    @property
    def is_clip(self) -> bool:
        """Whether it holds many images: a clip, by what its name ends in, or a camera."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES or is_camera(self.path)

    def read_photo(self, max_pixels: int) -> LoadedImage:
        """The image; refused if it has more pixels than `max_pixels`."""
        return LoadedImage(read_image(self.path, max_pixels), self.file_name, self.path)


@dataclass(frozen=True)
class SentImage:
    """The content of an image file that somebody sent; it is still to be decoded.

    Attributes:
        content: The bytes.
        file_name: What results call it.
        boxes: Where its people are, None where a detector is to find them.
    """

    content: bytes = field(repr=False)
    file_name: str
    boxes: Boxes | None = None

    def read_photo(self, max_pixels: int) -> LoadedImage:
        """The image, decoded; refused if it has more pixels than `max_pixels`."""
        return LoadedImage(decode_image(self.content, self.file_name, max_pixels), self.file_name, boxes=self.boxes)


def find_images(sources: Sequence[str | Path], skip: Path | None = None, clips: bool = False) -> list[ImageFile]:
    """The images that files, folders (searched to the bottom) and glob patterns mean, each once, in their order.

    Args:
        sources: Paths and patterns. A file is taken whatever its name ends in; a missing one too, so that reading it
            says so and the others are still done.
        skip: A folder below a source whose images are left out: that of earlier results.
        clips: Whether folders and patterns are searched for clips as well.

    Raises:
        RSGNetError: A folder or pattern holds no image, or nothing was named.
    """
    if not sources:
        raise RSGNetError("no image was named: pass files, folders or patterns such as 'photos/*.jpg'")
    seen: dict[Path, ImageFile] = {}
    suffixes = IMAGE_SUFFIXES | VIDEO_SUFFIXES if clips else IMAGE_SUFFIXES
    for source in sources:
        for file in _images_of(Path(source), skip, suffixes):
            seen.setdefault(file.path.resolve(), file)
    return list(_told_apart(seen.values()))


def _images_of(source: Path, skip: Path | None, suffixes: frozenset[str]) -> Iterator[ImageFile]:
    if is_camera(source):
        yield ImageFile(source, str(source).replace(":", "-"))
    elif source.is_dir():
        yield from _below(source, source.rglob("*"), skip, suffixes, f"{source}: no images in this folder")
    elif source.exists() or not glob.has_magic(str(source)):
        yield ImageFile(source, source.name)
    else:
        root = _fixed_part(source)
        matches = (Path(match) for match in glob.iglob(str(source), recursive=True))  # noqa: PTH207
        yield from _below(root, matches, skip, suffixes, f"{source}: no image matches this pattern")


def _below(
    root: Path, paths: Iterable[Path], skip: Path | None, suffixes: frozenset[str], complaint: str
) -> Iterator[ImageFile]:
    hidden = skip.resolve() if skip is not None and skip.resolve() != root.resolve() else None
    found = False
    for path in sorted(paths):
        if path.suffix.lower() not in suffixes or path.name.startswith(".") or not path.is_file():
            continue
        if hidden is not None and root.resolve() in hidden.parents and hidden in path.resolve().parents:
            continue
        found = True
        yield ImageFile(path, path.relative_to(root).as_posix())
    if not found:
        raise RSGNetError(f"{complaint}; known are {', '.join(sorted(suffixes))}")


def _fixed_part(pattern: Path) -> Path:
    """The folder above the first part of a pattern that is one."""
    parts = pattern.parts
    magic = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:magic])


def _told_apart(files: Iterable[ImageFile]) -> Iterator[ImageFile]:
    """Files that would be called alike are called by the paths they were named with."""
    files = list(files)
    counts = Counter(file.file_name for file in files)
    for file in files:
        yield file if counts[file.file_name] == 1 else replace(file, file_name=file.path.as_posix())


Source = TypeVar("Source")

AHEAD = 4  # images read while the network works
CHUNK_IMAGES = 16
CHUNK_PIXELS = 48_000_000


@runtime_checkable
class Readable(Protocol):
    """An image that knows how it is read. Anything with this method may be a source."""

    def read_photo(self, max_pixels: int) -> LoadedImage:
        """The image, decoded.

        Raises:
            RSGNetError: It cannot be read, or has more pixels than `max_pixels`.
        """
        ...


def read_photo(source: object, max_pixels: int) -> LoadedImage | RSGNetError:
    """The photo that a source means, or what is wrong with it.

    Args:
        source: A `LoadedImage`, anything `Readable`, or whatever `rsgnet.images.as_image` takes.
        max_pixels: Files with more pixels than this are refused.
    """
    try:
        if isinstance(source, LoadedImage):
            return source
        if isinstance(source, Readable):
            return source.read_photo(max_pixels)
        if isinstance(source, (str, PathLike)):
            path = Path(source)
            return LoadedImage(read_image(path, max_pixels), path.as_posix(), path)
        name = str(getattr(source, "filename", "") or "") if isinstance(source, Image.Image) else ""
        return LoadedImage(as_image(source, max_pixels), Path(name).as_posix() if name else "")
    except RSGNetError as error:
        return error


def read_ahead(
    sources: Iterable[Source], pool: ThreadPoolExecutor, max_pixels: int
) -> Iterator[tuple[Source, LoadedImage | RSGNetError]]:
    """Each source with its photo or its error, in order, a few of them being read while the caller works."""
    waiting: deque[tuple[Source, Future[LoadedImage | RSGNetError]]] = deque()
    remaining = iter(sources)
    for source in islice(remaining, AHEAD):
        waiting.append((source, pool.submit(read_photo, source, max_pixels)))
    while waiting:
        source, future = waiting.popleft()
        photo = future.result()
        waiting.extend((later, pool.submit(read_photo, later, max_pixels)) for later in islice(remaining, 1))
        yield source, photo


def in_chunks(
    read: Iterable[tuple[Source, LoadedImage | RSGNetError]],
) -> Iterator[list[tuple[Source, LoadedImage | RSGNetError]]]:
    """Groups of images that go through the line together: so many, and not many more pixels than CHUNK_PIXELS."""
    chunk: list[tuple[Source, LoadedImage | RSGNetError]] = []
    pixels = 0
    for source, photo in read:
        chunk.append((source, photo))
        pixels += 0 if isinstance(photo, RSGNetError) else photo.size_wh[0] * photo.size_wh[1]
        if len(chunk) >= CHUNK_IMAGES or pixels >= CHUNK_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk
