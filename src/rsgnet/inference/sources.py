"""From what a user names to images in memory: finding files, and loading images ahead of the network."""

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
from rsgnet.images import IMAGE_SUFFIXES, decode_image, read_image, to_rgb_image
from rsgnet.inference.detectors.detector import Boxes, LoadedImage
from rsgnet.inference.downloads import download_image, is_url, name_in_url
from rsgnet.inference.video.reader import VIDEO_SUFFIXES, is_camera

IMAGES_AHEAD = 4  # images that are loaded while the network works
CHUNK_IMAGES = 16
CHUNK_PIXELS = 48_000_000

Source = TypeVar("Source")


@runtime_checkable
class ImageSource(Protocol):
    """An image that can load itself. Any object with this method can be a source of `PoseEstimator.stream`."""

    def load_image(self, max_pixels: int) -> LoadedImage:
        """Returns the decoded image.

        Raises:
            RSGNetError: It cannot be read, or has more pixels than `max_pixels`.
        """
        ...


@dataclass(frozen=True)
class ImageFile:
    """A file that is still to be read: an image, a clip, or a camera.

    Attributes:
        path: The file.
        file_name: Its name in results: its path below the folder that the user named.
        url: The address to fetch it from; "" for a file that is here. `path` is its name alone then.
    """

    path: Path
    file_name: str
    url: str = ""

    @property
    def is_clip(self) -> bool:
        """Whether it holds many images: a clip, by its suffix, or a camera."""
        return not self.url and (self.path.suffix.lower() in VIDEO_SUFFIXES or is_camera(self.path))

    def load_image(self, max_pixels: int) -> LoadedImage:
        """Reads the image; raises ImageError if it cannot, or if the image has more pixels than `max_pixels`."""
        if self.url:
            return LoadedImage(decode_image(download_image(self.url), self.url, max_pixels), self.file_name)
        return LoadedImage(read_image(self.path, max_pixels), self.file_name, self.path)


@dataclass(frozen=True)
class UploadedImage:
    """The bytes of an image file, still to be decoded, such as an upload.

    Attributes:
        content: The bytes.
        file_name: Its name in results.
        boxes: The boxes of its people, None where a detector is to find them.
    """

    content: bytes = field(repr=False)
    file_name: str
    boxes: Boxes | None = None

    def load_image(self, max_pixels: int) -> LoadedImage:
        """Decodes the image; raises ImageError if it cannot, or if the image has more pixels than `max_pixels`."""
        return LoadedImage(decode_image(self.content, self.file_name, max_pixels), self.file_name, boxes=self.boxes)


def find_images(sources: Sequence[str | Path], skip: Path | None = None, clips: bool = False) -> list[ImageFile]:
    """Finds the images that files, folders (searched recursively), glob patterns and addresses mean, each once.

    Args:
        sources: Paths, patterns and http or https addresses. A file is taken whatever its suffix. A missing file is
            taken too: reading it will raise an error that names it, while the other images are processed.
        skip: A folder below a source whose images are left out, such as the folder of earlier results.
        clips: Whether folders and patterns are searched for clips as well.

    Raises:
        RSGNetError: A folder or pattern holds no image, or nothing was named.
    """
    if not sources:
        raise RSGNetError("no image was named: pass files, folders or patterns such as 'photos/*.jpg'")
    found: dict[Path, ImageFile] = {}
    suffixes = IMAGE_SUFFIXES | VIDEO_SUFFIXES if clips else IMAGE_SUFFIXES
    for source in sources:
        if is_url(source):
            name = name_in_url(str(source))
            found.setdefault(Path(str(source)), ImageFile(Path(name), name, str(source)))
            continue
        for file in _expand_source(Path(source), skip, suffixes):
            found.setdefault(file.path.resolve(), file)
    return _make_names_unique(list(found.values()))


def _expand_source(source: Path, skip: Path | None, suffixes: frozenset[str]) -> Iterator[ImageFile]:
    if is_camera(source):
        yield ImageFile(source, str(source).replace(":", "-"))
    elif source.is_dir():
        yield from _select_files(source, source.rglob("*"), skip, suffixes, f"{source}: no images in this folder")
    elif source.exists() or not glob.has_magic(str(source)):
        yield ImageFile(source, source.name)
    else:
        root = _folder_above_pattern(source)
        matches = (Path(match) for match in glob.iglob(str(source), recursive=True))  # noqa: PTH207
        yield from _select_files(root, matches, skip, suffixes, f"{source}: no image matches this pattern")


