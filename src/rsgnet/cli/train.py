"""`rsgnet train`: trains pose networks and person detectors on labelled images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from rsgnet.config import NetworkConfig


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
            help="Also learn the heatmaps of this network: pose weights as for predict, such as onnx:vitpose-b.onnx. "
            "Set their weight in the loss with --set training.loss.distillation=1.",
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
      rsgnet train recipes/detector.toml --data-root data --out runs/boxes
      rsgnet train nano --teacher small --set training.loss.distillation=1 --data coco.json --out out
      rsgnet train detector-nano --data coco.json:images --out runs/boxes
      rsgnet train faster-rcnn-r101 --set shorter_side_px=640,720,800 --data coco.json --out runs/r101
      torchrun --nnodes 2 --nproc-per-node 8 -m rsgnet train small --data coco.json --out runs/small

    A killed run continues with --resume and ends with the same weights. Its settings need not be repeated; only
    training.epochs may differ. Runs that torchrun --max-restarts restarts continue by themselves; PyTorch 2.14 needs
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for it, else the processes wait
    forever. To measure a detector's boxes, and poses in them: rsgnet evaluate --detector runs/boxes/model
    """
    with requires_extra("rsgnet train", "train"):
        from rsgnet.checkpoint import read_config
        from rsgnet.data.teacher import Teacher
        from rsgnet.training import run
        from rsgnet.training.checkpoints import has_checkpoint
    from rsgnet.config import FasterRCNNConfig
    from rsgnet.config_files import with_settings
    from rsgnet.inference.teacher import open_teacher

    starts = {"--start-from": start_from, "--backbone-from": backbone_from, "--fitting-from": fitting_from}
    if network.endswith(".toml"):
        replaced = {"--data": data, **starts, "--from-scratch": from_scratch, "--teacher": teacher}
        plan = _plan_from_recipe(Path(network), data_root, {**replaced, "--teacher-padding": teacher_padding})
        backbone_from = plan.backbone_from
    else:
        if data_root:
            raise RSGNetError("--data-root is for recipes; name what to train on: --data LABELS:IMAGES_DIR")
        has_start = from_scratch or any(starts.values())
        plan = _plan_from_preset(network, data or [], has_start, teacher, tuple(teacher_padding or (1.25,)))
        fitting_from = fitting_from or plan.fitting_from
    teacher_network = None
    if plan.teacher:
        open_teacher(plan.teacher)  # to report errors before anything else is opened
        teacher_network = Teacher(plan.teacher, partial(open_teacher, plan.teacher), plan.teacher_paddings)
    if resume and has_checkpoint(out):
        own = read_config(out)
        if own.name != plan.config.name:
            raise RSGNetError(f"{out}: holds a run of {own.name}, not of {plan.config.name}: choose another --out")
        config = with_settings(own, settings or [])
        run.require_own_config(config, out, f"--set {' '.join(settings or [])}")
    else:
        config = with_settings(plan.config, settings or [])
    model = run.train(
        config,
        plan.data,
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


@dataclass(frozen=True)
class _Plan:
    """What a preset or a recipe says about a training run.

    Attributes:
        config: The network and its training, before `--set` changes it.
        data: The data sets to train on, each as `--data` takes it.
        backbone_from: The published network's file that the run starts from.
        fitting_from: The model directory whose fitting weights the run starts from.
        teacher: The weights of the network whose heatmaps are learnt, as `--teacher` takes them.
        teacher_paddings: Paddings of the teacher's crops, as factors of the box.
    """

    config: NetworkConfig
    data: list[str]
    backbone_from: Path | None = None
    fitting_from: Path | None = None
    teacher: str | None = None
    teacher_paddings: tuple[float, ...] = ()


def _plan_from_recipe(path: Path, data_root: Path | None, replaced: Mapping[str, object]) -> _Plan:
    """Reads a recipe and finds its files.

    Args:
        path: The recipe.
        data_root: The folder that the recipe's files lie in.
        replaced: The values, by option, of the options that a recipe replaces.

    Raises:
        RSGNetError: An option of `replaced` is set, `data_root` is None, a file is missing, or the recipe is invalid.
    """
    from rsgnet.inference.weights import name_file
    from rsgnet.training.recipe import read_recipe

    if excess := [option for option, value in replaced.items() if value]:
        raise RSGNetError(f"{path} is a recipe and already sets this: leave out {' and '.join(excess)}")
    if data_root is None:
        raise RSGNetError(f"{path} is a recipe: name the folder of its data, --data-root DIR")
    recipe = read_recipe(path)
    teacher = recipe.distillation
    return _Plan(
        recipe.network,
        recipe.find_data(data_root),
        backbone_from=recipe.find(recipe.start, data_root) if recipe.start else None,
        teacher=name_file(recipe.find(teacher.teacher, data_root)) if teacher else None,
        teacher_paddings=teacher.paddings if teacher else (),
    )


def _plan_from_preset(
    name: str, data: list[str], has_start: bool, teacher: str | None, teacher_paddings: tuple[float, ...]
) -> _Plan:
    """Returns the plan of a preset; a network that ships starts from its shipped weights unless `has_start`.

    Raises:
        RSGNetError: There is no preset of that name, or there is no data.
    """
    from rsgnet.config_files import SHIPPED
    from rsgnet.presets import preset_named

    config = preset_named(name)
    if not data:
        raise RSGNetError("nothing to train on: name it, --data LABELS:IMAGES_DIR")
    shipped = SHIPPED / name
    fitting_from = shipped if shipped.is_dir() and not has_start else None
    return _Plan(config, data, None, fitting_from, teacher, teacher_paddings)
