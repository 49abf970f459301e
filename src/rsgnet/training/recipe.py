"""Recipes: TOML files that hold everything a network is made from, so that one command makes it again."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from rsgnet.config import DetectorConfig, PoseConfig
from rsgnet.config_files import validation_reasons
from rsgnet.errors import RSGNetError
from rsgnet.files import read_bounded
from rsgnet.training_config import Strict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class DistillationRecipe(Strict):
    """The network whose heatmaps are learnt beside the labels.

    Attributes:
        teacher: Its file.
        paddings: By how much its crops grow beyond the box; the heatmaps of all are averaged.
    """

    teacher: str
    paddings: tuple[float, ...] = (1.25,)


@dataclass(frozen=True)
class Recipe(Strict):
    """Everything a network is made from. Files are named relative to a data root.

    Attributes:
        network: The network and its training, as the `config.json` of the trained model.
        train: Labels and image folders to train on, each as `rsgnet train --data` reads it.
        start: The file of the published network that training begins from; None for ImageNet weights or none.
        distillation: The teacher; None without one.
        sources: Where to get each file or folder, for the message about a missing one.
    """

    network: PoseConfig | DetectorConfig
    train: tuple[str, ...]
    start: str | None = None
    distillation: DistillationRecipe | None = None
    sources: dict[str, str] = field(default_factory=dict)

    def find(self, name: str, data_root: Path) -> Path:
        """Returns the path of a file or folder of the recipe.

        Raises:
            RSGNetError: It is missing; the message says where to get it.
        """
        path = data_root / name
        if not path.exists():
            source = self.sources.get(name)
            raise RSGNetError(f"{path} is missing" + (f"; get it from {source}" if source else ""))
        return path

    def find_data(self, data_root: Path) -> list[str]:
        """Returns `train` with paths below the data root.

        Raises:
            RSGNetError: Labels or images are missing; the message says where to get them.
        """
        found = []
        for entry in self.train:
            places, comma, options = entry.partition(",")
            paths = [str(self.find(place, data_root)) for place in places.split(":")]
            found.append(":".join(paths) + comma + options)
        return found


def read_recipe(path: str | Path) -> Recipe:
    """Reads a recipe.

    Raises:
        RSGNetError: The file cannot be read, is not TOML, or has unknown keys or unfit values, which the message names.
    """
    path = Path(path)
    try:
        content = tomllib.loads(read_bounded(path).decode())
    except OSError as error:
        raise RSGNetError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RSGNetError(f"{path}: not a TOML file: {error}") from error
    network = content.get("network")
    if not isinstance(network, dict):
        raise RSGNetError(f"{path}: not a recipe: it has no table [network]")
    kind = PoseConfig if "crop" in network else DetectorConfig
    try:
        content["network"] = TypeAdapter(kind).validate_python(network)
        return TypeAdapter(Recipe).validate_python(content)
    except ValidationError as error:
        raise RSGNetError(f"{path}: not a recipe: {validation_reasons(error)}") from error
