"""The interface of person detectors: loaded images in, the boxes of the people in each out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import RSGNetError
from rsgnet.images import RGBImage

DEFAULT_BOX_THRESHOLD = 0.3  # for detectors whose files name no threshold
_SMALLEST_SIDE_PX = 1.0


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image in memory.

    Attributes:
        pixels: (H, W, 3) RGB.
        file_name: Its name in results, "" where it has no name.
        path: The file it came from, None where it came from memory.
        boxes: The boxes of its people where they are known beforehand; None where a detector is to find them.
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
    """The people that a detector found in one image.

    Attributes:
        boxes_xyxy: (N, 4) left, top, right, bottom in image pixels.
        scores: (N,) the detector's score of each box, in 0..1.
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
    def empty(cls, image_id: int | None = None) -> Boxes:
        """Returns no boxes."""
        return cls(np.zeros((0, 4)), np.zeros(0), image_id)

    def clip_to(self, size_wh: tuple[int, int]) -> Boxes:
        """Clips the boxes to an image of that size; drops those that are not finite, or under a pixel wide or high."""
        boxes = np.asarray(self.boxes_xyxy, np.float64)
        is_finite = np.isfinite(boxes).all(-1) & np.isfinite(self.scores)
        clipped = np.where(is_finite[:, None], boxes, 0.0).clip(0, [*size_wh, *size_wh])
        kept = is_finite & (clipped[:, 2:] - clipped[:, :2] >= _SMALLEST_SIDE_PX).all(-1)
        return replace(self, boxes_xyxy=clipped[kept], scores=np.asarray(self.scores, np.float64)[kept])


class Detector(ABC):
    """Finds the people in images. Derive from it to run a detector of your own in `PoseEstimator`.

    Attributes:
        name: Its name in messages.
        threshold: The score below which it drops boxes; None for a detector without one.
        path: The file it was read from; None where there is none.
    """

    name: str = "detector"
    threshold: float | None = None
    path: Path | None = None

    @abstractmethod
    def detect(self, images: Sequence[LoadedImage]) -> list[Boxes]:
        """Returns the boxes of each image, in the order of the images.

        Raises:
            RSGNetError: An image cannot be processed. The caller then passes the images one by one.
        """


class WholeImageDetector(Detector):
    """Takes the whole image for one person, for images that are crops already."""

    name = "full"

    def detect(self, images: Sequence[LoadedImage]) -> list[Boxes]:
        """Returns one box for each image: the image."""
        return [Boxes(np.array([[0.0, 0.0, *image.size_wh]]), np.ones(1)) for image in images]
