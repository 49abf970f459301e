"""The optimizers and the learning rate over a run, for every network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import nn

from rsgnet.training_config import TrainingConfig


def configure_optimizer(model: nn.Module, config: TrainingConfig, trainer: L.Trainer) -> dict[str, Any]:
    """Returns the optimizer and the learning rate schedule, as Lightning's `configure_optimizers` does.

    Args:
        model: The network. Weights of two or more dimensions are decayed; biases and normalisations are not.
        config: Optimizer, learning rates and schedule.
        trainer: The trainer, which knows the number of steps of the run.
    """
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]

    def rate_of(name: str) -> float:
        return 1.0 if "backbone" in name.split(".") else config.head_rate

    groups = [
        {
            "params": [weight for name, weight in trained if rate_of(name) == rate and (weight.ndim > 1) == is_decayed],
            "weight_decay": config.weight_decay if is_decayed else 0.0,
            "lr": rate * config.learning_rate,
        }
        for rate in dict.fromkeys((1.0, config.head_rate))
        for is_decayed in (True, False)
    ]
    options: dict[str, Any] = {"lr": config.learning_rate, "fused": True}
    optimizer: torch.optim.Optimizer
    if config.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=0.9, **options)
    elif config.optimizer == "adamw":
        optimizer = torch.optim.AdamW(groups, **options)
    else:
        optimizer = torch.optim.Adam(groups, **options)
    steps_per_epoch = int(trainer.estimated_stepping_batches) // config.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, make_rate_factor(config, steps_per_epoch))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def make_rate_factor(config: TrainingConfig, steps_per_epoch: int) -> Callable[[int], float]:
    """Returns a function from the step to the learning rate as a share of its highest value."""

    def factor(step: int) -> float:
        warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
        if config.schedule == "cosine":
            progress = min(1.0, step / (config.epochs * steps_per_epoch))
            return warmup * (1 + math.cos(math.pi * progress)) / 2
        milestones_passed = sum(step >= milestone * steps_per_epoch for milestone in config.milestones)
        return warmup * 0.1**milestones_passed

    return factor
