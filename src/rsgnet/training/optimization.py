"""The optimizer and its learning rate over a run, shared by every network that is trained here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
import torch
from timm.optim.muon import get_lr_scale, zeropower_via_newtonschulz
from torch import Tensor, nn

from rsgnet.training_config import TrainingConfig


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


_COEFFICIENTS = [(3.4445, -4.7750, 2.0315)]
_STEPS = 5
_MOMENTUM = 0.95


class Muon(torch.optim.AdamW):
    """Jordan's optimizer (kellerjordan.github.io/posts/muon), scaled to AdamW's rates as by arXiv:2502.16982.

    timm's own and PyTorch's orthogonalise in bfloat16 wherever they run, which takes a CPU without instructions for it
    ten times as long as float32; hence this one, of timm's parts. `step` uses the gradients of matrices up.

    Args:
        parameters: What is trained, or groups of it.
        orthogonalised_in: What matrices are orthogonalised in; bfloat16 is exact enough, and quick where there are
            instructions for it.
        options: AdamW's.
    """

    def __init__(
        self, parameters: Iterable[Any], orthogonalised_in: torch.dtype = torch.float32, **options: Any
    ) -> None:
        super().__init__(parameters, **options)
        self._dtype = orthogonalised_in

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what `closure`, which computes the gradients, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and _is_matrix(weight):
                    self._move(weight, weight.grad, group["lr"], group["weight_decay"])
                    weight.grad = None  # so that AdamW passes it over
        super().step()
        return loss

    def _move(self, weight: Tensor, gradient: Tensor, rate: float, weight_decay: float) -> None:
        state = self.state[weight]  # in AdamW's names, which it looks for when a run is resumed
        if not state:
            state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(weight))
        mean = state["exp_avg"].lerp_(gradient, 1 - _MOMENTUM)
        ahead = torch.lerp(gradient, mean, _MOMENTUM).flatten(1)
        direction = zeropower_via_newtonschulz(ahead, _STEPS, _COEFFICIENTS, dtype=self._dtype)
        weight.mul_(1 - rate * weight_decay)
        weight.add_(direction.view_as(weight), alpha=-rate * get_lr_scale(direction.shape))


def _is_matrix(weight: Tensor) -> bool:
    """A linear layer's weight or an ungrouped convolution's: not a depthwise one's, nor a bias, nor a few rows."""
    return weight.ndim > 1 and weight.shape[1] > 1 and min(weight.shape[0], weight[0].numel()) >= 4
