"""What a user names becomes pieces of work: image files, tar archives, and row groups of Parquet files."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from rsgnet.errors import RSGNetError
from rsgnet.images import IMAGE_SUFFIXES
from rsgnet.scaleout.store import open_location

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
PARQUET_SUFFIX = ".parquet"
ALL_GROUPS = -1
_COLUMNS = ("image", "image", "bytes", "content", "jpg", "png", "uri", "url", "path")  # in this order


@dataclass(frozen=True)
class Piece:
    """Some images that lie together.

    Attributes:
        kind: "file" (an image), "tar" or "parquet".
        uri: The file that holds them.
        file_name: What results call it: its path below the folder that was named.
        column: Of Parquet: the column of images or of their URIs; "" for one of a usual name.
        first: Of Parquet: the first of its row groups.
        stop: Of Parquet: the row group after the last one; ALL_GROUPS where the file could not be read when listed.
    """

    kind: str
    uri: str
    file_name: str
    column: str = ""
    first: int = 0
    stop: int = ALL_GROUPS


def find_pieces(sources: Sequence[str], rows: int, skip: str = "") -> Iterator[Piece]:
    """Lists sources, each file once, in an order that depends on nothing but the names.

    Args:
        sources: Paths or URIs of files, folders (searched to the bottom) and patterns; Parquet files may be followed by
            #COLUMN. A file that is named is taken though it be missing: it gets an error's row.
        rows: How many rows of Parquet a piece has at least, where its file has as many.
        skip: The URI of a folder that is left out: that of the results.

    Raises:
        RSGNetError: A folder or pattern holds nothing of a known kind, a store cannot be opened, or nothing was named.
    """
    if not sources:
        raise RSGNetError("no image was named: pass files, folders or patterns such as 's3://bucket/photos/*.jpg'")
    seen: set[str] = set()
    for source in sources:
        location, column = _split_column(source)
        file_system, path = open_location(location)
        for file, file_name in _files_of(file_system, path, location):
            uri = file_system.unstrip_protocol(file)
            if uri in seen or (skip and uri.startswith(skip.rstrip("/") + "/")):
                continue
            seen.add(uri)
            yield from _pieces_of(uri, file_name, column, rows)


def full_uri(source: str) -> str:
    """A source as every machine understands it.

    Raises:
        RSGNetError: There is no such kind of store here.
    """
    location, column = _split_column(source)
    file_system, path = open_location(location)
    uri: str = file_system.unstrip_protocol(path)
    return f"{uri}#{column}" if column else uri


def image_column(schema: pa.Schema, wish: str, uri: str) -> str:
    """The column of images, or of their URIs.

    Raises:
        RSGNetError: There is none of that name, or none of a usual one.
    """
    found = next((name for name in ([wish] if wish else _COLUMNS) if name in schema.names), None)
    if found is None:
        what = f"column {wish!r}" if wish else f"column {', '.join(_COLUMNS)}"
        raise RSGNetError(f"{uri}: has no {what}, but {', '.join(schema.names)}; name one: FILE.parquet#COLUMN")
    return found


def _split_column(source: str) -> tuple[str, str]:
    location, mark, column = source.rpartition("#")
    return (location, column) if mark and column and "/" not in column else (source, "")


def _files_of(file_system: fsspec.AbstractFileSystem, path: str, source: str) -> Iterator[tuple[str, str]]:
    """The files that a source means, each with what results call it."""
    if file_system.isdir(path):
        found, root = file_system.find(path), path.rstrip("/")
    elif glob.has_magic(path) and not file_system.exists(path):
        found, root = file_system.glob(path), _fixed_part(path)
    else:
        yield path, path.rpartition("/")[2]
        return
    known = [file for file in sorted(found) if _is_known(file)]
    if not known:
        kinds = ", ".join([*sorted(IMAGE_SUFFIXES), *TAR_SUFFIXES, PARQUET_SUFFIX])
        raise RSGNetError(f"{source}: nothing of a known kind lies there; known are {kinds}")
    for file in known:
        yield file, file.removeprefix(root).lstrip("/")


def _fixed_part(pattern: str) -> str:
    """The folder above the first part of a pattern that is one."""
    return "/".join(takewhile(lambda part: not glob.has_magic(part), pattern.split("/")))


def _is_known(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return not name.startswith(".") and (is_image_name(name) or name.endswith((*TAR_SUFFIXES, PARQUET_SUFFIX)))


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's does."""
    return PurePosixPath(name.lower()).suffix in IMAGE_SUFFIXES


def _pieces_of(uri: str, file_name: str, column: str, rows: int) -> Iterator[Piece]:
    name = uri.lower()
    if name.endswith(PARQUET_SUFFIX):
        yield from _parquet_pieces(uri, file_name, column, rows)
    else:
        yield Piece("tar" if name.endswith(TAR_SUFFIXES) else "file", uri, file_name)


def _parquet_pieces(uri: str, file_name: str, column: str, rows: int) -> Iterator[Piece]:
    """Row groups, so many together that they have the wanted rows."""
    try:
        counts, schema = _row_groups(uri)
    except Exception:  # whatever a store or a broken file raises: the work meets it again and tells of it
        yield Piece("parquet", uri, file_name, column)
        return
    column, first, gathered = image_column(schema, column, uri), 0, 0
    for number, count in enumerate(counts, 1):
        gathered += count
        if gathered >= rows or number == len(counts):
            yield Piece("parquet", uri, file_name, column, first, number)
            first, gathered = number, 0


def _row_groups(uri: str) -> tuple[list[int], Any]:
    with fsspec.open(uri, "rb") as file, pq.ParquetFile(file) as parquet:
        about = parquet.metadata
        return [about.row_group(index).num_rows for index in range(about.num_row_groups)], parquet.schema_arrow
