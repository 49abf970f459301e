"""The images of a piece of work, one after the other; what cannot be read stands in its place with the reason."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from rsgnet.errors import ImageError
from rsgnet.files import regular_size
from rsgnet.images import decode_image
from rsgnet.inference.detectors.boxes import LoadedImage
from rsgnet.scaleout.listing import ALL_GROUPS, Piece, image_column, is_image_name

if TYPE_CHECKING:
    from typing_extensions import Self

MOST_BYTES = 1 << 29  # of an image file: more is not read into memory
_TRIES = 3
_WAIT_S = 0.5
_LASTING = (PermissionError, IsADirectoryError, NotADirectoryError)  # trying again is of no use
_ROWS_AT_ONCE = 32
_BLOCK_BYTES = 1 << 20
# Headers with names and the like for the member that comes after them.
_ABOUT_OTHERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@dataclass(frozen=True)
class StoredImage:
    """An image in a store, read when its turn comes.

    Attributes:
        source: Where it is: FILE, ARCHIVE#MEMBER or PARQUET#ROW, as URIs; rows are counted from 0.
        file_name: What detectors that know boxes by name call it: its path below the folder that was named, or in its
            archive.
        content: Gives the bytes of the image file.
    """

    source: str
    file_name: str
    content: Callable[[], bytes] = field(repr=False)

    def read_photo(self, max_pixels: int) -> LoadedImage:
        """The image, decoded.

        Raises:
            ImageError: It cannot be read, or has more pixels than `max_pixels`.
        """
        return LoadedImage(decode_image(self.content(), self.source, max_pixels), self.file_name)


def stored_images(pieces: Iterable[Piece]) -> Iterator[StoredImage]:
    """The images of pieces, in order. A piece that breaks ends in an image that says so when it is read."""
    for piece in pieces:
        if piece.kind == "file":
            yield StoredImage(piece.uri, piece.file_name, partial(fetch, piece.uri))
        else:
            yield from _tar_images(piece) if piece.kind == "tar" else _parquet_images(piece)


@contextmanager
def _opened(uri: str) -> Iterator[Any]:
    """A file of a store, to be read from."""
    file_system, path = url_to_fs(uri)
    if isinstance(file_system, LocalFileSystem) and Path(path).exists():
        regular_size(Path(path))
    with fsspec.open(uri, "rb") as file:
        yield file


def fetch(uri: str) -> bytes:
    """The bytes of a file; what may pass, as a store that does not answer, is tried again.

    Raises:
        ImageError: It cannot be read.
    """
    for left in reversed(range(_TRIES)):
        try:
            with _opened(uri) as file:
                content: bytes = file.read(MOST_BYTES + 1)
            break
        except FileNotFoundError as error:
            raise ImageError(f"{uri}: no such file") from error
        except Exception as error:  # stores raise what their libraries raise
            if isinstance(error, _LASTING) or not isinstance(error, OSError) or not left:
                raise ImageError(f"{uri}: cannot be read ({_reason(error)})") from error
            time.sleep(_WAIT_S)
    return _bounded(content, len(content), uri)


def _bounded(content: bytes, size: int, source: str) -> bytes:
    if size > MOST_BYTES:
        raise ImageError(f"{source}: over {MOST_BYTES} bytes, which is more than an image file may have")
    return content


def _broken(source: str, file_name: str, error: Exception | str) -> StoredImage:
    """An image that is not there, and why."""

    def content() -> bytes:
        raise ImageError(f"{source}: {error}")

    return StoredImage(source, file_name, content)


class _StrictHeader(tarfile.TarInfo):
    """An archive that stops without its end mark is broken, where tarfile would take it for one that ends."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.TarError as error:
            if type(error).__name__ == "EOFHeaderError":
                raise
            raise tarfile.ReadError(str(error)) from error
        if header.size < 0 or (header.type in _ABOUT_OTHERS and header.size > _BLOCK_BYTES):
            raise tarfile.ReadError(f"a header of {header.size} bytes")  # it would be read into memory
        return header


def _tar_images(piece: Piece) -> Iterator[StoredImage]:
    """The members of an archive that are images by their names, in the order of the archive."""
    try:
        with (
            _opened(piece.uri) as file,
            tarfile.open(fileobj=file, mode="r|*", tarinfo=_StrictHeader) as tar,
        ):
            for member in tar:
                source = f"{piece.uri}#{member.name}"
                if member.isfile() and is_image_name(member.name) and not member.issparse():
                    if member.size <= MOST_BYTES:
                        yield _member(tar, member, source)
                        continue
                    yield StoredImage(source, member.name, partial(_bounded, b"", member.size, source))
                _pass_over(tar, member)
    except Exception as error:  # stores and decompressors raise what they like
        told = f"cannot be read on from here ({_reason(error)}); is the archive truncated?"
        yield _broken(piece.uri, piece.file_name, told)


def _pass_over(tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    """Reads on to the end of a member; tarfile would count up to where its header says that it ends, if years later."""
    if member.issparse() or (member.size and member.type not in tarfile.SUPPORTED_TYPES):
        raise tarfile.ReadError(f"{member.name} is no plain file")
    opened = tar.extractfile(member) if member.isfile() else None
    while opened is not None and opened.read(_BLOCK_BYTES):
        pass


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, source: str) -> StoredImage:
    opened = tar.extractfile(member)
    assert opened is not None
    return StoredImage(source, member.name, partial(bytes, opened.read()))


def _parquet_images(piece: Piece) -> Iterator[StoredImage]:
    """An image a row; rows that cannot be read have one each, too, where the file says how many they are."""
    row = stop = 0
    try:
        with _opened(piece.uri) as file, pq.ParquetFile(file) as parquet:
            counts = [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)]
            groups = range(piece.first, len(counts) if piece.stop == ALL_GROUPS else piece.stop)
            row, stop = sum(counts[: groups.start]), sum(counts[: groups.stop])
            column = image_column(parquet.schema_arrow, piece.column, piece.uri)
            for batch in parquet.iter_batches(_ROWS_AT_ONCE, row_groups=list(groups), columns=[column]):
                for value in batch.column(0).to_pylist():
                    yield _row_image(piece, row, value)
                    row += 1
    except Exception as error:  # stores and decompressors raise what they like
        told = f"cannot be read ({_reason(error)})"
        if row == stop:
            yield _broken(piece.uri, piece.file_name, told)
        for lost in range(row, stop):
            yield _broken(f"{piece.uri}#{lost}", f"{piece.file_name}#{lost}", told)


def _row_image(piece: Piece, row: int, value: Any) -> StoredImage:
    """An image of a row that holds its bytes, its URI, or both as {bytes, path}, the first that is there."""
    source, file_name = f"{piece.uri}#{row}", f"{piece.file_name}#{row}"
    if isinstance(value, dict):
        file_name = value.get("path") or file_name
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return StoredImage(source, file_name, partial(bytes, value))
    if isinstance(value, str):
        return StoredImage(source, value, partial(fetch, _beside(piece.uri, value)))
    return _broken(source, file_name, f"no image in this row, but {value!r:.40}")


def _beside(uri: str, location: str) -> str:
    """A location; those that are relative are so to the file that names them."""
    if "://" in location or location.startswith("/"):
        return location
    return f"{uri.rpartition('/')[0]}/{location}"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
