"""The progress of a run: one line that moves on a terminal, and one line that stays for every epoch."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

_NAMES = {"train/total": "loss", "val/total": "validation loss", "val/oks": "validation OKS"}


class EpochProgress(Callback):
    """Shows the epoch, from 1, its steps and the time left; prints what each epoch came to. In one process only.

    Args:
        console: Where to show it; standard error where None.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar: Progress | None = None

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Starts the line of an epoch."""
        self._stop()
        if not (trainer.is_global_zero and self._console.is_terminal):
            return
        self._bar = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(None, table_column=Column(ratio=1, max_width=40)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[loss]}", table_column=Column(no_wrap=True)),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task(_name_epoch(trainer), total=trainer.num_training_batches, loss="")
        self._bar.start()

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, *_: Any) -> None:
        """Moves the line."""
        if self._bar is not None:
            loss = trainer.progress_bar_metrics.get("train/total")
            self._bar.update(self._task, advance=1, loss="" if loss is None else f"loss {loss:.3f}")

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Prints what the epoch came to."""
        self._stop()
        if trainer.is_global_zero:
            metrics = trainer.progress_bar_metrics
            values = [f"{label} {metrics[name]:.3f}" for name, label in _NAMES.items() if name in metrics]
            self._console.print(", ".join([_name_epoch(trainer), *values]), highlight=False, soft_wrap=True)

    def on_exception(self, *_: Any) -> None:
        """Takes the line away."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _name_epoch(trainer: L.Trainer) -> str:
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
