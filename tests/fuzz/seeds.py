"""The inputs that fuzzing starts with: small valid inputs of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.hostile.images import KINDS, image_file
from tests.hostile.labels import CSV, CVAT, SKELETON, YOLO, coco
from tests.hostile.models import safetensors
from tests.hostile.results import make_result

from rsgnet.config import DetectorConfig, FasterRCNNConfig, PoseConfig
from rsgnet.config_files import to_json


def truth_file(folder: Path) -> Path:
    """Writes the labels that results are compared with."""
    path = folder / "truth.json"
    if not path.exists():
        path.write_text(json.dumps(coco()))
    return path


def images() -> list[bytes]:
    return [image_file(name, np.random.default_rng(0), (8, 6)) for name in KINDS]


def labels() -> list[bytes]:
    """Returns one file of each format, in the order of the formats of `readers.labels`."""
    texts = (json.dumps(coco()).encode(), CVAT.encode(), CSV.encode(), YOLO["data.yaml"], SKELETON)
    return [bytes([index]) + text for index, text in enumerate(texts)]


def results() -> list[bytes]:
    line = {"file_name": "a.mp4", "frame": 0, "people": [{"track_id": 1, "bbox": [0, 0, 9, 9]}]}
    return [json.dumps([make_result()]).encode(), json.dumps(line).encode()]


def weights() -> list[bytes]:
    tensors = safetensors({"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}, bytes(24))
    configs = (PoseConfig("a"), DetectorConfig("a"), FasterRCNNConfig("a"))
    return [to_json(config).encode() + b"\0" + tensors for config in configs]


def uploads() -> list[bytes]:
    head = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    file = head % (b"images", b'; filename="a.png"', b"content")
    boxes = head % (b"boxes", b"", b"[[[1, 2, 3, 4]]]")
    forms = {b"boundary=x": file + boxes, b'boundary="x"; charset=latin-1': file * 3, b"boundary=x; charset=\1\0": file}
    return [kind + b"\n" + form + b"--x--\r\n" for kind, form in forms.items()]


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "image": images,
    "labels": labels,
    "results": results,
    "weights": weights,
    "upload": uploads,
}
