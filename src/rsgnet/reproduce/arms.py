"""The arms of an ablation: one preset with the paper's modules switched, and controls of the same cost without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsgnet.config import PoseConfig
from rsgnet.errors import RSGNetError
from rsgnet.presets import preset_named
from rsgnet.settings import with_settings


@dataclass(frozen=True)
class Arm:
    """One network of an ablation.

    Attributes:
        name: As it is asked for.
        title: What it is.
        settings: What it changes in the preset.
    """

    name: str
    title: str
    settings: tuple[str, ...]


def _arm(name: str, title: str, relation: str, skeleton_graph: bool, *more: str) -> Arm:
    return Arm(name, title, (f"model.relation={relation}", f"model.skeleton_graph={skeleton_graph}", *more))


PLAIN = _arm("plain", "target heatmaps alone (the paper's HRNet)", "none", False)
ARMS = {
    arm.name: arm
    for arm in (
        PLAIN,
        # What the relation adds to the cost is nearly all in the convolution that fuses it with the features, of twice
        # the width: two of the width have its parameters and multiply-adds, and learn from nothing but the target.
        _arm("plain+conv", "plain, with convolutions that cost what fusing costs", "none", False,
             "model.plain_convolutions=2"),
        _arm("sgm", "plain, with the Skeleton Graph Machine", "none", True),
        _arm("trp", "with the Target-aware Relation Parser", "candidates", False),
        _arm("trp+sgm", "with both modules (RSGNet)", "candidates", True),
        _arm("dense", "with both modules as released, all pixels related", "dense", True),
    )
}  # fmt: skip
PAPERS_ARMS = ("plain", "trp", "trp+sgm", "dense")


def arms_named(text: str) -> tuple[Arm, ...]:
    """The arms of a list such as `plain,trp`; `plain`, which the others are held against, is always among them.

    Raises:
        RSGNetError: There is no arm of that name.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in ARMS:
            raise RSGNetError(f"--arms: no arm is named {name!r}; there are {', '.join(ARMS)}")
    return tuple(arm for arm in ARMS.values() if arm.name in names or arm == PLAIN)


def arm_config(preset: str, settings: Sequence[str]) -> PoseConfig:
    """The preset of a pose network with settings.

    Raises:
        RSGNetError: There is no such preset, it is a detector's, or a setting does not fit.
    """
    config = with_settings(preset_named(preset), settings)
    if not isinstance(config, PoseConfig):
        raise RSGNetError(f"{preset}: a detector has no relation to ablate; name the preset of a pose network")
    return config
