"""What happens between the steps and epochs of a run, beside Lightning's own callbacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging

from rsgnet.checkpoint import save_model


class StepSeeds(Callback):
    """Seeds PyTorch's randomness before every step by the run's seed, the step and the process.

    Checkpoints do not hold its state; so what a network draws (dropout, boxes that are sampled) is the same whether the
    steps before were of this process or of one that was killed. Once an epoch would not do: Lightning leaves out the
    start of the epoch that a run goes on with.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Seeds the step."""
        state = np.random.SeedSequence((self._seed, trainer.global_step, trainer.global_rank))
        torch.manual_seed(int(state.generate_state(1)[0]))


class SaveModel(Callback):
    """Writes the model directory after every epoch, with averaged weights where they are averaged.

    Stands before the averaging callback, which puts the averaged weights in place for the validation and takes them
    away at its end.

    Args:
        directory: Where the model goes.
        average: The averaging callback.
    """

    def __init__(self, directory: Path, average: WeightAveraging | None = None) -> None:
        self._directory, self._average = directory, average

    def on_validation_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Saves what was just validated."""
        self._save(trainer, task)

    def on_fit_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Saves the end of the run."""
        if self._average is not None:
            # Where a run was at its end already and goes on, no training ends, and nobody else puts them in place.
            self._average.on_train_end(trainer, task)
        self._save(trainer, task)

    def _save(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        if trainer.is_global_zero:
            save_model(task.model, task.config, self._directory)  # type: ignore[arg-type]
