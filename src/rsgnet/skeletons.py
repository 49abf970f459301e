"""Skeletons: which keypoints a person has, how they are joined, mirrored and weighed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsgnet.errors import RSGNetError
from rsgnet.files import read_bounded

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Skeleton:
    """The keypoints of one person and what is known about them.

    Attributes:
        name: Short name, as used on the command line.
        keypoints: Keypoint names, in the order of the arrays.
        edges: Pairs of keypoint indices that are drawn as lines.
        limbs: Pairs of keypoint indices that the Skeleton Graph Machine predicts as limbs.
        flip_pairs: Left/right pairs of keypoint indices that a mirrored image swaps.
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
        """(K,) where each keypoint is found after the image is mirrored."""
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


# A key of many parts, a.a.a..., costs the reader of TOML memory by their square.
_LARGEST_FILE, _MOST_DOTS = 1 << 16, 1000

# For keypoints of which nobody knows how exactly people place them: about the mean of COCO's.
DEFAULT_SIGMA = 0.07


def skeleton_named(skeleton: str | Skeleton) -> Skeleton:
    """The skeleton that a name, or a .toml file, means; a skeleton is itself.

    Args:
        skeleton: The name of a built-in skeleton, the path of a file for `read_skeleton`, or a skeleton.

    Raises:
        RSGNetError: There is none of that name, or the file holds none.
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
    """Reads a skeleton of your own.

    The file holds `name`, `keypoints` and `edges`; `limbs` (the edges where it has none), `flip_pairs` (left_... with
    right_... where it has none) and `sigmas` (one a keypoint, or a table by keypoint; 0.07 for those that are not
    given). Pairs are pairs of keypoint names.

    Raises:
        RSGNetError: The file is missing, not TOML, lacks a key, has an unknown one, or contradicts itself.
    """
    path = Path(path)
    try:
        text = read_bounded(path, _LARGEST_FILE).decode()
        if max(line.count(".") for line in text.split("\n")) > _MOST_DOTS:
            raise ValueError("a key of too many parts")
        table = tomllib.loads(text)
    except OSError as error:
        raise RSGNetError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RSGNetError(f"{path}: not valid TOML ({error})") from error
    try:
        return _from_table(table)
    except RSGNetError as error:
        raise RSGNetError(f"{path}: {error}") from error


def named_sides(keypoints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs of the indices of keypoints whose names differ in left and right only."""
    return tuple(
        (index, keypoints.index(name.replace("left", "right")))
        for index, name in enumerate(keypoints)
        if "left" in name and name.replace("left", "right") in keypoints
    )


def _from_table(table: Mapping[str, Any]) -> Skeleton:
    known = [field.name for field in fields(Skeleton)]
    if unknown := sorted(table.keys() - set(known)):
        raise RSGNetError(f"unknown {', '.join(unknown)}; a skeleton has {', '.join(known)}")
    if missing := [name for name in known[:3] if name not in table]:
        raise RSGNetError(f"has no {', '.join(missing)}")
    name, keypoints = table["name"], _strings(table["keypoints"], "keypoints")
    if not isinstance(name, str) or not name or name in SKELETONS:
        raise RSGNetError(f"name must be a text of your own, none of {', '.join(SKELETONS)}; it is {name!r}")
    edges = _pairs(table, "edges", keypoints)
    return Skeleton(
        name=name,
        keypoints=keypoints,
        edges=edges,
        limbs=_pairs(table, "limbs", keypoints) if "limbs" in table else edges,
        flip_pairs=_pairs(table, "flip_pairs", keypoints) if "flip_pairs" in table else named_sides(keypoints),
        sigmas=_sigmas(table.get("sigmas", {}), keypoints),
    )


def _strings(value: object, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RSGNetError(f"{what} must be a list of keypoint names, not {value!r}")
    return tuple(value)


def _pairs(table: Mapping[str, Any], field: str, keypoints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    value = table[field]
    if not isinstance(value, list):
        raise RSGNetError(f"{field} must be a list of pairs of keypoint names, not {value!r}")
    pairs = []
    for pair in value:
        names = _strings(pair, f"each of {field}")
        if len(names) != 2 or not set(names) <= set(keypoints):
            raise RSGNetError(f"{field}: {pair} is no pair out of {', '.join(keypoints)}")
        pairs.append((keypoints.index(names[0]), keypoints.index(names[1])))
    return tuple(pairs)


def _sigmas(value: object, keypoints: tuple[str, ...]) -> tuple[float, ...]:
    if isinstance(value, dict) and not value.keys() <= set(keypoints):
        raise RSGNetError(f"sigmas: no keypoint is named {', '.join(sorted(value.keys() - set(keypoints)))}")
    sigmas = [value.get(name, DEFAULT_SIGMA) for name in keypoints] if isinstance(value, dict) else value
    if not isinstance(sigmas, list) or not all(
        type(sigma) in (int, float) and 0 < sigma < float("inf") for sigma in sigmas
    ):
        raise RSGNetError(f"sigmas must be positive numbers, a list or a table by keypoint, not {value!r}")
    return tuple(float(sigma) for sigma in sigmas)
