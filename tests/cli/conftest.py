"""Tiny networks and images for the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pipeline(pose_network: Callable[..., Path], box_network: Callable[..., Path]) -> list[object]:
    """The options of a tiny pose network, and of a detector that finds one person in every image."""
    return ["--weights", pose_network(name="pose"), "--detector", f"onnx:{box_network([[5, 5, 50, 60]], [0.9])}"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of three grey images, one of them in a folder below."""
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "sub/a.png"):
        Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def working_folder(images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `images`, which is the current folder."""
    monkeypatch.chdir(images.parent)
    return images.parent


def list_files(folder: Path) -> list[str]:
    """Returns the files of a folder, those in folders below included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
