"""Checkpoints: an intact one remains whatever happens during writing, and a run continues from it."""

import errno
import os
from pathlib import Path

import pytest
import torch

from rsgnet.errors import RSGNetError
from rsgnet.training import checkpoints
from rsgnet.training.checkpoints import (
    BEFORE_LAST,
    FOLDER,
    LAST,
    TwoCheckpoints,
    find_intact_checkpoint,
    has_checkpoint,
)


class Killed(BaseException):
    """Stands in for a kill: what comes after it is not done."""


def save(run, epoch):
    TwoCheckpoints().save_checkpoint(
        {"epoch": epoch, "weights": torch.full((1000,), float(epoch))}, run / FOLDER / LAST
    )


def epoch_of(path):
    return torch.load(path, weights_only=True)["epoch"]


def break_off(path):
    os.truncate(path, path.stat().st_size * 2 // 3)


def turn_a_bit(path):
    content = bytearray(path.read_bytes())
    content[content.index(b"\x00\x00\x80\x3f\x00\x00\x80\x3f") + 2] ^= 1  # within the weights, which are all 1.0
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def test_the_last_two_checkpoints_are_kept(tmp_path):
    assert not has_checkpoint(tmp_path) and find_intact_checkpoint(tmp_path) is None
    for epoch in range(3):
        save(tmp_path, epoch)
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == [BEFORE_LAST, LAST]
    assert epoch_of(find_intact_checkpoint(tmp_path)) == 2 and epoch_of(tmp_path / FOLDER / BEFORE_LAST) == 1


@pytest.mark.parametrize("damage", [break_off, turn_a_bit, empty, Path.unlink])
def test_the_checkpoint_before_replaces_a_broken_last_one(tmp_path, caplog, damage):
    save(tmp_path, 0), save(tmp_path, 1)
    damage(tmp_path / FOLDER / LAST)
    assert epoch_of(find_intact_checkpoint(tmp_path)) == 0
    assert has_checkpoint(tmp_path) and ("last.ckpt: broken" in caplog.text) == (damage is not Path.unlink)
    save(tmp_path, 1)  # the broken one must not become the one before
    assert [epoch_of(tmp_path / FOLDER / name) for name in (LAST, BEFORE_LAST)] == [1, 0]


def test_two_broken_checkpoints_are_an_error(tmp_path):
    save(tmp_path, 0), save(tmp_path, 1)
    for name in (LAST, BEFORE_LAST):
        break_off(tmp_path / FOLDER / name)
    with pytest.raises(RSGNetError, match="none of its checkpoints can be read"):
        find_intact_checkpoint(tmp_path)


@pytest.mark.parametrize("step", range(4))
def test_a_kill_at_any_step_of_writing_leaves_an_intact_checkpoint(tmp_path, monkeypatch, step):
    """The steps: the file is written, it is on the disk, the last becomes the one before, the new one the last."""
    save(tmp_path, 0), save(tmp_path, 1)
    passed = []

    def until_killed(act):
        def acting(*arguments):
            if len(passed) == step:
                raise Killed
            passed.append(act)
            return act(*arguments)

        return acting

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", until_killed(os.fsync))
        patch.setattr(Path, "replace", until_killed(Path.replace))
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # nor is anything tidied
        if step < 3:
            with pytest.raises(Killed):
                save(tmp_path, 2)
        else:
            save(tmp_path, 2)
    assert epoch_of(find_intact_checkpoint(tmp_path)) == (2 if step == 3 else 1)
    save(tmp_path, 3)
    assert epoch_of(find_intact_checkpoint(tmp_path)) == 3
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == [BEFORE_LAST, LAST]


def test_a_full_disk_leaves_both_checkpoints_unchanged(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save(tmp_path, 0), save(tmp_path, 1)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RSGNetError, match="no space left on device: the run can continue from its last checkpoint"):  # noqa: SIM117
        with checkpoints.report_full_disk(tmp_path):
            save(tmp_path, 2)
    assert [epoch_of(tmp_path / FOLDER / name) for name in (LAST, BEFORE_LAST)] == [1, 0]
    assert len(list((tmp_path / FOLDER).iterdir())) == 2
    with pytest.raises(PermissionError), checkpoints.report_full_disk(tmp_path):
        raise PermissionError(errno.EACCES, "not that")
