"""Writing files so that nothing written before is lost: beside, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsgnet.errors import RSGNetError


@contextmanager
def replacing(path: Path, keep_partial: bool = False) -> Iterator[Path]:
    """Yields a path beside `path` to write to; renames it over `path` if the block ends well, removes it if not.

    With `keep_partial` what was written is kept, too, if the block is broken off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    beside = Path(name)
    ended = keep_partial
    try:
        yield beside
        ended = True
    finally:
        if ended:
            beside.chmod(0o666 & ~_umask())
            beside.replace(path)
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text to `path`, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


SETTINGS_BYTES = 1 << 20  # of configs, skeletons and the like, which have some thousands


def regular_size(path: Path) -> int:
    """The size in bytes of a file that is no folder, pipe or device.

    Pipes keep their readers waiting for ever, devices may have no end.

    Raises:
        OSError: It is one of these, or missing.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return status.st_size


def require_content(path: Path, error: type[RSGNetError]) -> None:
    """Asks for a regular file that holds something.

    Args:
        path: The file.
        error: What to raise where it is not one.

    Raises:
        RSGNetError: Of that class: it is missing, a folder, a pipe or a device, cannot be read, or is empty; names it.
    """
    try:
        size = regular_size(path)
    except (FileNotFoundError, ValueError) as cause:  # no path has a null byte
        raise error(f"{path}: no such file") from cause
    except OSError as cause:
        raise error(f"{path}: cannot be read: {cause.strerror}") from cause
    if size == 0:
        raise error(f"{path}: the file is empty")


def read_bounded(path: Path, most: int = SETTINGS_BYTES) -> bytes:
    """The content of a regular file.

    Args:
        path: The file.
        most: More bytes than this are not read into memory.

    Raises:
        OSError: It is no regular file, is missing, too large, or cannot be read.
    """
    if regular_size(path) <= most:
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) <= most:
            return content
    raise OSError(errno.EFBIG, f"over {most} bytes, which is more than such a file may have", str(path))
