"""Lightning callbacks of a training run: seeds, the model directory, and drawn samples."""

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
    """Seeds PyTorch's random generator before every step from the run's seed, the step and the process.

    Checkpoints do not hold the generator's state. With a seed for each step, a resumed run draws the same random
    numbers (dropout, sampled boxes) as a run that was never stopped. A seed for each epoch would not be enough, because
    Lightning does not start the epoch anew in which a run resumes.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Seeds the generator for the step."""
        state = np.random.SeedSequence((self._seed, trainer.global_step, trainer.global_rank))
        torch.manual_seed(int(state.generate_state(1)[0]))


class SaveModel(Callback):
    """Writes the model directory after every validation and at the end, with averaged weights if there are any.

    It must stand before the averaging callback in the list of callbacks. That callback swaps the averaged weights in
    for the validation and out again in its own `on_validation_epoch_end`.

    Args:
        directory: The model directory.
        average: The averaging callback, or None.
    """

    def __init__(self, directory: Path, average: WeightAveraging | None = None) -> None:
        self._directory, self._average = directory, average

    def on_validation_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Saves the weights that were just validated."""
        self._save(trainer, task)

    def on_fit_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Saves the final weights."""
        if self._average is not None:
            # A run that is resumed at its end never calls on_train_end, which swaps the averaged weights in.
            self._average.on_train_end(trainer, task)
        self._save(trainer, task)

    def _save(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        if trainer.is_global_zero:
            save_model(task.model, task.config, self._directory)  # type: ignore[arg-type]


SAMPLES_FILE = "samples.png"
SAMPLED_PEOPLE = 6
_TILE_HEIGHT_PX = 256


class DrawSamples(Callback):
    """Draws the same few people of a data set after every validation: labels, prediction, heatmaps.

    It must stand before the averaging callback, as `SaveModel` must.

    Args:
        dataset: The data set. Its people are chosen at even distances.
        out: The folder of `samples.png`, which shows the last validation. TensorBoard keeps the image of each one.
    """

    def __init__(self, dataset: PoseDataset, out: Path) -> None:
        indices = np.unique(np.linspace(0, len(dataset) - 1, SAMPLED_PEOPLE).round().astype(int))
        self.sample = Sample.stack([dataset[int(index)] for index in indices])
        self.path = out / SAMPLES_FILE

    def on_validation_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Draws the people and writes the image."""
        if not trainer.is_global_zero:
            return
        with torch.inference_mode():
            output: ModelOutput = task(self.sample.crop.to(task.device))
        image = draw_samples(self.sample, output, task.config)  # type: ignore[arg-type]
        with replace_atomically(self.path) as temporary:
            image.save(temporary, "png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("val/people", np.asarray(image), trainer.global_step, dataformats="HWC")


def draw_samples(sample: Sample, output: ModelOutput, config: PoseConfig) -> Image.Image:
    """Draws a row of tiles for each person: labels, prediction, maximum of the target and of the candidate heatmaps.

    Args:
        sample: A batch.
        output: The network's output for the batch.
        config: The network's config.
    """
    skeleton = get_skeleton(config.model.skeleton)
    heatmaps = output.target_heatmaps.float().cpu().numpy()
    keypoints_xy, scores = decode(heatmaps, config.decode.refinement, skeleton.sigmas)
    everyone = None if output.candidate_heatmaps is None else output.candidate_heatmaps.float().cpu().numpy()
    size_wh = round(_TILE_HEIGHT_PX * config.crop.size_wh[0] / config.crop.size_wh[1]), _TILE_HEIGHT_PX
    tiles = []
    for row, crop in enumerate(sample.crop.numpy()):
        labels_xy, labelled = sample.keypoints_xy[row, 0].numpy(), sample.labelled[row, 0].numpy().astype(float)
        prediction = _draw_pose(crop, keypoints_xy[row], scores[row], skeleton, config)
        tiles += [
            ("labelled", _draw_pose(crop, labels_xy, labelled, skeleton, config)),
            (f"found, {scores[row].mean():.2f}", prediction),
            ("this person", draw_heatmap(crop, heatmaps[row].max(0), size_wh)),
        ]
        if everyone is not None:
            tiles.append(("everyone", draw_heatmap(crop, everyone[row].max(0), size_wh)))
    return arrange_tiles(tiles, 3 if everyone is None else 4)


def _draw_pose(
    crop: NDArray[np.uint8],
    keypoints_xy: NDArray[np.floating],
    scores: Sequence[float] | NDArray[np.floating],
    skeleton: Skeleton,
    config: PoseConfig,
) -> Image.Image:
    """Draws a pose, given in heatmap pixels, on its crop."""
    scale = _TILE_HEIGHT_PX / config.crop.size_wh[1]
    to_crop = invert_affine(heatmap_affine(config.crop.stride, config.crop.pixel_centre))
    size_wh = round(config.crop.size_wh[0] * scale), _TILE_HEIGHT_PX
    tile = np.asarray(Image.fromarray(crop).resize(size_wh, Image.Resampling.BICUBIC))
    tile_xy = (apply_affine(to_crop, keypoints_xy) + 0.5) * scale - 0.5
    style = OverlayStyle(config.decode.keypoint_threshold)
    return draw_poses(tile, tile_xy[None], np.asarray(scores)[None], skeleton, style)
