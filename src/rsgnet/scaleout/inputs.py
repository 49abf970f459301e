"""Lists the inputs of a run: image files, tar archives, and row groups of Parquet files in any store."""

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
from rsgnet.files import escape_name, is_utf8
from rsgnet.images import IMAGE_SUFFIXES
from rsgnet.scaleout.store import open_location

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
PARQUET_SUFFIX = ".parquet"
ALL_ROW_GROUPS = -1
# Columns of images or of their URIs, by preference.
_COLUMNS = ("image", "picture", "bytes", "content", "jpg", "png", "uri", "url", "path")


@dataclass(frozen=True)
class InputPart:
    """A part of the input that is read as one: an image file, a tar archive, or row groups of a Parquet file.

    Attributes:
        kind: "file" (an image), "tar", "parquet", or "misnamed": a file whose name is not UTF-8 and is escaped here.
        uri: The file that holds the images.
        file_name: Its name in the results: its path below the folder that the user named.
        column: Parquet only: the column of images or of their URIs; "" for the first one with a usual name.
        first: Parquet only: the first row group.
        stop: Parquet only: one past the last row group; ALL_ROW_GROUPS where the file could not be read when listed.
    """

    kind: str
    uri: str
    file_name: str
    column: str = ""
    first: int = 0
    stop: int = ALL_ROW_GROUPS


def list_inputs(sources: Sequence[str], min_rows: int, skip: str = "") -> Iterator[InputPart]:
    """Lists the inputs in the sources, each file once, in an order that depends only on the names.

    Args:
        sources: Paths or URIs of files, folders (with all folders below) and patterns; #COLUMN may follow a Parquet
            file. A named file is listed even if it is missing: its row in the results then has an error.
        min_rows: Row groups of Parquet are joined until they have this many rows.
        skip: The URI of a folder to leave out, which is that of the results.

    Raises:
        RSGNetError: No source is given, a folder or pattern holds no file of a known kind, or a store cannot be opened.
    """
    if not sources:
        raise RSGNetError("no image was named: pass files, folders or patterns such as 's3://bucket/photos/*.jpg'")
    seen: set[str] = set()
    for source in sources:
        location, column = _split_column(source)
        file_system, path = open_location(location)
        for file, file_name in _find_files(file_system, path, location):
            uri = file_system.unstrip_protocol(file)
            if uri in seen or (skip and uri.startswith(skip.rstrip("/") + "/")):
                continue
            seen.add(uri)
            if not is_utf8(uri):
                yield InputPart("misnamed", escape_name(uri), escape_name(file_name))
            elif uri.lower().endswith(PARQUET_SUFFIX):
                yield from _list_row_groups(uri, file_name, column, min_rows)
            else:
                yield InputPart("tar" if uri.lower().endswith(TAR_SUFFIXES) else "file", uri, file_name)


def absolute_uri(source: str) -> str:
    """Returns the full URI of a source, which means the same on every machine.

    Raises:
        RSGNetError: No such kind of store is known here, or the source's name is not UTF-8.
    """
    if not is_utf8(source):
        raise RSGNetError(f"{source}: the name is not UTF-8; rename it, or name its folder")
    location, column = _split_column(source)
    file_system, path = open_location(location)
    uri: str = file_system.unstrip_protocol(path)
    return f"{uri}#{column}" if column else uri


def find_image_column(schema: pa.Schema, column: str, uri: str) -> str:
    """Returns the column of images, or of their URIs.

    Args:
        schema: The columns of a Parquet file.
        column: The column that the user asks for; "" for the first one with a usual name.
        uri: The file, for messages.

    Raises:
        RSGNetError: The file has no such column.
    """
    found = next((name for name in ([column] if column else _COLUMNS) if name in schema.names), None)
    if found is None:
        expected = f"column {column!r}" if column else f"column {', '.join(_COLUMNS)}"
        raise RSGNetError(f"{uri}: has no {expected}, but {', '.join(schema.names)}; name one: FILE.parquet#COLUMN")
    return found


def has_image_suffix(name: str) -> bool:
    """Returns whether a file's name ends as an image's does."""
    return PurePosixPath(name.lower()).suffix in IMAGE_SUFFIXES


def _split_column(source: str) -> tuple[str, str]:
    location, mark, column = source.rpartition("#")
    return (location, column) if mark and column and "/" not in column else (source, "")


def _find_files(file_system: fsspec.AbstractFileSystem, path: str, source: str) -> Iterator[tuple[str, str]]:
    """Yields the files of a source, each with its name in the results."""
    if file_system.isdir(path):
        found, root = file_system.find(path), path.rstrip("/")
    elif glob.has_magic(path) and not file_system.exists(path):
        found, root = file_system.glob(path), _folder_above_wildcards(path)
    else:
        yield path, path.rpartition("/")[2]
        return
    known = [file for file in sorted(found) if _is_of_known_kind(file)]
    if not known:
        kinds = ", ".join([*sorted(IMAGE_SUFFIXES), *TAR_SUFFIXES, PARQUET_SUFFIX])
        raise RSGNetError(f"{source}: holds no file of a known kind; known are {kinds}")
    for file in known:
        yield file, file.removeprefix(root).lstrip("/")


def _folder_above_wildcards(pattern: str) -> str:
    return "/".join(takewhile(lambda part: not glob.has_magic(part), pattern.split("/")))


def _is_of_known_kind(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return not name.startswith(".") and (has_image_suffix(name) or name.endswith((*TAR_SUFFIXES, PARQUET_SUFFIX)))


def _list_row_groups(uri: str, file_name: str, column: str, min_rows: int) -> Iterator[InputPart]:
    """Joins row groups until they have `min_rows` rows."""
    try:
        counts, schema = _read_row_counts(uri)
    except Exception:  # whatever a store or a broken file raises: reading the part meets and reports it again
        yield InputPart("parquet", uri, file_name, column)
        return
    column, first, rows = find_image_column(schema, column, uri), 0, 0
    for stop, count in enumerate(counts, 1):
        rows += count
        if rows >= min_rows or stop == len(counts):
            yield InputPart("parquet", uri, file_name, column, first, stop)
            first, rows = stop, 0


def _read_row_counts(uri: str) -> tuple[list[int], Any]:
    """Returns the number of rows of each row group, and the schema."""
    file_system, path = open_location(uri)
    with file_system.open(path, "rb") as file, pq.ParquetFile(file) as parquet:
        metadata = parquet.metadata
        return [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)], parquet.schema_arrow
