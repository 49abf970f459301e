"""One training run: data, Trainer, checkpoints, curves, and the model directory it leaves."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import (
    Callback,
    LearningRateMonitor,
    ModelCheckpoint,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rsgnet.checkpoint import load_backbone, load_fitting, load_weights, read_config
from rsgnet.config import FasterRCNNConfig, NetworkConfig, PoseConfig
from rsgnet.config_files import to_json
from rsgnet.data.dataset import PoseDataset
from rsgnet.data.teacher import Teacher
from rsgnet.errors import RSGNetError
from rsgnet.files import write_text
from rsgnet.model.layers import normalise
from rsgnet.pretrained import start_detector, start_pose_network
from rsgnet.training.callbacks import DrawSamples, SaveModel, StepSeeds
from rsgnet.training.checkpoints import (
    FOLDER,
    LAST,
    TwoCheckpoints,
    has_checkpoint,
    telling_of_a_full_disk,
    whole_checkpoint,
)
from rsgnet.training.detector_task import DetectorTask
from rsgnet.training.faster_rcnn_task import FasterRCNNTask
from rsgnet.training.progress import EpochProgress
from rsgnet.training.sources import TrainingData, parse_source
from rsgnet.training.task import PoseTask
from rsgnet.training_config import TrainingConfig

MODEL_DIRECTORY = "model"
_STATISTICS_IMAGES = 64  # that the batch normalisations of a folded network are restored from


def train(
    config: NetworkConfig,
    data: Sequence[str],
    out: Path,
    *,
    validation: str | None = None,
    resume: bool = False,
    start_from: Path | None = None,
    backbone_from: Path | None = None,
    fitting_from: Path | None = None,
    workers: int = 1,
    devices: int | None = None,
    validate_every: int = 1,
    teacher: Teacher | None = None,
    progress: bool = True,
) -> Path:
    """Trains a network and leaves its model directory.

    Args:
        config: The network and its training.
        data: What to train on, each as `training.sources.parse_source` reads it.
        out: Where checkpoints, curves and the model go.
        validation: What to validate on, as `data`.
        resume: Whether to go on from the last checkpoint in `out`, or, where it is broken, from the one before, or to
            begin where there is none; without it `out` must not hold one. What torchrun starts again goes on, too.
        start_from: A model directory whose weights to start from.
        backbone_from: A model directory whose backbone to start from, whatever its heads; or the file of a published
            network, as `rsgnet.pretrained` reads it.
        fitting_from: A model directory to start from whatever fits of it.
        workers: Processes that cut crops, for each that trains.
        devices: GPUs of this machine to train on, or processes where it has none; None takes all GPUs. Under
            `torchrun` its own numbers of processes and machines hold.
        validate_every: Epochs between validations.
        teacher: A pose network; its heatmaps are learnt beside the labels.
        progress: Whether to show a progress bar and print a line an epoch.

    Returns:
        The model directory.

    Raises:
        RSGNetError: The data do not exist or fit, `out` holds another run, nothing sets the running statistics that
            training would keep, or the disk is full.
    """
    if has_checkpoint(out) and not (resume or _started_again()):
        raise RSGNetError(f"{out} holds a run already; go on with --resume or choose another --out")
    checkpoint = whole_checkpoint(out)
    if checkpoint is not None:
        require_own_config(config, out)
    held_out = parse_source(validation) if validation else None
    if teacher is not None:
        _check_teacher(config)
    starts = (start_from, backbone_from, fitting_from)
    if config.training.norm_statistics == "running" and not config.training.pretrained and not any(starts):
        raise RSGNetError(
            f"{config.name} keeps the running statistics of its normalisations, and nothing sets them: start from "
            "weights, or train with --set training.norm_statistics=batch"
        )
    sources = TrainingData(config, [parse_source(each) for each in data], held_out, workers, teacher, out)
    write_text(out / "config.json", to_json(config))
    _quieten()
    L.seed_everything(config.training.seed, workers=True, verbose=False)
    fresh = checkpoint is None
    # Weights that are read below replace ImageNet's: then these are not fetched.
    replaced = start_from is not None or fitting_from is not None
    task = _task(config, config.training.pretrained and fresh and not replaced)
    if config.training.frozen:
        if isinstance(task, DetectorTask):
            raise RSGNetError(f"{config.name}: RTMDet trains whole; leave training.frozen empty")
        task.model.backbone.freeze(config.training.frozen)
    if start_from is not None and fresh:
        load_weights(task.model, start_from)
    if backbone_from is not None and fresh:
        _start_backbone(task, backbone_from, sources)
    if fitting_from is not None and fresh:
        load_fitting(task.model, fitting_from)
    trainer = L.Trainer(
        default_root_dir=out,
        max_epochs=config.training.epochs,
        precision=config.training.precision,
        logger=[CSVLogger(out, name="curves"), TensorBoardLogger(out, name="tensorboard")],
        callbacks=_callbacks(config.training, out, sources.held_out, progress),
        plugins=[TwoCheckpoints()],
        check_val_every_n_epoch=validate_every,
        num_sanity_val_steps=0,
        enable_progress_bar=False,  # EpochProgress shows it
        enable_model_summary=False,
        log_every_n_steps=20,
        use_distributed_sampler=False,  # the draws are split between processes already
        **_processes(devices),
    )
    with telling_of_a_full_disk(out):
        trainer.fit(task, sources, ckpt_path=checkpoint, weights_only=True)
    return out / MODEL_DIRECTORY


def require_own_config(config: NetworkConfig, out: Path, because: str = "") -> None:
    """Checks that a config is that of the run in a folder, but for the number of epochs.

    Raises:
        RSGNetError: It is not; the first setting that differs is named, and what asked for it.
    """
    own, given = (dict(_list_settings(each)) for each in (read_config(out), config))
    if own.keys() != given.keys():
        raise RSGNetError(f"{out}: holds a run of another kind of network; choose another --out")
    for name, value in given.items():
        if value != own[name] and name != "training.epochs":
            raise RSGNetError(
                f"{out}: the run there has {name}={own[name]}, which {because or f'{name}={value}'} contradicts; "
                "leave it out to resume, or choose another --out"
            )


def _list_settings(config: NetworkConfig) -> list[tuple[str, object]]:
    """Returns every setting of a config by its name as in --set."""

    def walk(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, object]]:
        for name, value in values.items():
            if isinstance(value, dict):
                yield from walk(f"{prefix}{name}.", value)
            else:
                yield f"{prefix}{name}", value

    return list(walk("", asdict(config)))


def _start_backbone(task: PoseTask | DetectorTask | FasterRCNNTask, path: Path, data: TrainingData) -> None:
    """Starts the backbone from a model directory, or from a file of a network that was published folded."""
    if path.is_dir():
        load_backbone(task.model, path)
        return
    images = data.some_images(_STATISTICS_IMAGES)
    if isinstance(task, PoseTask):
        start_pose_network(task.model, path, normalise(images, task.config.crop.mean, task.config.crop.std))
    elif isinstance(task, DetectorTask):
        start_detector(task.model, path, normalise(images, task.config.mean, task.config.std))
    else:
        raise RSGNetError(f"{path}: Faster R-CNN starts from no such file; name a model directory")


def _quieten() -> None:
    """Keeps Lightning from saying what is meant, or what it wants to sell."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for meant in (
        "You have overridden `transfer_batch_to_device`",
        "Found .* in eval mode",  # frozen modules
        "Checkpoint directory .* exists and is not empty",  # a run that is resumed
        "You're resuming from a checkpoint that ended before the epoch ended",
        "The number of training batches",  # fewer than between two points of a curve
        "Total length of `list` across ranks is zero",  # no validation
        "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
    ):
        warnings.filterwarnings("ignore", meant, module="lightning")


