"""A training run: data, Trainer, checkpoints, curves, and the trained model directory."""

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
from rsgnet.errors import RSGNetError, RSGNetWarning
from rsgnet.files import write_text
from rsgnet.model.layers import normalise
from rsgnet.pretrained import start_detector, start_pose_network
from rsgnet.training.callbacks import DrawSamples, SaveModel, StepSeeds
from rsgnet.training.checkpoints import (
    FOLDER,
    LAST,
    TwoCheckpoints,
    find_intact_checkpoint,
    has_checkpoint,
    report_full_disk,
)
from rsgnet.training.detector_task import DetectorTask
from rsgnet.training.faster_rcnn_task import FasterRCNNTask
from rsgnet.training.progress import EpochProgress
from rsgnet.training.sources import TrainingData, parse_source
from rsgnet.training.task import PoseTask
from rsgnet.training_config import TrainingConfig

MODEL_DIRECTORY = "model"
_MAX_START_SHARE = 0.05  # of the starting weights in the averaged ones, at the end of a run
_STATISTICS_IMAGES = 64  # from which the batch normalisations of a folded network are restored


def train(
    config: NetworkConfig,
    data: Sequence[str],
    out: str | Path,
    *,
    validation: str | None = None,
    resume: bool = False,
    start_from: str | Path | None = None,
    backbone_from: str | Path | None = None,
    fitting_from: str | Path | None = None,
    workers: int = 1,
    devices: int | None = None,
    validate_every: int = 1,
    teacher: Teacher | None = None,
    progress: bool = True,
) -> Path:
    """Trains a network and writes its model directory.

    Args:
        config: The network and its training.
        data: The data sets to train on, each as `training.sources.parse_source` reads it.
        out: The folder of checkpoints, curves and the model directory.
        validation: The data set to validate on, as in `data`; None validates on none.
        resume: Whether to continue from the last checkpoint in `out`, or from the one before if the last is broken. A
            run without checkpoints starts from the beginning. If False, `out` must hold no checkpoint, except in
            processes that torchrun restarted, which always continue.
        start_from: A model directory; training starts from all its weights.
        backbone_from: A model directory, whose backbone training starts from; or the file of a published network, as
            `rsgnet.pretrained` reads it.
        fitting_from: A model directory; training starts from its weights of the same names and shapes.
        workers: Processes that prepare samples, for each process that trains.
        devices: Number of GPUs to train on, or of processes on a machine without one. None uses all GPUs. Under
            `torchrun`, its numbers of processes and machines are used instead.
        validate_every: Epochs between validations.
        teacher: A pose network whose heatmaps are learnt in addition to the labels.
        progress: Whether to show a progress bar and print a line for each epoch.

    Returns:
        The model directory, `out`/model.

    Raises:
        RSGNetError: The data do not exist or do not suit the config, `out` holds another run, nothing provides the
            running statistics that training would keep, or the disk is full.
    """
    out = Path(out)
    start_from = Path(start_from) if start_from is not None else None
    backbone_from = Path(backbone_from) if backbone_from is not None else None
    fitting_from = Path(fitting_from) if fitting_from is not None else None
    if has_checkpoint(out) and not (resume or _is_restarted()):
        raise RSGNetError(f"{out} holds a run already; continue it with --resume or choose another --out")
    checkpoint = find_intact_checkpoint(out)
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
    sources = TrainingData(config, [parse_source(text) for text in data], held_out, workers, teacher, out)
    write_text(out / "config.json", to_json(config))
    _hide_expected_warnings()
    L.seed_everything(config.training.seed, workers=True, verbose=False)
    is_new = checkpoint is None
    # ImageNet weights are not downloaded if other weights would replace them.
    is_replaced = start_from is not None or fitting_from is not None
    task = _make_task(config, config.training.pretrained and is_new and not is_replaced)
    if config.training.frozen:
        if isinstance(task, DetectorTask):
            raise RSGNetError(f"{config.name}: parts of RTMDet cannot be frozen; leave training.frozen empty")
        task.model.backbone.freeze(config.training.frozen)
    if start_from is not None and is_new:
        load_weights(task.model, start_from)
    if backbone_from is not None and is_new:
        _start_backbone(task, backbone_from, sources)
    if fitting_from is not None and is_new:
        load_fitting(task.model, fitting_from)
    trainer = L.Trainer(
        default_root_dir=out,
        max_epochs=config.training.epochs,
        precision=config.training.precision,
        logger=[CSVLogger(out, name="curves"), TensorBoardLogger(out, name="tensorboard")],
        callbacks=_make_callbacks(config.training, out, sources.held_out, progress),
        plugins=[TwoCheckpoints()],
        check_val_every_n_epoch=validate_every,
        num_sanity_val_steps=0,
        enable_progress_bar=False,  # EpochProgress shows it
        enable_model_summary=False,
        log_every_n_steps=20,
        use_distributed_sampler=False,  # SeededDraws splits the samples between processes
        **_device_options(devices),
    )
    _warn_of_lagging_average(config.training, sources.epoch_samples // trainer.world_size)
    with report_full_disk(out):
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
    """Loads the backbone of a model directory, or the file of a published network with folded normalisations."""
    if path.is_dir():
        load_backbone(task.model, path)
        return
    images = data.select_images(_STATISTICS_IMAGES)
    if isinstance(task, PoseTask):
        start_pose_network(task.model, path, normalise(images, task.config.crop.mean, task.config.crop.std))
    elif isinstance(task, DetectorTask):
        start_detector(task.model, path, normalise(images, task.config.mean, task.config.std))
    else:
        raise RSGNetError(f"{path}: Faster R-CNN cannot start from such a file; name a model directory")


def _hide_expected_warnings() -> None:
    """Hides Lightning's hints and advertisements, and its warnings about settings that are intended here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        "You have overridden `transfer_batch_to_device`",
        "Found .* in eval mode",  # frozen modules
        "Checkpoint directory .* exists and is not empty",  # a run that is resumed
        "You're resuming from a checkpoint that ended before the epoch ended",
        "The number of training batches",  # is lower than log_every_n_steps
        "Total length of `list` across ranks is zero",  # no validation
        "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
    ):
        warnings.filterwarnings("ignore", message, module="lightning")


def _warn_of_lagging_average(config: TrainingConfig, epoch_samples: int) -> None:
    """Warns of a run that is too short for its moving average to leave the starting weights."""
    steps = max(config.epochs * (epoch_samples // config.batch_size), 1)
    share = config.ema_decay**steps
    if share > _MAX_START_SHARE:
        warnings.warn(
            f"in {steps} steps the average of training.ema_decay={config.ema_decay} keeps {share:.0%} of the starting "
            f"weights; {_MAX_START_SHARE ** (1 / steps):.3g} or less would keep {_MAX_START_SHARE:.0%}",
            RSGNetWarning,
            stacklevel=3,
        )


def _make_task(config: NetworkConfig, pretrained: bool) -> PoseTask | DetectorTask | FasterRCNNTask:
    if isinstance(config, PoseConfig):
        return PoseTask(config, pretrained)
    if isinstance(config, FasterRCNNConfig):
        return FasterRCNNTask(config, pretrained)
    return DetectorTask(config, pretrained)


def _check_teacher(config: NetworkConfig) -> None:
    if not isinstance(config, PoseConfig):
        raise RSGNetError(f"{config.name}: only pose networks learn from a teacher; detectors do not learn from one")
    if not config.training.loss.distillation:
        raise RSGNetError(
            "nothing is learnt from the teacher while training.loss.distillation is 0: "
            "add --set training.loss.distillation=1"
        )


def _device_options(devices: int | None) -> dict[str, Any]:
    """Returns the Trainer's options of devices and machines; several processes train with DDP."""
    if TorchElasticEnvironment.detect():
        return {"devices": int(os.environ["LOCAL_WORLD_SIZE"]), "num_nodes": int(os.environ["GROUP_WORLD_SIZE"])}
    return {"devices": devices or "auto"}


def _is_restarted() -> bool:
    """Returns whether torchrun restarted this process after one of its processes had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def _make_callbacks(config: TrainingConfig, out: Path, held_out: object, progress: bool) -> list[Callback]:
    average: list[WeightAveraging] = []
    if config.ema_decay:
        average_weights = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
        average.append(WeightAveraging(multi_avg_fn=average_weights))
    return [
        StepSeeds(config.seed),
        SaveModel(out / MODEL_DIRECTORY, *average),
        *([DrawSamples(held_out, out)] if isinstance(held_out, PoseDataset) else []),
        *average,
        # One file, replaced at the end of every epoch.
        ModelCheckpoint(
            out / FOLDER, filename=Path(LAST).stem, enable_version_counter=False, save_on_train_epoch_end=True
        ),
        LearningRateMonitor("step"),
        *([EpochProgress()] if progress else []),
    ]
