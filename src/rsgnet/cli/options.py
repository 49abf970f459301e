"""Options that several commands share, and what they ask of the installation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from rsgnet.errors import needing

Weights = Annotated[
    str,
    typer.Option(
        help="A shipped name, a model directory, an .onnx (openvino: .xml) file, or hub:USER/MODEL.",
        metavar="NAME|PATH|HUB",
    ),
]
Out = Annotated[Path, typer.Option(help="Folder to write into; made if it is missing.", metavar="DIR")]
Flip = Annotated[
    bool | None, typer.Option("--flip/--no-flip", help="Average with the mirrored crop; default: as the weights say.")
]
Backend = Annotated[str, typer.Option(help="onnx (ONNX Runtime), torch (PyTorch) or openvino.")]
Precision = Annotated[
    str, typer.Option(help="Of the pose network: float32, bf16 (torch, openvino) or int8 (openvino, where exported).")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Crops in one run of the network.")]
MaxPixels = Annotated[int, typer.Option(min=1, help="Images with more pixels than this are refused.")]

# Of the commands that train.
TrainingData = Annotated[
    list[str],
    typer.Option(help="LABELS.json[:IMAGES_DIR][,weight=2][,partial]; repeatable.", metavar="DATA"),
]
RunFolder = Annotated[Path, typer.Option(help="Folder for checkpoints, curves and the model.", metavar="DIR")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change the preset; repeatable.", metavar="KEY=VALUE")
]
Validation = Annotated[str | None, typer.Option(help="What to validate on, as --data.", metavar="DATA")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")]
StartFrom = Annotated[Path | None, typer.Option(help="A model directory whose weights to start from.", metavar="DIR")]
BackboneFrom = Annotated[
    Path | None, typer.Option(help="A model directory whose backbone to start from.", metavar="DIR")
]
FittingFrom = Annotated[
    Path | None,
    typer.Option(help="A model directory of which to start from whatever fits: to grow a network.", metavar="DIR"),
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that cut crops, for each that trains.")]
Devices = Annotated[int | None, typer.Option(min=1, help="GPUs, or processes where there is none; default: all GPUs.")]
ValidateEvery = Annotated[int, typer.Option(min=1, help="Epochs between validations.")]


def needing_the_train_extra() -> AbstractContextManager[None]:
    """Names the extra to install where a library of training is missing."""
    return needing("this", "train")
