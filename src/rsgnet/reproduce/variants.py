"""The variants of an ablation: one preset with the paper's modules switched, and controls of the same cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsgnet.config import PoseConfig
from rsgnet.config_files import with_settings
from rsgnet.errors import RSGNetError
from rsgnet.presets import preset_named


@dataclass(frozen=True)
class Variant:
    """One network of an ablation.

    Attributes:
        name: As it is asked for.
        title: What it is.
        settings: What it changes in the preset.
    """

    name: str
    title: str
    settings: tuple[str, ...]


def _variant(name: str, title: str, relation: str, skeleton_graph: bool, *more: str) -> Variant:
    return Variant(name, title, (f"model.relation={relation}", f"model.skeleton_graph={skeleton_graph}", *more))


PLAIN = _variant("plain", "target heatmaps alone (the paper's HRNet)", "none", False)
ARMS = {
    variant.name: variant
    for variant in (
        PLAIN,
        # What the relation adds to the cost is nearly all in the convolution that fuses it with the features, of twice
        # the width: two of the width have its parameters and multiply-adds, and learn from nothing but the target.
        _variant("plain+conv", "plain, with convolutions that cost what fusing costs", "convolutions", False),
        _variant("sgm", "plain, with the Skeleton Graph Machine", "none", True),
        _variant("trp", "with the Target-aware Relation Parser", "candidates", False),
        _variant("trp+sgm", "with both modules (RSGNet)", "candidates", True),
        _variant("dense", "with both modules as released, all pixels related", "dense", True),
    )
}  # fmt: skip
PAPERS_ARMS = ("plain", "trp", "trp+sgm", "dense")


def variants_named(text: str) -> tuple[Variant, ...]:
    """The variants of a list such as `plain,trp`; `plain`, which the others are held against, is always among them.

    Raises:
        RSGNetError: There is no variant of that name.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in ARMS:
            raise RSGNetError(f"--variants: no variant is named {name!r}; there are {', '.join(ARMS)}")
    return tuple(variant for variant in ARMS.values() if variant.name in names or variant == PLAIN)


def variant_config(preset: str, settings: Sequence[str]) -> PoseConfig:
    """The preset of a pose network with settings.

    Raises:
        RSGNetError: There is no such preset, it is a detector's, or a setting does not fit.
    """
    config = with_settings(preset_named(preset), settings)
    if not isinstance(config, PoseConfig):
        raise RSGNetError(f"{preset}: a detector has no relation to ablate; name the preset of a pose network")
    return config
