"""One person of an image as the network sees them: their crop, the maps behind the answer, and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from rsgnet.config import PoseConfig
from rsgnet.config_files import WEIGHTS_FILE
from rsgnet.errors import RSGNetError
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.images import read_image
from rsgnet.inference.crops import Crop, cut
from rsgnet.inference.decode import InnerMaps, InnerRunner
from rsgnet.inference.detectors.boxes import Boxes, LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.weights import find_weights
from rsgnet.poses import Poses


@dataclass(frozen=True, eq=False)
class PersonInspection:
    """What there is to see of one person.

    Attributes:
        poses: Everyone of the image, or the one person of a box; with the image.
        person: Whose crop it is, an index into `poses`.
        crop: What the network was given.
        maps: What it made of it. (The answer may be averaged with that of the mirrored crop.)
        config: What it was built with.
    """

    poses: Poses
    person: int
    crop: Crop
    maps: InnerMaps
    config: PoseConfig


def inspect_person(
    estimator: PoseEstimator, path: Path, person: int = 0, box_xywh: Sequence[float] | None = None
) -> PersonInspection:
    """Looks at one person.

    Args:
        estimator: What finds the poses.
        path: The image.
        person: The index of a result, counted from 0 as in poses.json, where no box is given.
        box_xywh: (4,) left, top, width, height in image pixels: the person's box.

    Raises:
        RSGNetError: The image cannot be read, there is no such person, the box is empty, or the network's file lets
            nobody look inside.
    """
    runner = estimator.runner
    if not isinstance(runner, InnerRunner):
        raise RSGNetError("this network's file decodes inside and shows no maps; export it without --with-decoding")
    photo = LoadedImage(read_image(path, estimator.max_pixels), path.name, path)
    if box_xywh is not None:
        box = Boxes(xywh_to_xyxy(np.asarray(box_xywh, np.float64)[None]), np.ones(1))
        photo = LoadedImage(photo.pixels, photo.file_name, photo.path, box)
        person = 0
    poses = estimator(photo)
    if not 0 <= person < len(poses):
        found = f"{len(poses)} people were found" if box_xywh is None else "the box holds nothing of the image"
        raise RSGNetError(f"{path}: no person {person}: {found}; name one from 0 on, or a box")
    crop = cut(photo.pixels, poses.boxes_xyxy[person], estimator.config.crop)
    return PersonInspection(poses, person, crop, runner.inner(crop.pixels), estimator.config)


def telling_backend(weights: str) -> str:
    """The back end that shows most of some weights: PyTorch where it is installed and there are weights for it.

    Files for ONNX Runtime hold neither the relation map nor the limbs.
    """
    directory = find_weights(weights).directory
    whole = directory is not None and (directory / WEIGHTS_FILE).is_file() and find_spec("torch") is not None
    return "torch" if whole else "onnx"
