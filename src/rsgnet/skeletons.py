"""Skeletons: the keypoints of a person, the edges between them, their mirror pairs and their OKS sigmas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet import skeleton_tables as tables
from rsgnet.errors import RSGNetError
from rsgnet.files import read_toml

DEFAULT_SIGMA = 0.07  # for keypoints without a measured sigma: about the mean of COCO's sigmas


@dataclass(frozen=True)
class Skeleton:
    """The definition of a person's keypoints.

    Attributes:
        name: Short name, as used on the command line.
        keypoints: Names of the K keypoints, in the order in which arrays hold them.
        edges: Pairs of keypoint indices that are drawn as lines.
        limbs: Pairs of keypoint indices that the Skeleton Graph Machine predicts as limbs.
        flip_pairs: (left, right) pairs of keypoint indices that mirroring an image swaps.
        sigmas: The OKS sigma of each keypoint.

    Raises:
        RSGNetError: A name repeats, an index is out of range, a keypoint occurs in two flip pairs, or the sigmas do
            not match the keypoints.
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
            raise RSGNetError(f"skeleton {self.name!r}: keypoint names must be unique, and at least one is needed")
        if len(self.sigmas) != count or min(self.sigmas) <= 0:
            raise RSGNetError(f"skeleton {self.name!r}: expected {count} positive sigmas, got {self.sigmas}")
        for field in ("edges", "limbs", "flip_pairs"):
            for pair in getattr(self, field):
                if len(pair) != 2 or pair[0] == pair[1] or not all(0 <= index < count for index in pair):
                    raise RSGNetError(
                        f"skeleton {self.name!r}: bad pair {pair} in {field}; expected two indices in 0..{count - 1}"
                    )
        paired = [index for pair in self.flip_pairs for index in pair]
        if len(paired) != len(set(paired)):
            raise RSGNetError(f"skeleton {self.name!r}: a keypoint occurs in two flip pairs")

    def __len__(self) -> int:
        return len(self.keypoints)

    @cached_property
    def flip_indices(self) -> NDArray[np.intp]:
        """(K,) the index that each keypoint has after the image is mirrored."""
        order = np.arange(len(self))
        for left, right in self.flip_pairs:
            order[[left, right]] = right, left
        return order

    @cached_property
    def limb_matrix(self) -> NDArray[np.float32]:
        """(K, L) the 0/1 matrix K_g of Eq. (3): 1 where a keypoint is an end of a limb."""
        matrix = np.zeros((len(self), len(self.limbs)), np.float32)
        for limb, ends in enumerate(self.limbs):
            matrix[list(ends), limb] = 1.0
        return matrix

    def indices_in(self, other: Skeleton) -> NDArray[np.intp]:
        """Returns (K,) the index in `other` of the keypoint of the same name; -1 where `other` has none."""
        return np.array([other.keypoints.index(name) if name in other.keypoints else -1 for name in self.keypoints])


_COCO_LIMBS = (
    (3, 1), (4, 2), (1, 0), (0, 2), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10), (11, 12), (11, 13),
    (12, 14), (13, 15), (14, 16), (3, 5), (4, 6), (5, 11), (6, 12),
)  # fmt: skip
_COCO_FLIP_PAIRS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))

COCO17 = Skeleton("coco17", tables.COCO_KEYPOINTS, _COCO_LIMBS, _COCO_LIMBS, _COCO_FLIP_PAIRS, tables.COCO_SIGMAS)

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

# The skeleton that the shipped weights predict: COCO's keypoints and CrowdPose's head and neck.
PEOPLE19 = Skeleton(
    name="people19",
    keypoints=(*tables.COCO_KEYPOINTS, "head", "neck"),
    edges=(*_COCO_LIMBS, (17, 18)),
    limbs=(*_COCO_LIMBS, (17, 18), (5, 18), (6, 18)),
    flip_pairs=_COCO_FLIP_PAIRS,
    sigmas=(*tables.COCO_SIGMAS, 0.079, 0.079),
)


