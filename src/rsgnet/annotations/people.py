"""The values that every reader of annotations returns: people, images, and the data set of these images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import AnnotationError
from rsgnet.skeletons import Skeleton

SIZE_UNKNOWN = (0, 0)
AREA_SHARE_OF_BOX = 0.53  # the share of a box that its person covers, as the tools of COCO and CrowdPose assume
_MAX_SIDE, _MAX_ID = 2**31 - 1, 2**63 - 1  # the limits of the integer arrays that hold them


@dataclass(frozen=True, eq=False)
class Person:
    """One annotated or detected person.

    Attributes:
        id: The id of the annotation.
        box_xywh: (4,) left, top, width, height in image pixels.
        keypoints: (K, 3) x, y in image pixels and visibility (0 not labelled, 1 labelled but hidden, 2 visible).
        area: Area in squared pixels that sets the OKS scale.
        is_crowd: Whether the box surrounds a group of people.
        score: A network's score of the person; None for a label.
        keypoint_scores: (K,) a network's score of each keypoint, all of which then count as visible; None for a label.
        head_box_xywh: (4,) the box of the head, by which MPII and PoseTrack measure distances; None if unknown.

    Raises:
        AnnotationError: The id does not fit into 64 bits, or the box has a negative or absurd size.
    """

    id: int
    box_xywh: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    area: float
    is_crowd: bool = False
    score: float | None = None
    keypoint_scores: NDArray[np.float64] | None = None
    head_box_xywh: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if abs(self.id) > _MAX_ID:
            raise AnnotationError(f"a person's id must fit into 64 bits, {self.id} does not")
        box: list[float] = self.box_xywh.tolist()
        if not (max(map(abs, box)) <= _MAX_SIDE and min(box[2:]) >= 0):
            raise AnnotationError(f"a box is left, top, width and height in pixels, none of these negative, not {box}")

    @property
    def num_labelled(self) -> int:
        """The number of labelled keypoints."""
        return int(np.count_nonzero(self.keypoints[:, 2] > 0))

    @property
    def confidence(self) -> float:
        """The score; 1 for a label."""
        return 1.0 if self.score is None else self.score

    @property
    def keypoint_confidences(self) -> NDArray[np.float64]:
        """(K,) the scores of the keypoints; for a label 1 where a keypoint is labelled and 0 elsewhere."""
        return (self.keypoints[:, 2] > 0).astype(np.float64) if self.keypoint_scores is None else self.keypoint_scores


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One image of a data set.

    Attributes:
        id: The id of the image.
        file_name: Its file, relative to the image folder of the data set.
        size_wh: Width and height in pixels; (0, 0) where the labels do not give them.
        people: Everyone annotated in the image.
        crowd_index: CrowdPose's crowd index, as given by the file or else computed; None where nobody is labelled.
        ignored_regions: Polygons, (V, 2) corners in image pixels, in which PoseTrack evaluates nothing.

    Raises:
        AnnotationError: The id does not fit into 64 bits, or a side into 31 bits.
    """

    id: int
    file_name: str
    size_wh: tuple[int, int]
    people: tuple[Person, ...]
    crowd_index: float | None = None
    ignored_regions: tuple[NDArray[np.float64], ...] = ()

    def __post_init__(self) -> None:
        if max(map(abs, self.size_wh)) > _MAX_SIDE or abs(self.id) > _MAX_ID:
            raise AnnotationError(f"an image cannot have the id {self.id} and the size {self.size_wh}: too large")


@dataclass(frozen=True, eq=False)
class Annotations:
    """A data set.

    Attributes:
        path: The file it was read from, with the split where one was named: `data.yaml#val`.
        skeleton: The keypoints of its people.
        images: The images in the order of the file.
    """

    path: Path
    skeleton: Skeleton
    images: tuple[AnnotatedImage, ...]


def estimate_area(box_xywh: NDArray[np.float64]) -> float:
    """Estimates the area in squared pixels of a person of whom only the (4,) box is known."""
    return AREA_SHARE_OF_BOX * float(box_xywh[2] * box_xywh[3])
