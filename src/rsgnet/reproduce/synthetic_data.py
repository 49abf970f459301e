"""Small synthetic data sets and settings with which ablations and the paper's tables run end to end in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rsgnet.annotations.completion import CompletionThresholds, complete_annotations
from rsgnet.crowds.data_sets import save_scene, write_crowds
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.files import write_text
from rsgnet.reproduce.tables import DataSetName
from rsgnet.skeletons import COCO17, CROWDPOSE14

_SIZE_WH, _PEOPLE, _IMAGES = (160, 120), 3, 2


def write_data_sets(root: Path) -> dict[DataSetName, str]:
    """Writes small versions of CrowdPose and COCO, with the files and folders of the published data sets.

    Returns:
        The file of boxes for COCO's test-dev, which has no labels.
    """
    crowdpose, coco = root / "crowdpose", root / "coco"
    for seed, split in enumerate(("trainval", "test")):
        labels = _crowd(crowdpose / "images", split, seed)  # head and neck are not in COCO and stay unlabelled
        write_text(
            crowdpose / "json" / f"crowdpose_{split}.json",
            json.dumps(complete_annotations(labels, COCO17, [], CompletionThresholds(), CROWDPOSE14)),
        )
    for seed, split in enumerate(("train2017", "val2017"), 2):
        labels = _crowd(coco / split, split, seed)
        write_text(coco / "annotations" / f"person_keypoints_{split}.json", json.dumps(labels))
    labels = _crowd(coco / "test2017", "test", 4)
    write_text(coco / "annotations" / "image_info_test-dev2017.json", json.dumps({**labels, "annotations": []}))
    boxes = root / "test-dev-boxes.json"
    keys = ("image_id", "category_id", "bbox")
    write_text(boxes, json.dumps([{key: each[key] for key in keys} | {"score": 1.0} for each in labels["annotations"]]))
    return {"coco:test-dev2017": str(boxes)}


def write_crowd_sets(root: Path) -> dict[str, str]:
    """Writes simulated crowds for an ablation: "train", "val" and one data set for each crowd level.

    Returns:
        `LABELS:IMAGES` by name, as the command line takes it.
    """
    sets = {"train": (0.0, 1.0), "val": (0.0, 0.5), "easy": (0.0, 0.2), "medium": (0.2, 0.8), "hard": (0.8, 1.2)}
    return {
        name: f"{write_crowds(root / name, _IMAGES, seed, level, _SIZE_WH)}:{root / name / 'images'}"
        for seed, (name, level) in enumerate(sets.items())
    }


def tiny_settings(preset: str) -> list[str]:
    """Returns settings with which a preset trains in seconds; its modules are kept."""
    backbone = "resnet18" if preset.startswith("simplebaseline") else "hrnet_w18_small"
    return [
        *([] if preset == "rsgnet-light" else [f"model.backbone={backbone}"]),  # its backbone is small
        "crop.size_wh=64,64", "training.pretrained=false", "training.epochs=1",
        "training.batch_size=2", "training.epoch_samples=4",
    ]  # fmt: skip


def _crowd(images: Path, split: str, seed: int) -> dict[str, Any]:
    merged: dict[str, Any] = {"images": [], "annotations": []}
    for number in range(1, _IMAGES + 1):
        scene = simulate_crowd(100 * seed + number, _SIZE_WH, _PEOPLE)
        save_scene(scene, images, f"{split}-{number}.png", merged, number)
    return merged
