"""Recipes: TOML files that name everything a trained network depends on, so that one command trains it again."""

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
    """Distillation from a teacher: a network whose heatmaps are learnt in addition to the labels.

    Attributes:
        teacher: The teacher's file, relative to the data root.
        paddings: Sizes of the teacher's crops as factors of the box; the heatmaps of all crops are averaged.
    """

    teacher: str
    paddings: tuple[float, ...] = (1.25,)


@dataclass(frozen=True)
class Recipe(Strict):
    """A network, its training and its files. Paths of files are relative to a data root.

    Attributes:
        network: The network and its training, as in the `config.json` of the trained model.
        train: The data sets to train on, each as `rsgnet train --data` takes it.
        start: The file of the published network whose weights training starts from. If None, `network` says whether
            training starts from ImageNet weights.
        distillation: The teacher, or None.
        sources: Where each file or folder comes from, for the message about a missing one.
    """

    network: PoseConfig | DetectorConfig
    train: tuple[str, ...]
    start: str | None = None
    distillation: DistillationRecipe | None = None
    sources: dict[str, str] = field(default_factory=dict)

    def find(self, name: str, data_root: Path) -> Path:
        """Returns the path of a file or folder of the recipe below the data root.

        Raises:
            RSGNetError: It is missing. The message says where to get it.
        """
        path = data_root / name
        if not path.exists():
            source = self.sources.get(name)
            raise RSGNetError(f"{path} is missing" + (f"; get it from {source}" if source else ""))
        return path

    def find_data(self, data_root: Path) -> list[str]:
        """Returns the data sets of `train` with their paths below the data root, as `--data` takes them.

        Raises:
            RSGNetError: Labels or images are missing. The message says where to get them.
        """
        data = []
        for entry in self.train:
            names, comma, options = entry.partition(",")
            paths = [str(self.find(name, data_root)) for name in names.split(":")]
            data.append(":".join(paths) + comma + options)
        return data


def read_recipe(path: str | Path) -> Recipe:
    """Reads a recipe.

    Raises:
        RSGNetError: The file cannot be read, is not TOML, or has unknown keys or invalid values. The message names
            them.
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
    except ValidationError as error:
        raise RSGNetError(f"{path}: invalid table [network]: {validation_reasons(error)}") from error
    try:
        return TypeAdapter(Recipe).validate_python(content)
    except ValidationError as error:
        raise RSGNetError(f"{path}: not a recipe: {validation_reasons(error)}") from error
