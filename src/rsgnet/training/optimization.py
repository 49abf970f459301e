"""The optimizers and the learning rate over a run, for every network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
import torch
from timm.optim.muon import get_lr_scale, zeropower_via_newtonschulz
from torch import Tensor, nn

from rsgnet.training_config import TrainingConfig

_NEWTON_SCHULZ_COEFFICIENTS = [(3.4445, -4.7750, 2.0315)]
_NEWTON_SCHULZ_STEPS = 5
_MUON_MOMENTUM = 0.95


def configure_optimizer(model: nn.Module, config: TrainingConfig, trainer: L.Trainer) -> dict[str, Any]:
    """Returns the optimizer and the learning rate schedule, as Lightning's `configure_optimizers` does.

    Args:
        model: The network. Weights of two or more dimensions are decayed; biases and normalisations are not.
        config: Optimizer, learning rate and schedule.
        trainer: The trainer, which knows the number of steps of the run.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [weight for weight in parameters if weight.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [weight for weight in parameters if weight.ndim <= 1], "weight_decay": 0.0},
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


class Muon(torch.optim.AdamW):
    """Jordan's Muon (kellerjordan.github.io/posts/muon) for matrices, AdamW for all other weights.

    Updates of matrices are scaled as in arXiv:2502.16982, so that AdamW's learning rates fit. timm's and PyTorch's Muon
    always orthogonalise in bfloat16, which takes ten times as long as float32 on a CPU without bfloat16 instructions.
    This class is built from timm's functions and lets the type be chosen.

    Args:
        parameters: The weights to train, or groups of them.
        dtype: The type in which updates are orthogonalised, float32 or bfloat16. bfloat16 is accurate enough.
        options: Options of AdamW.
    """

    def __init__(self, parameters: Iterable[Any], dtype: torch.dtype = torch.float32, **options: Any) -> None:
        super().__init__(parameters, **options)
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates the weights and removes the gradients of matrices.

        Args:
            closure: Computes the gradients and returns the loss; None if the gradients are there already.

        Returns:
            The loss of `closure`, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and _is_matrix(weight):
                    self._update_matrix(weight, weight.grad, group["lr"], group["weight_decay"])
                    weight.grad = None  # so that AdamW skips it
        super().step()
        return loss

    def _update_matrix(self, weight: Tensor, gradient: Tensor, rate: float, weight_decay: float) -> None:
        state = self.state[weight]  # with AdamW's keys, which AdamW expects when a run is resumed
        if not state:
            state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(weight))
        mean = state["exp_avg"].lerp_(gradient, 1 - _MUON_MOMENTUM)
        nesterov = torch.lerp(gradient, mean, _MUON_MOMENTUM).flatten(1)
        direction = zeropower_via_newtonschulz(
            nesterov, _NEWTON_SCHULZ_STEPS, _NEWTON_SCHULZ_COEFFICIENTS, dtype=self._dtype
        )
        weight.mul_(1 - rate * weight_decay)
        weight.add_(direction.view_as(weight), alpha=-rate * get_lr_scale(direction.shape))


def _is_matrix(weight: Tensor) -> bool:
    """Returns whether Muon updates a weight: that of a linear layer or a convolution, not of a depthwise one.

    Biases, normalisations, and matrices with fewer than four rows or columns are left to AdamW.
    """
    return weight.ndim > 1 and weight.shape[1] > 1 and min(weight.shape[0], weight[0].numel()) >= 4
