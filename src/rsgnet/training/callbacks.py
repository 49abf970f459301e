"""What happens between the steps and epochs of a run, beside Lightning's own callbacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from PIL import Image

from rsgnet.checkpoint import save_model
from rsgnet.config import PoseConfig
from rsgnet.data.dataset import PoseDataset, Sample
from rsgnet.draw import arrange_tiles, draw_heatmap
from rsgnet.files import replace_atomically
from rsgnet.geometry import apply_affine, invert_affine
from rsgnet.heatmaps import decode, heatmap_affine
from rsgnet.model import ModelOutput
from rsgnet.overlays import OverlayStyle, draw_poses
from rsgnet.skeletons import Skeleton, get_skeleton


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


SAMPLES_FILE = "samples.png"
PEOPLE = 6
_HEIGHT = 256  # of a tile, pixels


class DrawSamples(Callback):
    """Draws the same few people of a data set after every validation: truth, prediction, heatmaps.

    Stands before the averaging callback, as `SaveModel` does, so that averaged weights are drawn where there are any.

    Args:
        dataset: Whose people, evenly chosen.
        out: The folder of the sheet, `samples.png`, of the last validation; TensorBoard has one for each.
    """

    def __init__(self, dataset: PoseDataset, out: Path) -> None:
        chosen = np.unique(np.linspace(0, len(dataset) - 1, PEOPLE).round().astype(int))
        self.sample = Sample.stack([dataset[int(index)] for index in chosen])
        self.path = out / SAMPLES_FILE

    def on_validation_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Draws them."""
        if not trainer.is_global_zero:
            return
        with torch.inference_mode():
            output: ModelOutput = task(self.sample.crop.to(task.device))
        drawn = draw_samples(self.sample, output, task.config)  # type: ignore[arg-type]
        with replace_atomically(self.path) as beside:
            drawn.save(beside, "png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("val/people", np.asarray(drawn), trainer.global_step, dataformats="HWC")


def draw_samples(sample: Sample, output: ModelOutput, config: PoseConfig) -> Image.Image:
    """A sheet with a row for each person: truth, prediction, the highest of their heatmaps, the highest of everyone's.

    Args:
        sample: A batch.
        output: What the network makes of it.
        config: The network's.
    """
    skeleton = get_skeleton(config.model.skeleton)
    heatmaps = output.target_heatmaps.float().cpu().numpy()
    found, scores = decode(heatmaps, config.decode.refinement, skeleton.sigmas)
    everyone = None if output.candidate_heatmaps is None else output.candidate_heatmaps.float().cpu().numpy()
    size_wh = round(_HEIGHT * config.crop.size_wh[0] / config.crop.size_wh[1]), _HEIGHT
    tiles = []
    for row, crop in enumerate(sample.crop.numpy()):
        truth, labelled = sample.keypoints_xy[row, 0].numpy(), sample.labelled[row, 0].numpy().astype(float)
        tiles += [
            ("labelled", _posed(crop, truth, labelled, skeleton, config)),
            (f"found, {scores[row].mean():.2f}", _posed(crop, found[row], scores[row], skeleton, config)),
            ("this person", draw_heatmap(crop, heatmaps[row].max(0), size_wh)),
        ]
        if everyone is not None:
            tiles.append(("everyone", draw_heatmap(crop, everyone[row].max(0), size_wh)))
    return arrange_tiles(tiles, 3 if everyone is None else 4)


def _posed(
    crop: NDArray[np.uint8],
    places: NDArray[np.floating],
    scores: Sequence[float] | NDArray[np.floating],
    skeleton: Skeleton,
    config: PoseConfig,
) -> Image.Image:
    """A crop with one pose over it, given in heatmap pixels."""
    scale = _HEIGHT / config.crop.size_wh[1]
    in_crop = apply_affine(invert_affine(heatmap_affine(config.crop.stride, config.crop.pixel_centre)), places)
    size_wh = round(config.crop.size_wh[0] * scale), _HEIGHT
    under = np.asarray(Image.fromarray(crop).resize(size_wh, Image.Resampling.BICUBIC))
    on_tile = (in_crop + 0.5) * scale - 0.5
    style = OverlayStyle(config.decode.keypoint_threshold)
    return draw_poses(under, on_tile[None], np.asarray(scores)[None], skeleton, style)
