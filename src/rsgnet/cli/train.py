"""`rsgnet train`: trains pose networks and person detectors on labelled images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from rsgnet.cli.options import (
    BackboneFrom,
    Devices,
    FittingFrom,
    Resume,
    RunFolder,
    Settings,
    StartFrom,
    TrainingData,
    ValidateEvery,
    Validation,
    Workers,
)
from rsgnet.errors import RSGNetError, requires_extra


def train(
    network: Annotated[
        str,
        Argument(
            help="Pose network: nano, small, or one of the paper's such as rsgnet-w32-256x192-coco. Person detector: "
            "detector-nano, or faster-rcnn-r101 (the paper's, PyTorch only). Or a recipe: a .toml file.",
            metavar="PRESET|RECIPE",
        ),
    ],
    *,
    data: TrainingData = None,
    data_root: Annotated[
        Path | None,
        Option(help="The folder of the files that a recipe names: labels, images, start, teacher.", metavar="DIR"),
    ] = None,
    out: RunFolder,
    settings: Settings = None,
    validate: Validation = None,
    resume: Resume = False,
    start_from: StartFrom = None,
    backbone_from: BackboneFrom = None,
    fitting_from: FittingFrom = None,
    from_scratch: Annotated[
        bool, Option("--from-scratch", help="Do not start nano, small or detector-nano from the shipped weights.")
    ] = False,
    workers: Workers = 1,
    devices: Devices = None,
    validate_every: ValidateEvery = 1,
    teacher: Annotated[
        str | None,
        Option(
            help="Also learn the heatmaps of this network: pose weights as for predict, or an .onnx or .xml file that "
            "outputs COCO-17 heatmaps. Set their weight in the loss with --set training.loss.distillation=1.",
            metavar="WEIGHTS",
        ),
    ] = None,
    teacher_padding: Annotated[
        list[float] | None, Option(help="Padding of the teacher's crops; repeatable; default: 1.25.", metavar="FACTOR")
    ] = None,
) -> None:
    """Train a pose network, or a person detector on everyone's boxes.

    Needs rsgnet\\[train]. Writes the model directory to [bold]DIR/model[/bold], with checkpoints and curves beside it.
    A detector ignores boxes of groups (iscrowd): they are neither people nor background. nano, small and detector-nano
    start from the shipped weights unless another start is named.

    [dim]Examples:[/dim]

      rsgnet train nano --data coco.json:images --out runs/nano
      rsgnet train nano --data coco.json,weight=2 --data lspet.json,partial --out runs/nano
      rsgnet train nano --set training.batch_size=64 --data coco.json --out runs/nano
      rsgnet train nano --fitting-from nano --set model.skeleton=mine.toml --data mine.json --out mine
      rsgnet train nano --data coco.json:images --out runs/nano --resume
      rsgnet train recipes/nano.toml --data-root data --out runs/nano
      rsgnet train nano --teacher small --set training.loss.distillation=1 --data coco.json --out out
      rsgnet train detector-nano --data coco.json:images --out runs/boxes
      rsgnet train faster-rcnn-r101 --set shorter_side_px=640,720,800 --data coco.json --out runs/r101
      torchrun --nnodes 2 --nproc-per-node 8 -m rsgnet train small --data coco.json --out runs/small

    A killed run continues with --resume and ends with the same weights. Its settings need not be repeated; only
    training.epochs may differ. Runs that torchrun --max-restarts restarts continue by themselves; PyTorch 2.14 needs
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for it, else the processes wait
    forever. To measure a detector's boxes, and poses in them: rsgnet evaluate --detector runs/boxes/model
    """
    from rsgnet.config import FasterRCNNConfig, NetworkConfig
    from rsgnet.config_files import SHIPPED, with_settings
    from rsgnet.inference.teacher import open_teacher
    from rsgnet.presets import preset_named

    with requires_extra("rsgnet train", "train"):
        from rsgnet.checkpoint import read_config
        from rsgnet.data.teacher import Teacher
        from rsgnet.training import run
        from rsgnet.training.checkpoints import has_checkpoint
        from rsgnet.training.recipe import read_recipe
    config: NetworkConfig
    if network.endswith(".toml"):
        given = {"--data": data, "--teacher": teacher, "--backbone-from": backbone_from}
        if excess := [option for option, value in given.items() if value]:
            raise RSGNetError(f"{network} is a recipe, which says what {' and '.join(excess)} would")
        if data_root is None:
            raise RSGNetError(f"{network} is a recipe: name the folder of its data, --data-root DIR")
        recipe = read_recipe(Path(network))
        config = recipe.network
        data = recipe.find_data(data_root)
        backbone_from = recipe.find(recipe.start, data_root) if recipe.start else None
        if recipe.distillation:
            teacher = str(recipe.find(recipe.distillation.teacher, data_root))
            teacher_padding = list(recipe.distillation.paddings)
    else:
        config = preset_named(network)
        if data_root:
            raise RSGNetError("--data-root is for recipes; name what to train on: --data LABELS:IMAGES_DIR")
        is_shipped = (SHIPPED / network).is_dir()
        if is_shipped and not (from_scratch or start_from or backbone_from or fitting_from):
            fitting_from = SHIPPED / network
    if not data:
        raise RSGNetError("nothing to train on: name it, --data LABELS:IMAGES_DIR")
    teacher_network = None
    if teacher:
        open_teacher(teacher)  # to report errors before anything else is opened
        teacher_network = Teacher(teacher, partial(open_teacher, teacher), tuple(teacher_padding or (1.25,)))
    if resume and has_checkpoint(out):
        own = read_config(out)
        if own.name != config.name:
            raise RSGNetError(f"{out}: holds a run of {own.name}, not of {config.name}: choose another --out")
        config = with_settings(own, settings or [])
        run.require_own_config(config, out, f"--set {' '.join(settings or [])}")
    else:
        config = with_settings(config, settings or [])
    model = run.train(
        config,
        data,
        out,
        validation=validate,
        resume=resume,
        start_from=start_from,
        backbone_from=backbone_from,
        fitting_from=fitting_from,
        workers=workers,
        devices=devices,
        validate_every=validate_every,
        teacher=teacher_network,
    )
    is_pytorch_only = isinstance(config, FasterRCNNConfig)
    command = f"predict PHOTOS --out out --detector {model}" if is_pytorch_only else f"export {model}"
    typer.echo(f"{model}\nTry next: rsgnet {command}")
