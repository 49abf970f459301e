"""The checkpoints of a run: the last one, and the one before it in case the last one cannot be read."""

from __future__ import annotations

import errno
import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only

from rsgnet.errors import RSGNetError

FOLDER, LAST, BEFORE_LAST = "checkpoints", "last.ckpt", "before-last.ckpt"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk full, quota exceeded, file too large
_LOG = logging.getLogger(__name__)


class TwoCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically and keeps the one before the last.

    A new checkpoint is written to a temporary file in the same folder and flushed to the disk before any file is
    renamed, so that an intact checkpoint remains whenever the process is killed. Lightning's own class writes to the
    system's folder of temporary files and copies over the old checkpoint if that folder is on another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Saves a checkpoint. The present one becomes the one before the last, unless it is broken.

        Raises:
            OSError: The file cannot be written, for example because the disk is full. Older checkpoints are unchanged.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.partial")  # a fixed name, so that killed runs leave one file at most
        try:
            with temporary.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if is_intact(path):
            path.replace(path.with_name(BEFORE_LAST))
        temporary.replace(path)


def has_checkpoint(run: Path) -> bool:
    """Returns whether a run's folder holds a checkpoint, intact or broken."""
    return any(path.exists() for path in _checkpoint_paths(run))


def find_intact_checkpoint(run: Path) -> Path | None:
    """Returns the newest intact checkpoint of a run and warns of broken ones; returns None if there are none at all.

    Raises:
        RSGNetError: There are checkpoints, but all are broken.
    """
    paths = [path for path in _checkpoint_paths(run) if path.exists()]
    for path in paths:
        if is_intact(path):
            return path
        _warn(f"{path}: broken, perhaps truncated; trying the checkpoint before it")
    if paths:
        raise RSGNetError(f"{run / FOLDER}: none of its checkpoints can be read; start a new run with another --out")
    return None


def is_intact(path: Path) -> bool:
    """Returns whether a checkpoint exists and the checksums of its content are right."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # a broken file can fail its reader in any way
        return False


@contextmanager
def report_full_disk(run: Path) -> Iterator[None]:
    """Turns the error of a full disk in the block into one that says how the run continues.

    Raises:
        RSGNetError: The disk is full, a quota is exceeded, or a file grew larger than is allowed.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        reason = os.strerror(error.errno).lower()
        state = "can continue from its last checkpoint" if has_checkpoint(run) else "had no checkpoint yet"
        raise RSGNetError(f"{run}: {reason}: the run {state}; free some space and start it with --resume") from error


def _checkpoint_paths(run: Path) -> tuple[Path, Path]:
    """Returns the paths of a run's checkpoints, newest first."""
    return run / FOLDER / LAST, run / FOLDER / BEFORE_LAST


@rank_zero_only
def _warn(message: str) -> None:
    _LOG.warning(message)