def _task(config: NetworkConfig, pretrained: bool) -> PoseTask | DetectorTask | FasterRCNNTask:
    if isinstance(config, PoseConfig):
        return PoseTask(config, pretrained)
    if isinstance(config, FasterRCNNConfig):
        return FasterRCNNTask(config, pretrained)
    return DetectorTask(config, pretrained)


def _check_teacher(config: NetworkConfig) -> None:
    if not isinstance(config, PoseConfig):
        raise RSGNetError(f"{config.name}: detectors do not learn from a teacher of poses")
    if not config.training.loss.distillation:
        raise RSGNetError("nothing is learnt from the teacher while training.loss.distillation is 0")


def _processes(devices: int | None) -> dict[str, Any]:
    """The Trainer's devices and machines; more than one process are joined by DDP."""
    if TorchElasticEnvironment.detect():
        return {"devices": int(os.environ["LOCAL_WORLD_SIZE"]), "num_nodes": int(os.environ["GROUP_WORLD_SIZE"])}
    return {"devices": devices or "auto"}


def _started_again() -> bool:
    """Whether torchrun started this process anew, after one of its processes died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def _callbacks(config: TrainingConfig, out: Path, held_out: object, progress: bool) -> list[Callback]:
    average: list[WeightAveraging] = []
    if config.ema_decay:
        decaying = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
        average.append(WeightAveraging(multi_avg_fn=decaying))
    return [
        StepSeeds(config.seed),
        SaveModel(out / MODEL_DIRECTORY, *average),
        *([DrawSamples(held_out, out)] if isinstance(held_out, PoseDataset) else []),
        *average,
        # Written anew at the end of every epoch.
        ModelCheckpoint(
            out / FOLDER, filename=Path(LAST).stem, enable_version_counter=False, save_on_train_epoch_end=True
        ),
        LearningRateMonitor("step"),
        *([EpochProgress()] if progress else []),
    ]
