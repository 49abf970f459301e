"""The presets: every pose network that the paper trains, and the small ones that this project ships.

A preset is a plain function that returns a config; `PRESETS` names them for the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from rsgnet.config import (
    AugmentConfig,
    CropConfig,
    DecodeConfig,
    DetectorConfig,
    LossConfig,
    ModelConfig,
    PoseConfig,
    TrainingConfig,
)
from rsgnet.errors import RSGNetError

System = Literal["hrnet", "trp", "rsgnet"]
DataSet = Literal["coco", "crowdpose"]


def paper(system: System, width: Literal[32, 48], size_wh: tuple[int, int], data: DataSet) -> PoseConfig:
    """A row of the paper's Tables 1-4.

    Args:
        system: "hrnet" (the baseline), "trp" (with the Target-aware Relation Parser) or "rsgnet" (with both modules).
        width: HRNet-W32 or HRNet-W48.
        size_wh: Width and height of the crop: (192, 256) or (288, 384).
        data: "coco" (17 keypoints, 210 epochs) or "crowdpose" (14 keypoints, 140 epochs).
    """
    epochs, milestones = (210, (170, 200)) if data == "coco" else (140, (100, 130))
    return PoseConfig(
        name=f"{system}-w{width}-{size_wh[1]}x{size_wh[0]}-{data}",
        crop=CropConfig(size_wh=size_wh),
        model=ModelConfig(
            backbone=f"hrnet_w{width}",
            skeleton="coco17" if data == "coco" else "crowdpose14",
            relation="none" if system == "hrnet" else "candidates",
            skeleton_graph=system == "rsgnet",
        ),
        training=TrainingConfig(
            epochs=epochs,
            milestones=milestones,
            loss=LossConfig(sigma=3.0 if size_wh == (288, 384) else 2.0),
        ),
    )


def nano() -> PoseConfig:
    """The shipped default: 1.3 M parameters, 128x96, COCO's keypoints with head and neck; made for CPUs."""
    return PoseConfig(
        name="nano",
        crop=CropConfig(size_wh=(96, 128), pixel_centre=0.5),
        model=ModelConfig(backbone="hrnet_w18_small", skeleton="people19", clue_width=32),
        decode=DecodeConfig(refinement="taylor"),
        training=TrainingConfig(
            epochs=46,
            epoch_samples=9600,
            batch_size=32,
            optimizer="adamw",
            learning_rate=2.5e-3,
            weight_decay=0.01,
            schedule="cosine",
            warmup_steps=300,
            ema_decay=0.999,
            precision="bf16-mixed",
            max_people=6,
            min_keypoints=3,
            pretrained=False,
            # The relation's and limbs' errors are some hundred times the heatmaps'; here they stay the smaller part.
            loss=LossConfig(sigma=1.5, relation=0.005, limbs=0.01, peak_emphasis=5.0),
            augment=AugmentConfig(rotation_deg=25.0, scale=0.3, shift=0.04, half_body=0.15, colour=0.3),
        ),
    )


def detector_nano() -> DetectorConfig:
    """The shipped person detector: nano's backbone on 320x320."""
    return DetectorConfig(
        name="detector-nano",
        box_threshold=0.25,  # where precision and recall of the shipped weights balance best
        training=TrainingConfig(
            epochs=40,
            batch_size=16,
            optimizer="adamw",
            learning_rate=2e-3,
            weight_decay=0.01,
            schedule="cosine",
            warmup_steps=200,
            ema_decay=0.998,
            precision="bf16-mixed",
            pretrained=False,
            augment=AugmentConfig(rotation_deg=0.0, scale=0.5, flip=0.5, half_body=0.0, colour=0.3),
        ),
    )


_SYSTEMS: tuple[System, ...] = ("hrnet", "trp", "rsgnet")
_DATA: tuple[DataSet, ...] = ("coco", "crowdpose")
_ROWS = [
    partial(paper, system, width, size_wh, data)
    for system in _SYSTEMS
    for width in (32, 48)
    for size_wh in ((192, 256), (288, 384))
    for data in _DATA
]

PRESETS: dict[str, Callable[[], PoseConfig | DetectorConfig]] = {
    "nano": nano,
    "detector-nano": detector_nano,
    **{row().name: row for row in _ROWS},
}


def preset_named(name: str) -> PoseConfig | DetectorConfig:
    """The config of that preset.

    Raises:
        RSGNetError: There is no preset of that name.
    """
    if name not in PRESETS:
        raise RSGNetError(f"no preset is named {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]()
