"""Skeletons: which keypoints a person has, how they are joined, mirrored and weighed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import RSGNetError


@dataclass(frozen=True)
class Skeleton:
    """The keypoints of one person and what is known about them.

    Attributes:
        name: Short name, as used on the command line.
        keypoints: Keypoint names, in the order of the arrays.
        edges: Pairs of keypoint indices that are drawn as lines.
        limbs: Pairs of keypoint indices that the Skeleton Graph Machine predicts as limbs.
        flip_pairs: Left/right pairs of keypoint indices that a mirrored picture swaps.
        sigmas: One OKS falloff per keypoint (COCO's per-keypoint constants).

    Raises:
        RSGNetError: An index is out of range, a flip pair repeats, or the sigmas do not match the keypoints.
    """

    name: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    limbs: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.keypoints)
        if len(set(self.keypoints)) != count or count == 0:
            raise RSGNetError(f"skeleton {self.name!r}: keypoint names must be unique and at least one")
        if len(self.sigmas) != count or min(self.sigmas) <= 0:
            raise RSGNetError(f"skeleton {self.name!r}: expected {count} positive sigmas, got {self.sigmas}")
        for field in ("edges", "limbs", "flip_pairs"):
            for pair in getattr(self, field):
                if len(pair) != 2 or pair[0] == pair[1] or not all(0 <= index < count for index in pair):
                    raise RSGNetError(f"skeleton {self.name!r}: bad pair {pair} in {field}, indices run to {count - 1}")
        paired = [index for pair in self.flip_pairs for index in pair]
        if len(paired) != len(set(paired)):
            raise RSGNetError(f"skeleton {self.name!r}: a keypoint stands in two flip pairs")

    def __len__(self) -> int:
        return len(self.keypoints)

    @cached_property
    def flip_indices(self) -> NDArray[np.intp]:
        """(K,) where each keypoint is found after the picture is mirrored."""
        order = np.arange(len(self))
        for left, right in self.flip_pairs:
            order[[left, right]] = right, left
        return order

    @cached_property
    def limb_matrix(self) -> NDArray[np.float32]:
        """(K, L) the 0/1 joints-to-limbs matrix K_g of Eq. (3)."""
        matrix = np.zeros((len(self), len(self.limbs)), np.float32)
        for limb, ends in enumerate(self.limbs):
            matrix[list(ends), limb] = 1.0
        return matrix

    def indices_in(self, other: Skeleton) -> NDArray[np.intp]:
        """(K,) the index of each of this skeleton's keypoints in `other`, by name; -1 where `other` lacks it."""
        return np.array([other.keypoints.index(name) if name in other.keypoints else -1 for name in self.keypoints])


_COCO_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
_COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107,
    0.087, 0.087, 0.089, 0.089,
)  # fmt: skip
_COCO_LIMBS = (
    (3, 1), (4, 2), (1, 0), (0, 2), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10), (11, 12), (11, 13),
    (12, 14), (13, 15), (14, 16), (3, 5), (4, 6), (5, 11), (6, 12),
)  # fmt: skip
_COCO_FLIP_PAIRS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))

COCO17 = Skeleton("coco17", _COCO_KEYPOINTS, _COCO_LIMBS, _COCO_LIMBS, _COCO_FLIP_PAIRS, _COCO_SIGMAS)

CROWDPOSE14 = Skeleton(
    name="crowdpose14",
    keypoints=(
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck",
    ),
    edges=(
        (12, 13), (1, 13), (0, 13), (0, 2), (1, 3), (2, 4), (3, 5), (6, 7), (6, 8), (7, 9), (8, 10),
        (9, 11), (0, 6), (1, 7),
    ),
    limbs=(
        (12, 13), (1, 13), (0, 13), (0, 2), (1, 3), (2, 4), (3, 5), (6, 7), (6, 8), (7, 9), (8, 10),
        (9, 11), (0, 6), (1, 7),
    ),
    flip_pairs=((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)),
    sigmas=(0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
)  # fmt: skip

# What the shipped weights predict: COCO's keypoints with CrowdPose's head and neck, so that both come out.
PEOPLE19 = Skeleton(
    name="people19",
    keypoints=(*_COCO_KEYPOINTS, "head", "neck"),
    edges=(*_COCO_LIMBS, (17, 18)),
    limbs=(*_COCO_LIMBS, (17, 18), (5, 18), (6, 18)),
    flip_pairs=_COCO_FLIP_PAIRS,
    sigmas=(*_COCO_SIGMAS, 0.079, 0.079),
)

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO17, CROWDPOSE14, PEOPLE19)}


def skeleton_named(name: str) -> Skeleton:
    """The built-in skeleton of that name.

    Raises:
        RSGNetError: There is none of that name.
    """
    if name not in SKELETONS:
        raise RSGNetError(f"no skeleton is named {name!r}; there are {', '.join(SKELETONS)}")
    return SKELETONS[name]
