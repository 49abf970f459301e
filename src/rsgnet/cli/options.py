"""Command-line options that several commands share, and the parsers of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from rsgnet.errors import RSGNetError


def parse_model_directory(text: str) -> Path:
    """Returns the model directory that a value names: a path, or the name of shipped weights such as `nano`.

    An existing file or folder of that name comes before shipped weights. A path need not exist; whoever reads it
    reports that.
    """
    from rsgnet.config_files import CONFIG_FILE, SHIPPED

    path = Path(text)
    is_name = path.parts == (text,) and text not in (".", "..")
    shipped = SHIPPED / text
    return shipped if is_name and not path.exists() and (shipped / CONFIG_FILE).is_file() else path


def parse_size(option: str, text: str, expected: str) -> tuple[int, int]:
    """Returns the two numbers of a size such as 640x480.

    Args:
        option: The name of the option, for the message.
        text: The value.
        expected: What the option expects, for the message.

    Raises:
        RSGNetError: The value is not two positive numbers with an x between them.
    """
    first, _, second = text.partition("x")
    if not (first.isdecimal() and second.isdecimal() and int(first) and int(second)):
        raise RSGNetError(f"{option} {text}: expected {expected}")
    return int(first), int(second)


# Options of commands that predict.
Weights = Annotated[
    str,
    Option(
        help="Pose network: a shipped name (nano, small), a model directory, an .onnx file (with --backend openvino "
        "also an .xml file), or hub:USER/MODEL.",
        metavar="WEIGHTS",
    ),
]
Detector = Annotated[
    str,
    Option(
        help="Person detector: nano, a detector's model directory, onnx:PATH, torchvision, boxes:PATH (boxes from a "
        "COCO JSON file) or full (each image shows one person).",
        metavar="DETECTOR",
    ),
]
BoxThreshold = Annotated[
    float | None, Option(help="Ignore people whom the detector scores lower; default: the detector's.", metavar="SCORE")
]
SkeletonName = Annotated[
    str | None, Option(help="coco17, crowdpose14 or people19; default: coco17 if the weights have it.", metavar="NAME")
]
ModelDirectory = Annotated[
    Path,
    Argument(help="Name of shipped weights, or a model directory.", metavar="MODEL", parser=parse_model_directory),
]
Out = Annotated[Path, Option(help="Output folder; created if missing.", metavar="DIR")]
Flip = Annotated[
    bool | None, Option("--flip/--no-flip", help="Average with the mirrored crop; default: as the weights specify.")
]
Backend = Annotated[str, Option(help="onnx (ONNX Runtime), torch (PyTorch) or openvino.", metavar="BACKEND")]
Precision = Annotated[
    str,
    Option(
        help="Precision of the pose network: float32, bf16 (torch, openvino) or int8 (openvino, if exported).",
        metavar="PRECISION",
    ),
]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1, or mps (with --backend torch).", metavar="DEVICE")]
BatchSize = Annotated[int, Option(min=1, help="Crops per run of the network.", metavar="COUNT")]
MaxPixels = Annotated[int, Option(min=1, help="Refuse images with more pixels.", metavar="PIXELS")]

# Options of commands that train.
TrainingData = Annotated[
    list[str] | None,
    Option(
        help="Labelled images; repeatable. Images are drawn in proportion to `weight`; `partial` says that not "
        "everyone in them is labelled.",
        metavar="LABELS[:IMAGES_DIR][,weight=W][,partial]",
    ),
]
RunFolder = Annotated[Path, Option(help="Output folder for checkpoints, curves and the model.", metavar="DIR")]
Settings = Annotated[
    list[str] | None, Option("--set", help="Change a setting of the preset; repeatable.", metavar="KEY=VALUE")
]
Validation = Annotated[str | None, Option(help="Labelled images to validate on.", metavar="LABELS[:IMAGES_DIR]")]
Resume = Annotated[bool, Option("--resume", help="Continue from the last checkpoint in --out.")]
StartFrom = Annotated[
    Path | None,
    Option(
        help="Start from all weights of a shipped network or a model directory.",
        metavar="NAME|DIR",
        parser=parse_model_directory,
    ),
]
BackboneFrom = Annotated[
    Path | None,
    Option(
        help="Start from the backbone of a shipped network or a model directory; or from a published network's "
        "file, PP-TinyPose's as .safetensors or RTMDet's as .onnx.",
        metavar="NAME|DIR|FILE",
        parser=parse_model_directory,
    ),
]
FittingFrom = Annotated[
    Path | None,
    Option(
        help="Start from those weights of a shipped network or a model directory whose shapes fit, for example to "
        "train a larger network.",
        metavar="NAME|DIR",
        parser=parse_model_directory,
    ),
]
Workers = Annotated[int, Option(min=0, help="Processes that cut crops, per training process.", metavar="COUNT")]
Devices = Annotated[
    int | None, Option(min=1, help="GPUs, or processes on a machine without one; default: all GPUs.", metavar="COUNT")
]
ValidateEvery = Annotated[int, Option(min=1, help="Epochs between validations.", metavar="EPOCHS")]
