"""The optimizer and its learning rate over a run, shared by every network that is trained here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import nn

from rsgnet.config import TrainingConfig
from rsgnet.training.muon import Muon


def configure(model: nn.Module, config: TrainingConfig, trainer: L.Trainer) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns.

    Args:
        model: Its weights are decayed where they have two or more dimensions: norms and biases are left alone.
        config: Optimizer, rate and schedule.
        trainer: Knows how many steps the run takes.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]
    options: dict[str, Any] = {"lr": config.learning_rate, "fused": True}
    optimizer: torch.optim.Optimizer
    if config.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=0.9, **options)
    elif config.optimizer == "adamw":
        optimizer = torch.optim.AdamW(groups, **options)
    elif config.optimizer == "muon":
        dtype = torch.bfloat16 if config.precision == "bf16-mixed" else torch.float32
        optimizer = Muon(groups, dtype, **options)
    else:
        optimizer = torch.optim.Adam(groups, **options)
    steps_per_epoch = int(trainer.estimated_stepping_batches) // config.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_factor(config, steps_per_epoch))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate_factor(config: TrainingConfig, steps_per_epoch: int) -> Callable[[int], float]:
    """The learning rate at each step, as a share of its highest value."""

    def factor(step: int) -> float:
        warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
        if config.schedule == "cosine":
            progress = min(1.0, step / (config.epochs * steps_per_epoch))
            return warmup * (1 + math.cos(math.pi * progress)) / 2
        passed = sum(step >= milestone * steps_per_epoch for milestone in config.milestones)
        return warmup * 0.1**passed

    return factor
