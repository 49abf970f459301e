"""Measures which share of a training run's time is waiting for training crops.

`python benchmarks/loader_share.py LABELS IMAGES_DIR [--presets nano small] [--workers 1]`

Presets are trained with their own settings, on a processor or the GPU where there is one, by the trainer of `rsgnet
train`: worker processes make the crops, the training process computes the steps. The first batch, for which workers
start, does not count.
"""

import argparse
import tempfile
from pathlib import Path

import lightning as L
from lightning.pytorch.profilers import SimpleProfiler
from measurement import Measurement, Spread, at_most, make_parser, report, set_up

from rsgnet.config import PoseConfig
from rsgnet.config_files import with_settings
from rsgnet.presets import preset_named
from rsgnet.training.sources import TrainingData, parse_source
from rsgnet.training.task import PoseTask

WAIT, STEP = "[_TrainingEpochLoop].train_dataloader_next", "run_training_batch"
BOUND = 0.05


def measure(preset: str, arguments: argparse.Namespace) -> list[Measurement]:
    config = with_settings(
        preset_named(preset), ["training.norm_statistics=batch", "training.pretrained=false", "training.epochs=1"]
    )
    assert isinstance(config, PoseConfig)
    source = parse_source(f"{arguments.labels}:{arguments.images}")
    profiler = SimpleProfiler()
    with tempfile.TemporaryDirectory() as folder:
        data = TrainingData(config, [source], None, arguments.workers, None, Path(folder))
        trainer = L.Trainer(
            default_root_dir=folder, max_steps=arguments.steps, precision=config.training.precision, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            use_distributed_sampler=False, profiler=profiler,
        )  # fmt: skip
        trainer.fit(PoseTask(config), data)
    waiting, computing = (sum(profiler.recorded_durations[action][1:]) for action in (WAIT, STEP))
    seconds, crops = waiting + computing, config.training.batch_size * (arguments.steps - 1)
    prefix = f"{preset}, {arguments.workers} worker, batches of {config.training.batch_size}"
    return [
        Measurement(f"{prefix}: crops per second", Spread.of(crops / seconds)),
        at_most(f"{prefix}: share of the time waiting for crops", Spread.of(waiting / seconds), BOUND),
    ]


def main() -> None:
    parser = make_parser(__doc__, threads=1)
    parser.add_argument("labels", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--presets", nargs="+", default=["nano", "small"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    set_up(arguments.threads)
    report("loader_share", [each for preset in arguments.presets for each in measure(preset, arguments)], arguments)


if __name__ == "__main__":
    main()
