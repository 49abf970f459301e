"""Presets: the configs of the networks that the paper trains, and of those that ship with this package.

A preset is a function that returns a config; `PRESETS` has them by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from rsgnet.config import (
    CandidateRelationConfig,
    CropConfig,
    DecodeConfig,
    DenseRelationConfig,
    DetectorConfig,
    FasterRCNNConfig,
    ModelConfig,
    NeckConfig,
    NetworkConfig,
    PoseConfig,
    RelationConfig,
)
from rsgnet.config_files import CONFIG_FILE, SHIPPED, parse_network_config
from rsgnet.errors import RSGNetError
from rsgnet.training_config import AugmentConfig, LossConfig, TrainingConfig

System = Literal["hrnet", "trp", "rsgnet", "dense", "paper"]
DataSet = Literal["coco", "crowdpose"]
_PLACES_PER_KEYPOINT = 32  # of those above the threshold: about what a Gaussian of sigma 2 or two of them cover
_RELATIONS: dict[System, RelationConfig | None] = {
    "hrnet": None,
    "trp": CandidateRelationConfig(),
    "rsgnet": CandidateRelationConfig(),
    "dense": DenseRelationConfig(),
    "paper": CandidateRelationConfig(selection="places", peaks_per_keypoint=_PLACES_PER_KEYPOINT),
}
_SKELETONS: dict[DataSet, str] = {"coco": "coco17", "crowdpose": "crowdpose14"}


def paper(system: System, width: Literal[32, 48], size_wh: tuple[int, int], data: DataSet) -> PoseConfig:
    """Returns the config of a row of the paper's Tables 1 to 4.

    Args:
        system: "hrnet" (the baseline), "trp" (with this project's Target-aware Relation Parser: peaks, whose E_t joins
            the features), "rsgnet" (with the Skeleton Graph Machine, too), "paper" (both modules as the paper prints
            them: candidates are all places above the threshold, heatmaps and limbs are read from E_t alone, and d is
            the width of the features), or "dense" (both as the authors released them, heatmaps at stride 2, released
            labels and loss weights).
        width: HRNet-W32 or HRNet-W48.
        size_wh: Width and height of the crop: (192, 256) or (288, 384).
        data: "coco" (17 keypoints, 210 epochs) or "crowdpose" (14 keypoints, 140 epochs).
    """
    epochs, milestones = (210, (170, 200)) if data == "coco" else (140, (100, 130))
    loss = LossConfig(sigma=_sigma(size_wh))
    if system == "dense":
        # Other people's peaks are 0.5 high on COCO, too, where the released code leaves them out by mistake.
        sigma = _sigma(size_wh) + (1.0 if data == "coco" else 0.0)
        loss = LossConfig(relation=0.001, sigma=sigma, heatmap_scale=0.5, other_people_peak=0.5, labels="released")
    relation = _RELATIONS[system]
    if system == "paper":
        assert isinstance(relation, CandidateRelationConfig)
        relation = replace(relation, clue_dim=width)
    return PoseConfig(
        name=f"{system}-w{width}-{_name_suffix(size_wh, data)}",
        crop=CropConfig(size_wh=size_wh, stride=2 if system == "dense" else 4),
        model=ModelConfig(
            backbone=f"hrnet_w{width}",
            skeleton=_SKELETONS[data],
            relation=relation,
            skeleton_graph=system in ("rsgnet", "dense", "paper"),
            fusion="none" if system == "paper" else "convolution",
        ),
        training=TrainingConfig(epochs=epochs, milestones=milestones, loss=loss),
    )


def simple_baseline(depth: Literal[50, 101, 152], size_wh: tuple[int, int], data: DataSet) -> PoseConfig:
    """Returns the config of a SimpleBaseline row of Tables 1 to 3: a ResNet and three transposed convolutions.

    It is trained as in SimpleBaseline's own paper.

    Args:
        depth: ResNet-50, 101 or 152.
        size_wh: Width and height of the crop: (192, 256) or (288, 384).
        data: "coco" (17 keypoints) or "crowdpose" (14 keypoints).
    """
    return PoseConfig(
        name=f"simplebaseline-r{depth}-{_name_suffix(size_wh, data)}",
        crop=CropConfig(size_wh=size_wh),
        model=ModelConfig(
            backbone=f"resnet{depth}",
            skeleton=_SKELETONS[data],
            relation=None,
            skeleton_graph=False,
            neck=NeckConfig(kind="deconvolutions"),
        ),
        training=TrainingConfig(
            epochs=140,
            milestones=(90, 120),
            loss=LossConfig(sigma=_sigma(size_wh)),
            augment=AugmentConfig(rotation_deg=40.0, scale=0.3, half_body=0.0),
        ),
    )


def _name_suffix(size_wh: tuple[int, int], data: DataSet) -> str:
    return f"{size_wh[1]}x{size_wh[0]}-{data}"


def _sigma(size_wh: tuple[int, int]) -> float:
    return 3.0 if size_wh == (288, 384) else 2.0


def nano() -> PoseConfig:
    """Returns the config of the smaller pose network that ships."""
    config = _shipped("nano")
    assert isinstance(config, PoseConfig)
    return config


def small() -> PoseConfig:
    """Returns the config of the larger pose network that ships."""
    config = _shipped("small")
    assert isinstance(config, PoseConfig)
    return config


def rsgnet_light() -> PoseConfig:
    """A light network with both modules of the paper, for experiments on CPUs: crops of 128x96, 1.1 M parameters.

    Its backbone starts from ImageNet weights: `--set training.pretrained=true` where there is a network, else
    `--backbone-from` a directory that `examples/imagenet_backbone.py` writes.
    """
    return PoseConfig(
        name="rsgnet-light",
        crop=CropConfig(size_wh=(96, 128), pixel_centre=0.5, padding=1.05),
        model=ModelConfig(
            backbone="efficientnet_lite0",
            neck=NeckConfig("pyramid", width=64, residuals=1, deepest_stride=16),
            skeleton="people19",
            # The modules read the features of the target heatmaps without changing them, so that they cost no accuracy.
            relation=CandidateRelationConfig(clue_dim=32, gradient_to_features=False),
            fusion="residual",
        ),
        decode=DecodeConfig(refinement="expected_oks"),
        training=TrainingConfig(
            epochs=40,
            epoch_samples=9600,
            batch_size=32,
            optimizer="adamw",
            learning_rate=1.2e-2,
            weight_decay=0.01,
            schedule="cosine",
            warmup_steps=300,
            ema_decay=0.999,
            max_people=6,
            min_keypoints=3,
            pretrained=False,
            # The errors of relation and limbs are some hundred times those of heatmaps; these weights balance them.
            loss=LossConfig(
                sigma=1.5,
                relation=0.05,
                relation_error="cross_entropy",  # the squared error hardly trains it (docs/log.md)
                limbs=0.01,
                peak_emphasis=5.0,
                location=0.03,
            ),
            augment=AugmentConfig(rotation_deg=10.0, scale=0.15, shift=0.02, half_body=0.05, colour=0.2),
        ),
    )


def detector_nano() -> DetectorConfig:
    """Returns the config of the person detector that ships."""
    config = _shipped("detector-nano")
    assert isinstance(config, DetectorConfig)
    return config


def _shipped(name: str) -> NetworkConfig:
    """Reads the config of a network that ships, as it was trained; `recipes/` also names its data."""
    path = SHIPPED / name / CONFIG_FILE
    return parse_network_config(path.read_text(encoding="utf-8"), str(path))


def faster_rcnn_r101() -> FasterRCNNConfig:
    """Returns the config of the paper's person detector, Faster R-CNN on ResNet-101 with a feature pyramid.

    It is trained for the usual 12 epochs. The learning rate is for 16 images in a step of all processes together; for
    other numbers scale it in proportion.
    """
    return FasterRCNNConfig(
        name="faster-rcnn-r101",
        training=TrainingConfig(
            epochs=12,
            milestones=(8, 11),
            batch_size=16,
            optimizer="sgd",
            learning_rate=0.02,
            weight_decay=1e-4,
            warmup_steps=500,
            augment=AugmentConfig(rotation_deg=0.0, scale=0.0, half_body=0.0),
        ),
    )


_SIZES = ((192, 256), (288, 384))
_ROWS = [
    *(
        partial(paper, system, width, size_wh, data)
        for system in _RELATIONS
        for width in (32, 48)
        for size_wh in _SIZES
        for data in _SKELETONS
    ),
    *(
        partial(simple_baseline, depth, size_wh, data)
        for depth in (50, 101, 152)
        for size_wh in _SIZES
        for data in _SKELETONS
    ),
]

PRESETS: dict[str, Callable[[], NetworkConfig]] = {
    "nano": nano,
    "small": small,
    "detector-nano": detector_nano,
    "faster-rcnn-r101": faster_rcnn_r101,
    "rsgnet-light": rsgnet_light,
    **{row().name: row for row in _ROWS},
}


def preset_named(name: str) -> NetworkConfig:
    """Returns the config of a preset.

    Raises:
        RSGNetError: There is no preset of that name.
    """
    if name not in PRESETS:
        raise RSGNetError(f"no preset is named {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]()
