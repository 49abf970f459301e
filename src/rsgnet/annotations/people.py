"""What every reader of annotations gives: people, the images they stand in, and the data set these make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import AnnotationError
from rsgnet.skeletons import Skeleton

SIZE_UNKNOWN = (0, 0)
_LARGEST_SIDE, _LARGEST_ID = 2**31 - 1, 2**63 - 1  # what arrays of them hold
_AREA_OF_BOX = 0.53  # how much of its box a person fills, as COCO's and CrowdPose's tools take it


@dataclass(frozen=True, eq=False)
class Person:
    """One person, annotated or found.

    Attributes:
        id: The annotation's id.
        box_xywh: (4,) left, top, width, height in image pixels.
        keypoints: (K, 3) x, y, visibility (0 not labelled, 1 labelled but hidden, 2 visible).
        area: Area in squared pixels that sets the OKS scale.
        is_crowd: Whether the box is drawn about a group.
        score: How sure a network is of the person; None of a label.
        keypoint_scores: (K,) how sure it is of each keypoint, all of which then count as visible; None of a label.

    Raises:
        AnnotationError: Its id has more than 64 bits.
    """

    id: int
    box_xywh: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    area: float
    is_crowd: bool = False
    score: float | None = None
    keypoint_scores: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if abs(self.id) > _LARGEST_ID:
            raise AnnotationError(f"no person has the id {self.id}: it has more than 64 bits")

    @property
    def labelled(self) -> int:
        """How many keypoints are labelled."""
        return int((self.keypoints[:, 2] > 0).sum())

    @property
    def sureness(self) -> float:
        """The score; 1 of a label."""
        return 1.0 if self.score is None else self.score

    @property
    def keypoint_sureness(self) -> NDArray[np.float64]:
        """(K,) the keypoints' scores; of a label 1 where there is one and 0 where there is none."""
        return (self.keypoints[:, 2] > 0).astype(np.float64) if self.keypoint_scores is None else self.keypoint_scores


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One image of a data set.

    Attributes:
        id: The image's id.
        file_name: Its file, relative to the data set's image folder.
        size_wh: Width and height in pixels, (0, 0) where the file does not give them.
        people: Everyone annotated in it.
        crowd_index: CrowdPose's crowd index, as the file gives it or else computed; None where nobody is labelled.

    Raises:
        AnnotationError: Its id or size is beyond what images have.
    """

    id: int
    file_name: str
    size_wh: tuple[int, int]
    people: tuple[Person, ...]
    crowd_index: float | None = None

    def __post_init__(self) -> None:
        if max(map(abs, self.size_wh)) > _LARGEST_SIDE or abs(self.id) > _LARGEST_ID:
            raise AnnotationError(f"no image has the id {self.id} and the size {self.size_wh}")


@dataclass(frozen=True, eq=False)
class Annotations:
    """A data set: its skeleton and images.

    Attributes:
        path: The file it was read from, with its split where one was named: `data.yaml#val`.
        skeleton: The keypoints of its people.
        images: In the order of the file.
    """

    path: Path
    skeleton: Skeleton
    images: tuple[AnnotatedImage, ...]


def area_of(box_xywh: NDArray[np.float64]) -> float:
    """The area in squared pixels to take for a person of whom only the box is known."""
    return _AREA_OF_BOX * float(box_xywh[2] * box_xywh[3])
