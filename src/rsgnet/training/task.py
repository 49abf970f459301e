"""What the training of every network shares as a Lightning module."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Generic, TypeVar

import lightning as L
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.checkpoint import build
from rsgnet.config import NetworkConfig, PoseConfig
from rsgnet.data.dataset import Sample
from rsgnet.heatmaps import decode
from rsgnet.model.layers import normalise
from rsgnet.poses import oks
from rsgnet.skeletons import get_skeleton
from rsgnet.training.depthwise import use_fast_depthwise
from rsgnet.training.losses import Losses, pose_losses
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
        use_fast_depthwise(self.model)

    def on_train_epoch_start(self) -> None:
        """Keeps the statistics of normalisations where the recipe says so."""
        if self.config.training.norm_statistics == "running":
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def configure_optimizers(self) -> Any:
        """The recipe's optimizer and schedule."""
        return configure(self.model, self.config.training, self.trainer)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, _: int) -> Any:
        """Moves a batch, or a list of samples; Lightning does not move frozen dataclasses by itself."""
        return [each.to(device) for each in batch] if isinstance(batch, list) else batch.to(device)


class PoseTask(NetworkTask[PoseConfig]):
    """Trains a pose network by Eq. (8) and validates it by the mean OKS of its decoded target heatmaps.

    Args:
        config: The network and its recipe.
        pretrained: Whether its backbone starts from ImageNet weights.
    """

    def __init__(self, config: PoseConfig, pretrained: bool = False) -> None:
        super().__init__(config, pretrained)
        self.skeleton = get_skeleton(config.model.skeleton)

    def forward(self, crops: Tensor) -> Any:
        """(B, H, W, 3) uint8 RGB crops to the network's output."""
        return self.model(normalise(crops, self.config.crop.mean, self.config.crop.std))

    def training_step(self, batch: Sample, _: int) -> Tensor:
        """The total loss of a batch."""
        losses = self._losses(batch)
        self._log("train", losses, len(batch.crop))
        return losses.total

    def validation_step(self, batch: Sample, _: int) -> None:
        """Logs the losses and the mean OKS of a batch."""
        output = self(batch.crop)
        self._log("val", pose_losses(output, batch, self.skeleton, self.config.training.loss), len(batch.crop))
        similarity = target_oks(output.target_heatmaps, batch, self.config, self.skeleton.sigmas)
        self.log("val/oks", similarity.mean(), prog_bar=True, batch_size=len(batch.crop), sync_dist=True)

    def _losses(self, batch: Sample) -> Losses:
        return pose_losses(self(batch.crop), batch, self.skeleton, self.config.training.loss)

    def _log(self, stage: str, losses: Losses, size: int) -> None:
        for field in fields(losses):
            self.log(
                f"{stage}/{field.name}",
                getattr(losses, field.name),
                prog_bar=field.name == "total",
                on_step=False,
                on_epoch=True,
                batch_size=size,
                sync_dist=True,
            )


def target_oks(
    heatmaps: Tensor, batch: Sample, config: PoseConfig, sigmas: tuple[float, ...]
) -> Float[Tensor, " people"]:
    """The OKS of each decoded pose with its truth; people without a labelled keypoint are left out."""
    found, _ = decode(heatmaps.float().cpu().numpy(), config.decode.refinement, sigmas)
    truth, labelled = batch.keypoints_xy[:, 0].cpu().numpy(), batch.labelled[:, 0].cpu().numpy()
    areas = batch.box_area.cpu().numpy()
    each = [
        oks(truth[person, None], found[person, None], areas[person, None], sigmas, labelled[person, None])[0, 0]
        for person in range(len(truth))
        if labelled[person].any()
    ]
    return torch.tensor(each, dtype=torch.float32)
