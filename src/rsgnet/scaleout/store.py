"""Where results go: any store that fsspec reaches. Written beside and renamed: what has its name is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import fsspec
from fsspec.core import url_to_fs

from rsgnet.errors import RSGNetError

PARTIAL_FOLDER = "partial"  # of files that are being written


def open_location(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a URI or path, and what the place is called there.

    Raises:
        RSGNetError: There is no such kind of store here.
    """
    try:
        file_system, path = url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise RSGNetError(f"{uri}: no store that fsspec can open here ({error})") from error
    return file_system, path


class Store:
    """A folder in a store.

    Args:
        uri: A path, or a URI such as s3://bucket/folder.

    Attributes:
        uri: Its full URI, the same on every machine.

    Raises:
        RSGNetError: There is no such kind of store here.
    """

    def __init__(self, uri: str) -> None:
        self._files, path = open_location(uri)
        self._root = path.rstrip("/")
        self.uri = self._files.unstrip_protocol(self._root)

    def open(self, name: str) -> Any:
        """A file of it, to be read from, which can seek."""
        return self._files.open(f"{self._root}/{name}", "rb")

    @contextmanager
    def writing(self, name: str) -> Iterator[Any]:
        """Yields a file to write to; it gets its name, replacing what had it, if the block ends well, else it goes."""
        target = f"{self._root}/{name}"
        beside = f"{self._root}/{PARTIAL_FOLDER}/{uuid4().hex}"
        for path in (beside, target):
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            with self._files.open(beside, "wb") as file:
                yield file
            self._files.mv(beside, target)
        except BaseException:
            if self._files.exists(beside):
                self._files.rm_file(beside)
            raise

    def write_text(self, name: str, text: str) -> None:
        """Writes UTF-8 text, whole or not at all."""
        with self.writing(name) as file:
            file.write(text.encode())

    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is none."""
        try:
            content: bytes = self._files.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        return content

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """The contents of files that are there, many at a time where the store can."""
        paths = [f"{self._root}/{name}" for name in names]
        contents = self._files.cat(paths) if paths else {}
        return [contents[path] for path in paths]

    def size(self, name: str) -> int:
        """The size of a file in bytes."""
        self._files.invalidate_cache()
        size: int = self._files.size(f"{self._root}/{name}")
        return size

    def sizes(self, folder: str) -> dict[str, int]:
        """The files of a folder by name, with their sizes in bytes; none where there is no such folder."""
        self._files.invalidate_cache()
        try:
            found = self._files.ls(f"{self._root}/{folder}", detail=True)
        except FileNotFoundError:
            return {}
        return {each["name"].rpartition("/")[2]: each["size"] for each in found if each["type"] == "file"}

    def remove_partial(self) -> None:
        """Removes what runs that were killed had begun to write. For when nobody writes any more."""
        path = f"{self._root}/{PARTIAL_FOLDER}"
        if self._files.exists(path):
            self._files.rm(path, recursive=True)
