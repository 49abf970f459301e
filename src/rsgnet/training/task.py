"""The Lightning modules of training: the base class of all networks' tasks, and the task of pose networks."""

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
from rsgnet.model import ModelOutput
from rsgnet.model.layers import normalise
from rsgnet.poses import oks
from rsgnet.skeletons import get_skeleton
from rsgnet.training.depthwise import use_fast_depthwise
from rsgnet.training.losses import Losses, pose_losses
from rsgnet.training.optimization import configure_optimizer
from rsgnet.training.oracle import use_oracle

Config = TypeVar("Config", bound=NetworkConfig)


class NetworkTask(L.LightningModule, Generic[Config]):
    """Base class of the Lightning modules that train a network.

    Args:
        config: The network and its training.
        pretrained: Whether the backbone starts from ImageNet weights.
    """

    def __init__(self, config: Config, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        # Convolutions on CPUs are 1.5 times as fast with channels last.
        self.model: Any = build(config, pretrained).to(memory_format=torch.channels_last)
        use_fast_depthwise(self.model)

    def on_train_epoch_start(self) -> None:
        """Switches batch normalisations to their running statistics if the config asks for it."""
        if self.config.training.norm_statistics == "running":
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def configure_optimizers(self) -> Any:
        """Returns the optimizer and the learning rate schedule of the config."""
        return configure_optimizer(self.model, self.config.training, self.trainer)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, _: int) -> Any:
        """Moves a batch or a list of samples to a device; Lightning cannot move frozen dataclasses."""
        return [sample.to(device) for sample in batch] if isinstance(batch, list) else batch.to(device)


class PoseTask(NetworkTask[PoseConfig]):
    """Trains a pose network with the loss of Eq. (8) and validates it by the mean OKS of the decoded target heatmaps.

    Args:
        config: The network and its training.
        pretrained: Whether the backbone starts from ImageNet weights.
    """

    def __init__(self, config: PoseConfig, pretrained: bool = False) -> None:
        super().__init__(config, pretrained)
        self.skeleton = get_skeleton(config.model.skeleton)

    def forward(self, crops: Tensor) -> Any:
        """Returns the network's `ModelOutput` for (B, H, W, 3) uint8 RGB crops."""
        return self.model(normalise(crops, self.config.crop.mean, self.config.crop.std))

    def training_step(self, batch: Sample, _: int) -> Tensor:
        """Returns the total loss of a batch."""
        losses = self._losses(batch)
        self._log("train", losses, len(batch.crop))
        return losses.total

    def validation_step(self, batch: Sample, _: int) -> None:
        """Logs the losses and the mean OKS of a batch."""
        output = self._predict(batch)
        self._log("val", pose_losses(output, batch, self.skeleton, self.config.training.loss), len(batch.crop))
        similarity = target_oks(output.target_heatmaps, batch, self.config, self.skeleton.sigmas)
        self.log("val/oks", similarity.mean(), prog_bar=True, batch_size=len(batch.crop), sync_dist=True)

    def _predict(self, batch: Sample) -> ModelOutput:
        training = self.config.training
        with use_oracle(self.model, training.oracle, batch, training.loss):
            output: ModelOutput = self(batch.crop)
        return output

    def _losses(self, batch: Sample) -> Losses:
        return pose_losses(self._predict(batch), batch, self.skeleton, self.config.training.loss)

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
    """Computes the OKS of each decoded pose with its labels.

    Args:
        heatmaps: (B, K, h, w) predicted target heatmaps.
        batch: The crops' labels.
        config: How heatmaps are decoded.
        sigmas: The K OKS constants of the skeleton.

    Returns:
        (N,) OKS in 0..1 of the N people of the batch who have a labelled keypoint.
    """
    predicted, _ = decode(heatmaps.float().cpu().numpy(), config.decode.refinement, sigmas)
    truth, labelled = batch.keypoints_xy[:, 0].cpu().numpy(), batch.labelled[:, 0].cpu().numpy()
    areas = batch.box_area.cpu().numpy()
    scores = [
        oks(truth[person, None], predicted[person, None], areas[person, None], sigmas, labelled[person, None])[0, 0]
        for person in range(len(truth))
        if labelled[person].any()
    ]
    return torch.tensor(scores, dtype=torch.float32)
