"""Command-line options that several commands share, and the parsers of their values."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from rsgnet.errors import RSGNetError
from rsgnet.files import check_folder


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


def parse_out_folder(text: str) -> Path:
    """Returns the path of an output folder, which may be missing.

    Raises:
        OSError: It cannot be created or written to; found here, before any work is done for it.
    """
    check_folder(Path(text))
    return Path(text)


def parse_out_store(text: str) -> str:
    """Returns an output folder in any store; raises OSError as `parse_out_folder` does where it is local."""
    path = text.removeprefix("file://")
    if "://" not in path:
        check_folder(Path(path))
    return text


def parse_out_file(text: str) -> Path:
    """Returns the path of an output file; raises OSError as `parse_out_folder` does for its folder."""
    check_folder(Path(text).parent)
    if Path(text).is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), text)
    return Path(text)


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


def name_network(weights: str, network: str | None) -> str:
    """Returns weights together with the description of --network, as `rsgnet.inference` takes both.

    Raises:
        RSGNetError: The weights need no description.
    """
    from rsgnet.inference.weights import parse_named_file

    if network is None:
        return weights
    if parse_named_file(weights) is None:
        raise RSGNetError(f"--network {network} describes a file, --weights onnx:FILE or openvino:FILE, not {weights}")
    return f"{weights}@{network}"


def name_layout(detector: str, layout: str | None) -> str:
    """Returns a detector together with the layout of --detector-layout, as `open_detector` takes both.

    Raises:
        RSGNetError: The detector is no ONNX file.
    """
    if layout is None:
        return detector
    if not detector.startswith("onnx:"):
        raise RSGNetError(f"--detector-layout {layout} describes a file, --detector onnx:PATH, not {detector}")
    return f"{detector}@{layout}"


# Options of commands that predict.
Weights = Annotated[
    str,
    Option(
        help="Pose network: a shipped name (small, or nano, which is faster), a model directory, an .onnx file "
        "(with --backend openvino also an .xml file), or hub:USER/MODEL; or a published network, onnx:FILE or "
        "openvino:FILE.",
        metavar="WEIGHTS",
    ),
]
Network = Annotated[
    str | None,
    Option(
        help="What a published network is: vitpose, rtmpose, tinypose, hrnet-mmpose or a .toml file; default: the "
        ".toml file beside it, else by its file's name.",
        metavar="NETWORK",
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
DetectorLayout = Annotated[
    str | None,
    Option(
        help="What an ONNX detector is: yolox, yolox-end2end, rtmdet, picodet, d-fine or rf-detr; default: as its "
        "outputs and layers say.",
        metavar="LAYOUT",
    ),
]
BoxThreshold = Annotated[
    float | None, Option(help="Ignore people whom the detector scores lower; default: the detector's.", metavar="SCORE")
]
SkeletonName = Annotated[
    str | None,
    Option(
        help="coco17, crowdpose14, people19, halpe26, mpii16, aic14 or wholebody133; default: coco17 if the weights "
        "have it.",
        metavar="NAME",
    ),
]
ModelDirectory = Annotated[
    Path,
    Argument(help="Name of shipped weights, or a model directory.", metavar="MODEL", parser=parse_model_directory),
]
Out = Annotated[Path, Option(help="Output folder; created if missing.", metavar="DIR", parser=parse_out_folder)]
Flip = Annotated[
    bool | None, Option("--flip/--no-flip", help="Average with the mirrored crop; default: as the weights specify.")
]
Backend = Annotated[
    str,
    Option(
        help="auto (the fastest of those installed: rsgnet info --machine), onnx (ONNX Runtime), torch (PyTorch) or "
        "openvino.",
        metavar="BACKEND",
    ),
]
Precision = Annotated[
    str,
    Option(
        help="Precision of the pose network: auto, float32, bf16 (torch, openvino) or int8 (openvino, if exported).",
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
RunFolder = Annotated[
    Path,
    Option(help="Output folder for checkpoints, curves and the model.", metavar="DIR", parser=parse_out_folder),
]
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
