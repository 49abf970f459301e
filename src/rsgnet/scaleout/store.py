"""A folder in any store that fsspec reaches. Files are written under another name and renamed, so they are whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from rsgnet.errors import RSGNetError

PARTIAL_FOLDER = "partial"  # of files that are being written


def open_location(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Returns the file system of a URI or path, and the path inside it.

    A local path is taken as it is; to fsspec a `::` in it would name another store.

    Raises:
        RSGNetError: No such kind of store is known here.
    """
    if "://" not in uri or uri.startswith("file://"):
        return LocalFileSystem(), LocalFileSystem._strip_protocol(uri)
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
        uri: The full URI, the same on every machine.

    Raises:
        RSGNetError: No such kind of store is known here.
    """

    def __init__(self, uri: str) -> None:
        self._file_system, path = open_location(uri)
        self._root = path.rstrip("/")
        self.uri = self._file_system.unstrip_protocol(self._root)

    def open(self, name: str) -> Any:
        """Opens a file for reading; the returned file can seek."""
        return self._file_system.open(f"{self._root}/{name}", "rb")

    @contextmanager
    def replace_file(self, name: str) -> Iterator[Any]:
        """Yields a file to write to. It replaces the file of that name if the block succeeds, else it is removed."""
        target = f"{self._root}/{name}"
        partial = f"{self._root}/{PARTIAL_FOLDER}/{uuid4().hex}"
        for path in (partial, target):
            self._file_system.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            with self._file_system.open(partial, "wb") as file:
                yield file
            self._file_system.mv(partial, target)
        except BaseException:
            if self._file_system.exists(partial):
                self._file_system.rm_file(partial)
            raise

    def write_text(self, name: str, text: str) -> None:
        """Writes UTF-8 text, whole or not at all."""
        with self.replace_file(name) as file:
            file.write(text.encode())

    def create_text(self, name: str, text: str) -> None:
        """Writes UTF-8 text to a new file. Of several writers at once, one succeeds, where the store can tell.

        Raises:
            FileExistsError: There is a file of that name.
        """
        path = f"{self._root}/{name}"
        self._file_system.makedirs(path.rpartition("/")[0], exist_ok=True)
        if isinstance(self._file_system, LocalFileSystem):
            with self._file_system.open(path, "xb") as file:
                file.write(text.encode())
        else:
            self._file_system.pipe_file(path, text.encode(), mode="create")

    def remove(self, name: str) -> None:
        """Removes a file."""
        self._file_system.rm_file(f"{self._root}/{name}")

    def read(self, name: str) -> bytes | None:
        """Returns the content of a file, None where it does not exist."""
        try:
            content: bytes = self._file_system.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        return content

    def compute_sha256(self, name: str) -> str:
        """Computes the SHA-256 of a file's content, as hexadecimal digits."""
        digest = hashlib.sha256()
        with self.open(name) as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Returns the contents of existing files, read in parallel where the store can."""
        paths = [f"{self._root}/{name}" for name in names]
        contents = self._file_system.cat(paths) if paths else {}
        return [contents[path] for path in paths]

    def size(self, name: str) -> int:
        """Returns the size of a file in bytes."""
        self._file_system.invalidate_cache()
        size: int = self._file_system.size(f"{self._root}/{name}")
        return size

    def sizes(self, folder: str) -> dict[str, int]:
        """Returns the sizes in bytes of a folder's files by name; none where the folder does not exist."""
        self._file_system.invalidate_cache()
        try:
            found = self._file_system.ls(f"{self._root}/{folder}", detail=True)
        except FileNotFoundError:
            return {}
        return {each["name"].rpartition("/")[2]: each["size"] for each in found if each["type"] == "file"}

    def remove_partial_files(self) -> None:
        """Removes the unfinished files of killed runs. Call it only when nothing writes to the folder."""
        path = f"{self._root}/{PARTIAL_FOLDER}"
        if self._file_system.exists(path):
            self._file_system.rm(path, recursive=True)