def find_flip_pairs(keypoints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Returns the (left, right) index pairs of keypoints whose names differ only in "left" and "right"."""
    return tuple(
        (index, keypoints.index(name.replace("left", "right")))
        for index, name in enumerate(keypoints)
        if "left" in name and name.replace("left", "right") in keypoints
    )


def _build(
    name: str,
    keypoints: tuple[str, ...],
    sigmas: tuple[float, ...],
    edges: Sequence[tuple[str, str]],
    face_flips: Sequence[tuple[str, str]] = (),
) -> Skeleton:
    """Builds a skeleton from names; left and right of the face's numbered points are not in their names."""
    pairs = tuple((keypoints.index(one), keypoints.index(other)) for one, other in edges)
    flips = tuple((keypoints.index(one), keypoints.index(other)) for one, other in face_flips)
    return Skeleton(name, keypoints, pairs, pairs, (*find_flip_pairs(keypoints), *flips), sigmas)


HALPE26 = _build("halpe26", tables.HALPE26_KEYPOINTS, tables.HALPE26_SIGMAS, tables.HALPE26_EDGES)
MPII16 = _build("mpii16", tables.MPII16_KEYPOINTS, tables.MPII16_SIGMAS, tables.MPII16_EDGES)
# Known by the names in PoseTrack's label files only: other things of 17 keypoints are COCO's.
POSETRACK17 = _build("posetrack17", tables.POSETRACK17_KEYPOINTS, tables.POSETRACK17_SIGMAS, tables.POSETRACK17_EDGES)
AIC14 = _build("aic14", tables.AIC14_KEYPOINTS, tables.AIC14_SIGMAS, tables.AIC14_EDGES)
WHOLEBODY133 = _build(
    "wholebody133",
    tables.WHOLEBODY133_KEYPOINTS,
    tables.WHOLEBODY133_SIGMAS,
    tables.WHOLEBODY133_EDGES,
    tables.WHOLEBODY133_FACE_FLIPS,
)

# Of two with as many keypoints, files without names are read as the first.
SKELETONS = {
    skeleton.name: skeleton for skeleton in (COCO17, CROWDPOSE14, PEOPLE19, HALPE26, MPII16, AIC14, WHOLEBODY133)
}


def get_skeleton(skeleton: str | Skeleton) -> Skeleton:
    """Returns the skeleton of a name or of a .toml file; returns a `Skeleton` unchanged.

    Args:
        skeleton: The name of a built-in skeleton, the path of a file for `read_skeleton`, or a skeleton.

    Raises:
        RSGNetError: No built-in skeleton has that name, or the file does not hold a valid skeleton.
    """
    if isinstance(skeleton, Skeleton):
        return skeleton
    if skeleton.endswith(".toml"):
        return read_skeleton(skeleton)
    if skeleton not in SKELETONS:
        raise RSGNetError(
            f"no skeleton is named {skeleton!r}; there are {', '.join(SKELETONS)}, or name a .toml file of your own"
        )
    return SKELETONS[skeleton]


def read_skeleton(path: str | Path) -> Skeleton:
    """Reads a user's skeleton from a TOML file.

    The required keys are `name`, `keypoints` and `edges`. The optional keys are `limbs` (default: the edges),
    `flip_pairs` (default: each left_... keypoint with its right_...) and `sigmas`, a list or a table by keypoint
    (default: 0.07). Pairs are written as pairs of keypoint names.

    Raises:
        RSGNetError: The file is missing, not TOML, lacks a key, has an unknown one, or contradicts itself.
    """
    table = read_toml(Path(path))
    try:
        return _parse_table(table)
    except RSGNetError as error:
        raise RSGNetError(f"{path}: {error}") from error


def _parse_table(table: Mapping[str, Any]) -> Skeleton:
    keys = [field.name for field in fields(Skeleton)]
    if unknown := sorted(table.keys() - set(keys)):
        raise RSGNetError(f"unknown {', '.join(unknown)}; a skeleton has {', '.join(keys)}")
    if missing := [key for key in ("name", "keypoints", "edges") if key not in table]:
        raise RSGNetError(f"has no {', '.join(missing)}")
    name, keypoints = table["name"], _parse_names(table["keypoints"], "keypoints")
    if not isinstance(name, str) or not name or name in SKELETONS:
        raise RSGNetError(f"name must be a new name, not one of {', '.join(SKELETONS)}; it is {name!r}")
    edges = _parse_pairs(table, "edges", keypoints)
    return Skeleton(
        name=name,
        keypoints=keypoints,
        edges=edges,
        limbs=_parse_pairs(table, "limbs", keypoints) if "limbs" in table else edges,
        flip_pairs=_parse_pairs(table, "flip_pairs", keypoints)
        if "flip_pairs" in table
        else find_flip_pairs(keypoints),
        sigmas=_parse_sigmas(table.get("sigmas", {}), keypoints),
    )


def _parse_names(value: object, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RSGNetError(f"{key} must be a list of keypoint names, not {value!r}")
    return tuple(value)


def _parse_pairs(table: Mapping[str, Any], key: str, keypoints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    value = table[key]
    if not isinstance(value, list):
        raise RSGNetError(f"{key} must be a list of pairs of keypoint names, not {value!r}")
    pairs = []
    for pair in value:
        names = _parse_names(pair, f"each of {key}")
        if len(names) != 2 or not set(names) <= set(keypoints):
            raise RSGNetError(f"{key}: {pair} is not a pair of names out of {', '.join(keypoints)}")
        pairs.append((keypoints.index(names[0]), keypoints.index(names[1])))
    return tuple(pairs)


def _parse_sigmas(value: object, keypoints: tuple[str, ...]) -> tuple[float, ...]:
    if isinstance(value, dict) and not value.keys() <= set(keypoints):
        raise RSGNetError(f"sigmas: no keypoint is named {', '.join(sorted(value.keys() - set(keypoints)))}")
    sigmas = [value.get(name, DEFAULT_SIGMA) for name in keypoints] if isinstance(value, dict) else value
    if not isinstance(sigmas, list) or not all(
        type(sigma) in (int, float) and 0 < sigma < float("inf") for sigma in sigmas
    ):
        raise RSGNetError(f"sigmas must be positive numbers, as a list or a table by keypoint, not {value!r}")
    return tuple(float(sigma) for sigma in sigmas)
