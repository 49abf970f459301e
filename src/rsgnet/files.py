"""Reading files of bounded size and writing files atomically."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rsgnet.errors import RSGNetError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MAX_TOML_BYTES = 1 << 16
_MAX_DOTS_PER_LINE = 1000  # the memory of the TOML parser grows with the square of the parts of a key a.a.a...
MAX_SETTINGS_BYTES = 1 << 20  # for configs, skeletons and similar files, which have some thousands of bytes
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replace_atomically(path: Path, keep_partial: bool = False) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`; renames it to `path` when the block ends without an error.

    Otherwise `path` keeps its old content.

    Args:
        path: The file to write or replace. Its folder is created where it is missing.
        keep_partial: Whether the file is renamed to `get_partial_path(path)` if the block raises. Otherwise it is
            deleted then.

    Raises:
        OSError: The file cannot be written; the error names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary, partial = Path(name), get_partial_path(path)
    renamed = partial if keep_partial else None
    try:
        yield temporary
        renamed = path
    except OSError as error:
        if error.filename is None and error.errno in _FULL_DISK:  # a write does not know its file's name
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        try:
            if renamed is not None:
                temporary.chmod(0o666 & ~_read_umask())
                temporary.replace(renamed)
        finally:
            temporary.unlink(missing_ok=True)
        if renamed == path and keep_partial:
            partial.unlink(missing_ok=True)


def get_partial_path(path: Path) -> Path:
    """Returns where an unfinished run leaves what it has of a file: poses.partial.json for poses.json."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def check_folder(folder: Path) -> None:
    """Checks, without any change, that a folder can be written to, or that it can be created.

    Raises:
        OSError: It cannot; the error names the path that prevents it.
    """
    nearest = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest))


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text to a file, either completely or not at all."""
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def compute_sha256(path: Path) -> str:
    """Computes the SHA-256 of a file's content, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def get_regular_size(path: Path) -> int:
    """Returns the size of a regular file in bytes.

    Folders, pipes and devices are refused: reading a pipe can block forever, and a device may have no end.

    Raises:
        OSError: The file is missing or not a regular file.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return status.st_size


def require_non_empty(path: Path, error: type[RSGNetError]) -> None:
    """Checks that a path is a regular file with content.

    Args:
        path: The file.
        error: The class of the error to raise.

    Raises:
        RSGNetError: An `error` that names the file: it is missing, not a regular file, unreadable or empty.
    """
    try:
        size = get_regular_size(path)
    except (FileNotFoundError, ValueError) as cause:  # ValueError: the path has a null byte
        raise error(f"{path}: no such file") from cause
    except OSError as cause:
        raise error(f"{path}: cannot be read: {cause.strerror}") from cause
    if size == 0:
        raise error(f"{path}: the file is empty")


def read_bounded(path: Path, max_bytes: int = MAX_SETTINGS_BYTES) -> bytes:
    """Reads a regular file of at most `max_bytes` bytes.

    Raises:
        OSError: The file is missing, not a regular file, too large, or unreadable.
    """
    size = get_regular_size(path)
    if size <= max_bytes:
        with path.open("rb") as file:
            content = file.read(size + 1)  # which is allocated before it is read
        if len(content) <= max_bytes:
            return content
    raise OSError(errno.EFBIG, f"over {max_bytes} bytes, which is more than such a file may have", str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a short TOML file.

    Raises:
        RSGNetError: The file cannot be read, is too long, or is not TOML; the message names it.
    """
    try:
        text = read_bounded(path, _MAX_TOML_BYTES).decode()
        if max(line.count(".") for line in text.split("\n")) > _MAX_DOTS_PER_LINE:
            raise ValueError("a key has too many parts")
        table: dict[str, Any] = tomllib.loads(text)
        return table
    except OSError as error:
        raise RSGNetError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RSGNetError(f"{path}: not valid TOML ({error})") from error


def is_utf8(text: str) -> bool:
    """Returns whether a text has an encoding; names of files need not be UTF-8, and then have half characters."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def escape_name(name: str) -> str:
    """Returns a name with every byte that is not UTF-8 as \\udcXX, so that it can be written to a table."""
    return name.encode("utf-8", "backslashreplace").decode()


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