def _select_files(
    root: Path, paths: Iterable[Path], skip: Path | None, suffixes: frozenset[str], if_none: str
) -> Iterator[ImageFile]:
    """Yields the paths that are images and not below `skip`; raises an error with the text `if_none` without any."""
    skipped = skip.resolve() if skip is not None and skip.resolve() != root.resolve() else None
    found = False
    for path in sorted(paths):
        if path.suffix.lower() not in suffixes or path.name.startswith(".") or not path.is_file():
            continue
        if skipped is not None and root.resolve() in skipped.parents and skipped in path.resolve().parents:
            continue
        found = True
        yield ImageFile(path, path.relative_to(root).as_posix())
    if not found:
        raise RSGNetError(f"{if_none}; known are {', '.join(sorted(suffixes))}")


def _folder_above_pattern(source: Path) -> Path:
    """Returns the part of a path before its first component that is a glob pattern."""
    parts = source.parts
    first_pattern = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first_pattern])


def _make_names_unique(files: Sequence[ImageFile]) -> list[ImageFile]:
    """Names files that would have the same name in results by their whole path."""
    counts = Counter(file.file_name for file in files)
    return [file if counts[file.file_name] == 1 else replace(file, file_name=_whole_name(file)) for file in files]


def _whole_name(file: ImageFile) -> str:
    return file.url.partition("://")[2] if file.url else file.path.as_posix()


def _expand_folders(sources: Iterable[Source]) -> Iterator[tuple[Source, object]]:
    """Yields each source with what is to be loaded for it: for a folder each of its images, or an error without any."""
    for source in sources:
        if is_folder(source):
            try:
                yield from ((source, file) for file in find_images([str(source)]))
            except RSGNetError as error:
                yield source, error
        else:
            yield source, source


def is_folder(source: object) -> bool:
    """Returns whether a source is the path of a folder."""
    return isinstance(source, (str, PathLike)) and not is_url(source) and Path(source).is_dir()


def load_image(source: object, max_pixels: int) -> LoadedImage | RSGNetError:
    """Loads the image that a source means; returns the error where it cannot.

    Args:
        source: A `LoadedImage`, an `ImageSource`, an error, an http or https address, or whatever
            `rsgnet.images.to_rgb_image` takes.
        max_pixels: Files with more pixels than this are refused.
    """
    try:
        if isinstance(source, (LoadedImage, RSGNetError)):
            return source
        if isinstance(source, ImageSource):
            return source.load_image(max_pixels)
        if isinstance(source, str) and is_url(source):
            return ImageFile(Path(name_in_url(source)), source, source).load_image(max_pixels)
        if isinstance(source, (str, PathLike)):
            path = Path(source)
            return LoadedImage(read_image(path, max_pixels), path.as_posix(), path)
        name = str(getattr(source, "filename", "") or "") if isinstance(source, Image.Image) else ""
        return LoadedImage(to_rgb_image(source, max_pixels), Path(name).as_posix() if name else "")
    except RSGNetError as error:
        return error.forget_frames()


def read_ahead(
    sources: Iterable[Source], pool: ThreadPoolExecutor, max_pixels: int
) -> Iterator[tuple[Source, LoadedImage | RSGNetError]]:
    """Yields each source with its image or error, in order, and loads the next few while the caller works.

    A folder is yielded once for each of its images.
    """
    pending: deque[tuple[Source, Future[LoadedImage | RSGNetError]]] = deque()
    remaining = _expand_folders(sources)
    for source, image in islice(remaining, IMAGES_AHEAD):
        pending.append((source, pool.submit(load_image, image, max_pixels)))
    while pending:
        source, future = pending.popleft()
        loaded = future.result()
        pending.extend((later, pool.submit(load_image, image, max_pixels)) for later, image in islice(remaining, 1))
        yield source, loaded


def chunk_images(
    loaded: Iterable[tuple[Source, LoadedImage | RSGNetError]],
) -> Iterator[list[tuple[Source, LoadedImage | RSGNetError]]]:
    """Groups images that go through the pipeline together: CHUNK_IMAGES, or as many as reach CHUNK_PIXELS."""
    chunk: list[tuple[Source, LoadedImage | RSGNetError]] = []
    pixels = 0
    for source, image in loaded:
        chunk.append((source, image))
        pixels += 0 if isinstance(image, RSGNetError) else image.size_wh[0] * image.size_wh[1]
        if len(chunk) >= CHUNK_IMAGES or pixels >= CHUNK_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk
