"""The checkpoints of a run: the last, and the one before it for the day when the last cannot be read."""

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
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, one's share of it, one's limit for a file
_LOG = logging.getLogger(__name__)


class TwoCheckpoints(TorchCheckpointIO):
    """Keeps the checkpoint before the one that is saved.

    The new one is written beside, and to the disk, before anything is renamed: whenever the process is killed and
    whatever the disk holds, a whole one has its name. Lightning's own writes to the folder of temporary files, from
    where a file comes to another disk by copying, over the one that was there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Saves a checkpoint; the one of that name becomes the one before, unless it is broken.

        Raises:
            OSError: It cannot be written, as where the disk is full. Those that were there are as they were.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.partial")  # one name: what a killed run leaves is written over
        try:
            with beside.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        if is_whole(path):
            path.replace(path.with_name(BEFORE_LAST))
        beside.replace(path)


def has_checkpoint(run: Path) -> bool:
    """Whether a run's folder holds a checkpoint, whole or not."""
    return any(path.exists() for path in _checkpoints(run))


def whole_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint of a run that is whole; a warning names those that are not. None where there is none.

    Raises:
        RSGNetError: There are checkpoints, and none is whole.
    """
    found = [path for path in _checkpoints(run) if path.exists()]
    for path in found:
        if is_whole(path):
            return path
        _warn(f"{path}: broken, perhaps cut off; the checkpoint before it is tried")
    if found:
        raise RSGNetError(f"{run / FOLDER}: no checkpoint in it can be read; begin anew with another --out")
    return None


def is_whole(path: Path) -> bool:
    """Whether a checkpoint is there and everything in it is as it was written, by its checksums."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # a broken file can fail its reader in any way
        return False


@contextmanager
def telling_of_a_full_disk(run: Path) -> Iterator[None]:
    """Says what is left of a run, and how it goes on, where the block finds the disk full.

    Raises:
        RSGNetError: It was.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        told = "goes on from its last checkpoint" if has_checkpoint(run) else "had no checkpoint yet"
        reason = os.strerror(error.errno).lower()
        raise RSGNetError(f"{run}: {reason}: the run {told}; make room and start it with --resume") from error


def _checkpoints(run: Path) -> tuple[Path, Path]:
    return run / FOLDER / LAST, run / FOLDER / BEFORE_LAST


@rank_zero_only
def _warn(message: str) -> None:
    _LOG.warning(message)
