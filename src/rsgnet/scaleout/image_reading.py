"""Reads the images of input parts. An image that cannot be read is yielded too, and raises the reason when decoded."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from rsgnet.errors import ImageError
from rsgnet.files import escape_name, get_regular_size, is_utf8
from rsgnet.images import decode_image
from rsgnet.inference.detectors.detector import LoadedImage
from rsgnet.scaleout.inputs import ALL_ROW_GROUPS, InputPart, find_image_column, has_image_suffix
from rsgnet.scaleout.store import open_location

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_FILE_BYTES = 1 << 29  # a larger image file is not read into memory
_ATTEMPTS = 3
_RETRY_WAIT_S = 0.5
_PERMANENT_ERRORS = (PermissionError, IsADirectoryError, NotADirectoryError)
_ROWS_PER_BATCH = 1  # a small file can have large values, which are expanded for each row
_NOT_UTF8 = "the name is not UTF-8; rename the file"
_BLOCK_BYTES = 1 << 20
# Types of tar headers that hold the name or other attributes of the next member.
_ATTRIBUTE_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@dataclass(frozen=True)
class ImageReference:
    """A reference to an image in a store; its content is read when the image is decoded.

    Attributes:
        source: FILE, ARCHIVE#MEMBER or PARQUET#ROW, where files are URIs and rows are counted from 0.
        file_name: The name by which box files know the image: its path below the folder that the user named, or in the
            archive.
        read_content: Returns the bytes of the image file, or raises an `ImageError`. To be called once: what was read
            already is not kept.
    """

    source: str
    file_name: str
    read_content: Callable[[], bytes] = field(repr=False)

    def load_image(self, max_pixels: int) -> LoadedImage:
        """Returns the decoded image.

        Raises:
            ImageError: The image cannot be read, or has more pixels than `max_pixels`.
        """
        return LoadedImage(decode_image(self.read_content(), self.source, max_pixels), self.file_name)


def iterate_images(parts: Iterable[InputPart]) -> Iterator[ImageReference]:
    """Yields the images of the input parts in order. A broken part ends in an image that raises the reason."""
    for part in parts:
        if part.kind == "misnamed":
            yield _failed_image(part.uri, part.file_name, _NOT_UTF8)
        elif part.kind == "file":
            yield ImageReference(part.uri, part.file_name, partial(read_file, part.uri))
        elif part.kind == "tar":
            yield from _iterate_tar(part)
        else:
            yield from _iterate_parquet(part)


def read_file(uri: str) -> bytes:
    """Returns the bytes of a file. Errors that may pass, such as a timeout of the store, are retried.

    Raises:
        ImageError: The file cannot be read, or is larger than MAX_FILE_BYTES.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            content = bytearray()
            with _open_uri(uri) as file:
                while len(content) <= MAX_FILE_BYTES and (block := file.read(_BLOCK_BYTES)):
                    content += block
            break
        except FileNotFoundError as error:
            raise ImageError(f"{uri}: no such file") from error
        except Exception as error:  # each store raises the errors of its own library
            may_pass = isinstance(error, OSError) and not isinstance(error, _PERMANENT_ERRORS)
            if not may_pass or attempt == _ATTEMPTS:
                raise ImageError(f"{uri}: cannot be read ({_reason(error)})") from error
            time.sleep(_RETRY_WAIT_S)
    if len(content) > MAX_FILE_BYTES:
        raise ImageError(f"{uri}: {_too_large()}")
    return bytes(content)


@contextmanager
def _open_uri(uri: str) -> Iterator[Any]:
    file_system, path = open_location(uri)
    if isinstance(file_system, LocalFileSystem) and Path(path).exists():
        get_regular_size(Path(path))  # refuses pipes and devices, which may never end
    with file_system.open(path, "rb") as file:
        yield file


def _failed_image(source: str, file_name: str, error: str) -> ImageReference:
    """Returns a reference whose reading raises the error."""

    def read_content() -> bytes:
        raise ImageError(f"{source}: {error}")

    return ImageReference(source, file_name, read_content)


