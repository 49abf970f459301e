"""The data of a run: the data sets that `--data` names, and the Trainer's data loaders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from rsgnet.annotations.catalog import resolve_labels_and_images
from rsgnet.config import FasterRCNNConfig, NetworkConfig, PoseConfig
from rsgnet.data.batches import Draw, SeededDraws, TensorRecord
from rsgnet.data.dataset import DataSource, PoseDataset, Sample
from rsgnet.data.detection import DetectionDataset
from rsgnet.data.teacher import Teacher
from rsgnet.errors import RSGNetError


def parse_source(text: str) -> DataSource:
    """Parses a data set: `LABELS[:IMAGES_DIR][,OPTIONS]`, or `DIR:NAME[,OPTIONS]` for a published data set.

    Options are `weight=2`, and `partial`, which says that not everyone in the images is labelled. Without IMAGES_DIR
    images lie in the folder that the labels name, or else in the folder `images` beside the labels.

    Raises:
        RSGNetError: The text has another form, or a file or folder does not exist.
    """
    paths, *options = text.split(",")
    try:
        files = resolve_labels_and_images(paths)
    except RSGNetError as error:
        raise RSGNetError(f"--data {text}: {error}") from error
    if not files.images.is_dir():
        raise RSGNetError(f"--data {text}: no folder {files.images}; name it: {files.annotations}:IMAGES_DIR")
    weight, everyone_labelled = 1.0, True
    for option in options:
        key, _, value = option.partition("=")
        if key == "weight" and value.replace(".", "", 1).isdigit():
            weight = float(value)
        elif option == "partial":
            everyone_labelled = False
        else:
            raise RSGNetError(f"--data {text}: {option!r} is neither weight=NUMBER nor partial")
    return DataSource(files.annotations, files.images, weight, everyone_labelled)


class TrainingData(L.LightningDataModule):
    """The data loaders of a run.

    Args:
        config: The network and its training.
        sources: The data sets to train on.
        validation: The data set to validate on, or None.
        workers: Processes that prepare samples.
        teacher: A network whose heatmaps a pose network learns, or None.
        folder: The folder in which the teacher's heatmaps are stored.

    Raises:
        RSGNetError: The data do not exist, or an epoch has fewer samples than a batch.
    """

    def __init__(
        self,
        config: NetworkConfig,
        sources: Sequence[DataSource],
        validation: DataSource | None,
        workers: int,
        teacher: Teacher | None = None,
        folder: Path = Path(),
    ) -> None:
        super().__init__()
        self.training = config.training
        self.workers = workers
        # Images of Faster R-CNN differ in size, so that they cannot be stacked.
        self._collate = list if isinstance(config, FasterRCNNConfig) else _stack
        self.dataset = _open_dataset(sources, config, augmented=True)
        self._teacher, self._folder = teacher, folder
        self.held_out = _open_dataset([validation], config, augmented=False) if validation else None
        self.epoch_samples = self.training.epoch_samples or len(self.dataset)
        if self.epoch_samples < self.training.batch_size:
            raise RSGNetError(
                f"an epoch of {self.epoch_samples} samples fills no batch of {self.training.batch_size}: "
                "set training.batch_size or training.epoch_samples"
            )

    def prepare_data(self) -> None:
        """Computes the teacher's heatmaps, in the first process only."""
        self._add_teacher_heatmaps()

    def setup(self, stage: str) -> None:
        """Opens the teacher's heatmaps in every process."""
        self._add_teacher_heatmaps()

    def _add_teacher_heatmaps(self) -> None:
        if self._teacher is not None and isinstance(self.dataset, PoseDataset):
            self.dataset.add_teacher_heatmaps(self._teacher, self._folder)

    def select_images(self, count: int) -> UInt8[Tensor, "images height width 3"]:
        """Returns (N, H, W, 3) RGB training crops, or a detector's images, at even distances; N is at most `count`."""
        indices = np.unique(np.linspace(0, len(self.dataset) - 1, count).round().astype(int))
        samples = [self.dataset[Draw(int(index), 0)] for index in indices]
        return torch.stack([sample.crop if isinstance(sample, Sample) else sample.image for sample in samples])

    def train_dataloader(self) -> DataLoader[Any]:
        """Returns the loader of the training samples of this process."""
        trainer = self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        draws = SeededDraws(self.dataset.weights, self.epoch_samples, self.training.seed, rank, world)
        return self._loader(self.dataset, sampler=draws, drop_last=True)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Returns the loader of the validation samples, or an empty list without validation."""
        return self._loader(self.held_out, shuffle=False) if self.held_out else []

    def _loader(self, dataset: PoseDataset | DetectionDataset, **options: Any) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            batch_size=self.training.batch_size,
            num_workers=self.workers,
            collate_fn=self._collate,
            persistent_workers=self.workers > 0,
            **options,
        )


def _open_dataset(
    sources: Sequence[DataSource], config: NetworkConfig, augmented: bool
) -> PoseDataset | DetectionDataset:
    if isinstance(config, PoseConfig):
        return PoseDataset(sources, config, augmented)
    return DetectionDataset(sources, config, augmented)


def _stack(records: Sequence[TensorRecord]) -> TensorRecord:
    return type(records[0]).stack(records)
