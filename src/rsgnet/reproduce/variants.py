"""The variants of an ablation: a preset with and without the paper's modules, and a control of the same cost."""

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
        name: Its name in `--variants`.
        title: A description.
        settings: Its changes to the preset.
    """

    name: str
    title: str
    settings: tuple[str, ...]


def _variant(name: str, title: str, relation: str, skeleton_graph: bool, *more: str) -> Variant:
    return Variant(name, title, (f"model.relation={relation}", f"model.skeleton_graph={skeleton_graph}", *more))


PLAIN = _variant("plain", "target heatmaps alone (the paper's HRNet)", "none", False)
VARIANTS = {
    variant.name: variant
    for variant in (
        PLAIN,
        # Nearly all that the relation adds to the cost is the convolution of twice the width that fuses it with the
        # features. Two convolutions of the width have the same cost, without any relation.
        _variant("plain+conv", "plain, with convolutions that cost what fusing costs", "convolutions", False),
        _variant("sgm", "plain, with the Skeleton Graph Machine", "none", True),
        _variant("trp", "with the Target-aware Relation Parser", "candidates", False),
        _variant("trp+sgm", "with both modules (RSGNet)", "candidates", True),
        _variant(
            "paper",
            "with both modules as printed: all places above the threshold, heatmaps and limbs from E_t alone",
            "candidates",
            True,
            "model.relation.selection=places",
            "model.relation.peaks_per_keypoint=32",
            "model.fusion=none",
        ),
        _variant("dense", "with both modules as released, all pixels related", "dense", True),
    )
}


def variants_named(text: str) -> tuple[Variant, ...]:
    """Returns the variants of a list such as `plain,trp`, always with `plain`, to which the others are compared.

    Raises:
        RSGNetError: There is no variant of that name.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in VARIANTS:
            raise RSGNetError(f"--variants: no variant is named {name!r}; there are {', '.join(VARIANTS)}")
    return tuple(variant for variant in VARIANTS.values() if variant.name in names or variant == PLAIN)


def variant_config(preset: str, settings: Sequence[str]) -> PoseConfig:
    """Returns the configuration of a pose preset with changes.

    Raises:
        RSGNetError: There is no such preset, it is a detector's, or a setting does not fit.
    """
    config = with_settings(preset_named(preset), settings)
    if not isinstance(config, PoseConfig):
        raise RSGNetError(f"{preset}: a detector has no relation to ablate; name the preset of a pose network")
    return config
