"""Whether a person's left and right can be: told from how bodies are built, not from which way the image is up.

A face that is seen shows its left eye on the right hand of whoever looks at it, along the line from the shoulders up to
the eyes, however the image is turned. Eyes and ears of one person point from right to left in the same
direction, and so do shoulders and hips: a waist does not turn so far that both are seen broad and opposed. Heads do
turn back over shoulders, so that a head opposed to its trunk is only doubtful. What is seen edge-on says nothing. A
person all of whose sides are swapped and whose face is hidden is not found: labels alone cannot tell that from a person
seen from behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rsgnet.geometry import Floats
from rsgnet.skeletons import Skeleton

# Pairs that point alike, and how broad each must be seen, as a share of the person's size, to be believed.
_BROAD = {"eye": 0.03, "ear": 0.06, "shoulder": 0.2, "hip": 0.15}
_RIGID = ({"eye", "ear"}, {"shoulder", "hip"})
_OPPOSED = -0.7  # the cosine of the angle between two pairs
_FRONTAL = 0.7  # the sine of the angle between the line of the eyes and the line up to them
_LEAST_SIZE_PX = 40.0


@dataclass(frozen=True)
class Contradiction:
    """Two things that cannot both be of one person's left and right.

    Attributes:
        what: In words.
        certain: Whether hardly any posture explains it.
    """

    what: str
    certain: bool


def side_contradictions(keypoints: Floats, skeleton: Skeleton) -> list[Contradiction]:
    """What contradicts itself in a person's left and right.

    Args:
        keypoints: (K, 3) x, y, visibility of one person, in pixels.
        skeleton: Its keypoints; those it has no `left_eye`, `right_hip` and so on for are not looked at.
    """
    seen = keypoints[:, 2] > 0
    if seen.sum() < 4:
        return []
    size = float(np.ptp(keypoints[seen, :2], axis=0).max())
    if size < _LEAST_SIZE_PX:
        return []
    across = dict(_broad_pairs(keypoints, skeleton, size))
    found = []
    for (one, first), (two, second) in combinations(across.items(), 2):
        cosine = float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
        if cosine < _OPPOSED:
            what = f"from right to left, its {one}s and its {two}s point opposite ways"
            found.append(Contradiction(what, {one, two} in _RIGID))
    if "eye" in across and _mirrored_face(keypoints, skeleton, across["eye"]) > _FRONTAL:
        found.append(Contradiction("its face is seen, with the left eye where the right one belongs", certain=True))
    return found


def _broad_pairs(keypoints: Floats, skeleton: Skeleton, size: float) -> Iterator[tuple[str, Floats]]:
    """(2,) the vector from right to left of each part that is labelled on both sides and broad enough."""
    for part, share in _BROAD.items():
        ends = _places(keypoints, skeleton, f"right_{part}", f"left_{part}")
        if ends is not None and np.linalg.norm(ends[1] - ends[0]) >= share * size:
            yield part, ends[1] - ends[0]


def _mirrored_face(keypoints: Floats, skeleton: Skeleton, across: Floats) -> float:
    """How surely a face is mirrored: the sine between its eyes' line and its upward line; negative as faces are."""
    eyes = _places(keypoints, skeleton, "right_eye", "left_eye", visible=True)
    nose = _places(keypoints, skeleton, "nose", visible=True)
    shoulders = _places(keypoints, skeleton, "right_shoulder", "left_shoulder")
    if eyes is None or nose is None or shoulders is None:
        return -1.0
    up = eyes.mean(0) - shoulders.mean(0)
    up_face = eyes.mean(0) - nose[0]
    return min(_sine(across, up), _sine(across, up_face))


def _sine(first: Floats, second: Floats) -> float:
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first[0] * second[1] - first[1] * second[0]) / max(lengths, 1e-9))


def _places(keypoints: Floats, skeleton: Skeleton, *names: str, visible: bool = False) -> Floats | None:
    """(N, 2) the places of some keypoints, None where one is not labelled, or not visible."""
    if not set(names) <= set(skeleton.keypoints):
        return None
    rows = keypoints[[skeleton.keypoints.index(name) for name in names]]
    return rows[:, :2] if (rows[:, 2] >= (2 if visible else 1)).all() else None
