"""The tables end to end on a few made-up images: tiny networks, one epoch, the published data sets' own layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from rsgnet.annotations.completion import Trust, complete
from rsgnet.crowds.data_sets import add_scene, write_crowds
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.files import replacing, write_text
from rsgnet.reproduce.tables import DataSetName
from rsgnet.skeletons import COCO17, CROWDPOSE14

_SIZE_WH, _PEOPLE, _IMAGES = (160, 120), 3, 2


def write_data_sets(root: Path) -> dict[DataSetName, str]:
    """Writes CrowdPose and COCO in small, laid out as they are published.

    Args:
        root: The folder to write into.

    Returns:
        For the set without labels, COCO's test-dev, the file of its boxes.
    """
    crowdpose, coco = root / "crowdpose", root / "coco"
    for seed, split in enumerate(("trainval", "test")):
        labels = _crowd(crowdpose / "images", split, seed)  # head and neck, which COCO has not, stay unlabelled
        write_text(
            crowdpose / "json" / f"crowdpose_{split}.json",
            json.dumps(complete(labels, COCO17, [], Trust(), CROWDPOSE14)),
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
    """Writes drawn crowds for an ablation: "train", "val", and one set for each level of crowding.

    Returns:
        By name `LABELS:IMAGES`, as the command line takes them.
    """
    sets = {"train": (0.0, 1.0), "val": (0.0, 0.5), "easy": (0.0, 0.2), "medium": (0.2, 0.8), "hard": (0.8, 1.2)}
    return {
        name: f"{write_crowds(root / name, _IMAGES, seed, level, _SIZE_WH)}:{root / name / 'images'}"
        for seed, (name, level) in enumerate(sets.items())
    }


def tiny_settings(preset: str) -> list[str]:
    """What makes a preset small enough to train in seconds; its modules stay."""
    backbone = "resnet18" if preset.startswith("simplebaseline") else "hrnet_w18_small"
    return [
        *([] if preset == "nano" else [f"model.backbone={backbone}"]),  # nano's is small
        "crop.size_wh=64,64", "training.pretrained=false", "training.epochs=1",
        "training.batch_size=2", "training.epoch_samples=4",
    ]  # fmt: skip


def _crowd(images: Path, split: str, seed: int) -> dict[str, Any]:
    merged: dict[str, Any] = {"images": [], "annotations": []}
    for number in range(1, _IMAGES + 1):
        scene = simulate_crowd(100 * seed + number, _SIZE_WH, _PEOPLE)
        name = f"{split}-{number}.png"
        with replacing(images / name) as beside:
            Image.fromarray(scene.image).save(beside)
        add_scene(merged, scene, number, name)
    return merged
