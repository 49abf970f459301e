"""What detectors are given and give: an image with its name, and the boxes found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import RSGNetError
from rsgnet.images import RGBImage

SMALLEST_SIDE_PX = 1.0


BOX_THRESHOLD = 0.3  # for detectors that do not say what suits them


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """One image that was read.

    Attributes:
        pixels: (H, W, 3) RGB.
        file_name: What it is called in results, "" where it has no name.
        path: The file it came from, None where it came from memory.
        boxes: Where its people are, if that is known beforehand; None where a detector is to find them.
    """

    pixels: RGBImage = field(repr=False)
    file_name: str = ""
    path: Path | None = None
    boxes: Boxes | None = None

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, eq=False)
class Boxes:
    """The people a detector found in one image.

    Attributes:
        boxes_xyxy: (N, 4) left, top, right, bottom in image pixels.
        scores: (N,) how sure the detector is of each, in 0..1.
        image_id: The image's id in the file that the boxes came from, None where they came from no file.

    Raises:
        RSGNetError: The shapes do not agree.
    """

    boxes_xyxy: NDArray[np.float64]
    scores: NDArray[np.float64]
    image_id: int | None = None

    def __post_init__(self) -> None:
        if self.boxes_xyxy.shape != (len(self.scores), 4) or self.scores.ndim != 1:
            raise RSGNetError(
                f"boxes have shape (N, 4) and scores (N,), these {self.boxes_xyxy.shape} and {self.scores.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls, image_id: int | None = None) -> Boxes:
        """No boxes at all."""
        return cls(np.zeros((0, 4)), np.zeros(0), image_id)

    def inside(self, size_wh: tuple[int, int]) -> Boxes:
        """The boxes clipped to an image of that size; those that are not finite, or under a pixel wide or high, go."""
        boxes = np.asarray(self.boxes_xyxy, np.float64)
        finite = np.isfinite(boxes).all(-1) & np.isfinite(self.scores)
        clipped = np.where(finite[:, None], boxes, 0.0).clip(0, [*size_wh, *size_wh])
        kept = finite & (clipped[:, 2:] - clipped[:, :2] >= SMALLEST_SIDE_PX).all(-1)
        return replace(self, boxes_xyxy=clipped[kept], scores=np.asarray(self.scores, np.float64)[kept])


class Detector(Protocol):
    """Finds the people in images. Anything with this method may stand for a detector."""

    def detect(self, photos: Sequence[LoadedImage]) -> list[Boxes]:
        """The boxes of each image, in the order of the images.

        Raises:
            RSGNetError: An image cannot be served; the images are then asked for one by one.
        """
        ...


class WholeImage:
    """Takes the whole image for one person, as for images that are crops already."""

    def detect(self, photos: Sequence[LoadedImage]) -> list[Boxes]:
        """One box an image: the image."""
        return [Boxes(np.array([[0.0, 0.0, *photo.size_wh]]), np.ones(1)) for photo in photos]
