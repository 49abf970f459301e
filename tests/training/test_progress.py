"""The progress of a run: epochs are counted from 1, on one line of a terminal of any width."""

import io
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from rsgnet.training.progress import EpochProgress


def run(width, is_terminal, epochs=2, batches=3, is_global_zero=True):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=is_terminal, color_system=None)
    progress = EpochProgress(console)
    metrics = {"train/total": torch.tensor(0.25), "val/oks": torch.tensor(0.5)}
    for epoch in range(epochs):
        trainer = SimpleNamespace(
            current_epoch=epoch,
            max_epochs=epochs,
            num_training_batches=batches,
            progress_bar_metrics=metrics,
            is_global_zero=is_global_zero,
        )
        progress.on_train_epoch_start(trainer, None)
        for _ in range(batches):
            progress.on_train_batch_end(trainer, None, None, None, 0)
        progress.on_train_epoch_end(trainer, None)
    return file.getvalue()


def test_without_a_terminal_there_is_a_line_an_epoch():
    line = "loss 0.250, validation OKS 0.500"
    assert run(80, is_terminal=False).splitlines() == [f"epoch 1/2, {line}", f"epoch 2/2, {line}"]
    assert run(80, is_terminal=False, is_global_zero=False) == ""


@pytest.mark.parametrize("width", [40, 80])
def test_the_bar_takes_one_line(width):
    shown = run(width, is_terminal=True)
    assert "\x1b[1A\x1b[2K\x1b[1A" not in shown  # a bar of two lines would go up twice to be drawn again
    assert "epoch 1/2" in shown and "3/3" in shown