class _StrictHeader(tarfile.TarInfo):
    """A tar header that refuses what tarfile accepts: an archive without its end mark, and absurd sizes."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.TarError as error:
            if type(error).__name__ == "EOFHeaderError":
                raise
            raise tarfile.ReadError(str(error)) from error  # tarfile would take it for the end of the archive
        if header.size < 0 or (header.type in _ATTRIBUTE_HEADERS and header.size > _BLOCK_BYTES):
            raise tarfile.ReadError(f"a header of {header.size} bytes")  # tarfile would read it into memory
        return header


def _iterate_tar(part: InputPart) -> Iterator[ImageReference]:
    """Yields the members of an archive with an image's suffix, in the order of the archive."""
    try:
        with _open_uri(part.uri) as file, tarfile.open(fileobj=file, mode="r|*", tarinfo=_StrictHeader) as tar:
            for member in tar:
                name = escape_name(member.name)
                source = f"{part.uri}#{name}"
                is_image = member.isfile() and not member.issparse() and has_image_suffix(member.name)
                if is_image and member.size <= MAX_FILE_BYTES and is_utf8(member.name):
                    opened = tar.extractfile(member)
                    assert opened is not None
                    yield ImageReference(source, name, [opened.read()].pop)
                    continue
                if is_image:
                    yield _failed_image(source, name, _too_large() if is_utf8(member.name) else _NOT_UTF8)
                _skip_member(tar, member)
    except Exception as error:  # stores and decompressors raise the errors of their own libraries
        message = f"cannot be read on from here ({_reason(error)}); is the archive truncated?"
        yield _failed_image(part.uri, part.file_name, message)


def _skip_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    """Reads to the end of a member. tarfile would seek to the size in the header, which may be far beyond the file."""
    if member.issparse() or (member.size and member.type not in tarfile.SUPPORTED_TYPES):
        raise tarfile.ReadError(f"{member.name} is not a plain file")
    opened = tar.extractfile(member) if member.isfile() else None
    while opened is not None and opened.read(_BLOCK_BYTES):
        pass


def _iterate_parquet(part: InputPart) -> Iterator[ImageReference]:
    """Yields an image per row, also for rows that cannot be read if the file says how many there are."""
    row = stop = 0
    try:
        with _open_uri(part.uri) as file, pq.ParquetFile(file) as parquet:
            counts = [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)]
            groups = range(part.first, len(counts) if part.stop == ALL_ROW_GROUPS else part.stop)
            row, stop = sum(counts[: groups.start]), sum(counts[: groups.stop])
            column = find_image_column(parquet.schema_arrow, part.column, part.uri)
            for batch in parquet.iter_batches(_ROWS_PER_BATCH, row_groups=list(groups), columns=[column]):
                for value in batch.column(0):
                    yield _image_of_row(part, row, value)
                    row += 1
    except Exception as error:  # stores and decompressors raise the errors of their own libraries
        message = f"cannot be read ({_reason(error)})"
        if row == stop:
            yield _failed_image(part.uri, part.file_name, message)
        for unread in range(row, stop):
            yield _failed_image(f"{part.uri}#{unread}", f"{part.file_name}#{unread}", message)


def _image_of_row(part: InputPart, row: int, scalar: pa.Scalar) -> ImageReference:
    """Returns the image of a value: bytes, a URI, or {bytes, path}, of which the first that is set counts."""
    source, file_name = f"{part.uri}#{row}", f"{part.file_name}#{row}"
    try:
        value = scalar.as_py()
    except UnicodeDecodeError:
        return _failed_image(source, file_name, "the text in this row is not UTF-8")
    if isinstance(value, dict):
        path, value = value.get("path"), value.get("bytes") or value.get("path")
        if not isinstance(path, (str, NoneType)):
            return _failed_image(source, file_name, f"the path in this row is no text, but {path!r:.40}")
        file_name = path or file_name
    if isinstance(value, bytes):
        return ImageReference(source, file_name, [value].pop)
    if isinstance(value, str):
        return ImageReference(source, value, partial(read_file, _resolve(value, part.uri)))
    return _failed_image(source, file_name, f"no image in this row, but {value!r:.40}")


def _resolve(location: str, parquet_uri: str) -> str:
    """Returns a location; a relative one counts from the folder of the Parquet file."""
    if "://" in location or location.startswith("/"):
        return location
    return f"{parquet_uri.rpartition('/')[0]}/{location}"


def _too_large() -> str:
    return f"over {MAX_FILE_BYTES} bytes, which is more than an image file may have"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
