"""What the training of every network shares as a Lightning module."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import lightning as L
import torch

from rsgnet.checkpoint import build
from rsgnet.detector_config import NetworkConfig
from rsgnet.training.depthwise import quicken_depthwise
from rsgnet.training.optimization import configure

Config = TypeVar("Config", bound=NetworkConfig)


class NetworkTask(L.LightningModule, Generic[Config]):
    """Trains a network by its recipe.

    Args:
        config: The network and its recipe.
        pretrained: Whether its backbone starts from ImageNet weights.
    """

    def __init__(self, config: Config, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        # Channels last: convolutions on CPUs are half as fast again.
        self.model: Any = build(config, pretrained).to(memory_format=torch.channels_last)
        quicken_depthwise(self.model)

    def configure_optimizers(self) -> Any:
        """The recipe's optimizer and schedule."""
        return configure(self.model, self.config.training, self.trainer)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, _: int) -> Any:
        """Moves a batch, or a list of samples; Lightning does not move frozen dataclasses by itself."""
        return [each.to(device) for each in batch] if isinstance(batch, list) else batch.to(device)
