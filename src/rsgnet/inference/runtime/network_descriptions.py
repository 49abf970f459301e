"""What a published network's file does not say about itself: a TOML file beside it, or a named preset.

A file of this package carries its config. A network of another project is a graph alone: which keypoints it predicts,
how crops are cut and coloured, and how its outputs lie over the crop are written in its training code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from rsgnet.config import IMAGENET_MEAN, IMAGENET_STD, Alignment, Refinement
from rsgnet.config_files import validation_reasons
from rsgnet.errors import RSGNetError, WeightsError
from rsgnet.files import read_toml
from rsgnet.skeletons import SKELETONS, Skeleton, get_skeleton
from rsgnet.training_config import Strict

PRESET_KEY = "network"


@dataclass(frozen=True)
class NetworkDescription(Strict):
    """How a published pose network is run.

    Attributes:
        skeleton: The skeleton that it predicts, by name or as the path of a .toml file; None for the built-in one that
            has as many keypoints as the file, where there is only one.
        outputs: "heatmaps", or "simcc" for scores of columns and of rows; None for what the file shows.
        size_wh: Width and height of the crops; None for what the file shows.
        channels: The order of the colours that it takes.
        mean: Mean of each channel in the order R, G, B, values in 0..1.
        std: Standard deviation of each channel in the order R, G, B.
        padding: By how much boxes grow.
        alignment: How crops lie on the image and heatmaps on crops, as in `CropConfig`.
        refinement: How heatmaps are decoded below pixel precision, as in `DecodeConfig`; SimCC needs none.
        flip_test: Whether mirrored crops are used unless the user says otherwise.
        flip_shift: By how many pixels the heatmaps of mirrored crops are moved; None for what the alignment asks for.

    Raises:
        RSGNetError: A number lies outside its range.
    """

    skeleton: str | None = None
    outputs: Literal["heatmaps", "simcc"] | None = None
    size_wh: tuple[int, int] | None = None
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    padding: float = 1.25
    alignment: Alignment = "pixels"
    refinement: Refinement = "quarter"
    flip_test: bool = True
    flip_shift: Literal[0, 1] | None = None

    def __post_init__(self) -> None:
        if max(map(abs, self.mean)) > 1 or not all(0 < each <= 1 for each in self.std):
            raise RSGNetError(f"mean and std are of values in 0..1: divide {self.mean} and {self.std} by 255")
        if not 0.5 <= self.padding <= 3:
            raise RSGNetError(f"padding is a factor in 0.5..3, such as 1.25, not {self.padding}")


# Networks as their authors publish them. Their crops are 1.25 times the box, in ImageNet's colours.
PRESETS: dict[str, NetworkDescription] = {
    "vitpose": NetworkDescription(outputs="heatmaps", alignment="corners", refinement="udp"),
    "rtmpose": NetworkDescription(outputs="simcc", refinement="none"),
    "tinypose": NetworkDescription(outputs="heatmaps", alignment="crop_corners", refinement="taylor"),
    "hrnet-mmpose": NetworkDescription(outputs="heatmaps", refinement="quarter"),
}
# The first of these parts that a file's name has names its preset. Other forms of HRNet (UDP, DARK) need a word.
_NAME_PARTS = {
    "vitpose": "vitpose",
    "rtmpose": "rtmpose",
    "rtmw": "rtmpose",
    "dwpose": "rtmpose",
    "dw-ll": "rtmpose",
    "tinypose": "tinypose",
    "hrnet": "hrnet-mmpose",
}
_OTHER_FORMS = ("udp", "dark", "simcc")


def find_description(path: Path, network: str | None) -> NetworkDescription:
    """Finds the description of a network file.

    Args:
        path: The file.
        network: A preset's name or the path of a .toml file; None for the .toml file of the same name beside the
            network, or else for the preset that the file's name contains.

    Raises:
        WeightsError: There is none, or it is broken; the message says what to do.
    """
    if network is not None:
        return _read_named(network, f"{path}: --network {network}")
    beside = path.with_suffix(".toml")
    if beside.is_file():
        return _read_file(beside)
    name = path.stem.lower().replace("_", "-")
    preset = next((preset for part, preset in _NAME_PARTS.items() if part in name), None)
    if preset is None or (preset == "hrnet-mmpose" and any(form in name for form in _OTHER_FORMS)):
        raise WeightsError(
            f"{path}: carries no rsgnet config; say what it is: --network {' or '.join(PRESETS)}, or describe it in "
            f"{beside.name} beside it (docs/howto/published-networks.md)"
        )
    return PRESETS[preset]


def choose_skeleton(description: NetworkDescription, keypoints: int, path: Path) -> Skeleton:
    """Returns the skeleton of a network that predicts that many keypoints.

    Raises:
        WeightsError: It has another number of keypoints, or nothing says which skeleton it is.
    """
    if description.skeleton is not None:
        try:
            skeleton = get_skeleton(description.skeleton)
        except RSGNetError as error:
            raise WeightsError(f"{path}: its description: {error}") from error
        if len(skeleton) != keypoints:
            raise WeightsError(
                f"{path}: predicts {keypoints} keypoints, but its description says {skeleton.name}, which has "
                f"{len(skeleton)}"
            )
        return skeleton
    fitting = [skeleton for skeleton in SKELETONS.values() if len(skeleton) == keypoints]
    if len(fitting) != 1:
        names = " or ".join(f'"{skeleton.name}"' for skeleton in fitting) or '"mine.toml"'
        raise WeightsError(
            f"{path}: predicts {keypoints} keypoints; say which in {path.with_suffix('.toml').name} beside it: "
            f"skeleton = {names}"
        )
    return fitting[0]


def _read_named(network: str, origin: str) -> NetworkDescription:
    if network in PRESETS:
        return PRESETS[network]
    if network.lower().endswith(".toml"):
        return _read_file(Path(network))
    raise WeightsError(f"{origin}: expected {', '.join(PRESETS)} or a .toml file")


def _read_file(path: Path) -> NetworkDescription:
    try:
        table = read_toml(path)
        base = PRESETS.get(str(table.pop(PRESET_KEY))) if PRESET_KEY in table else NetworkDescription()
        if base is None:
            raise RSGNetError(f"{path}: {PRESET_KEY} must be one of {', '.join(PRESETS)}")
        description = _parse(table, base, path)
    except RSGNetError as error:
        raise WeightsError(error) from error
    skeleton = description.skeleton
    if skeleton is not None and skeleton.endswith(".toml"):
        return replace(description, skeleton=str(path.parent / skeleton))
    return description


def _parse(table: Mapping[str, Any], base: NetworkDescription, path: Path) -> NetworkDescription:
    try:
        given = TypeAdapter(NetworkDescription).validate_python(dict(table))
    except ValidationError as error:
        raise RSGNetError(f"{path}: not the description of a network: {validation_reasons(error)}") from error
    return replace(base, **{key: getattr(given, key) for key in table})
