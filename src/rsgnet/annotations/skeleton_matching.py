"""Finding out which skeleton a label file uses, from its keypoint names or else from their number."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rsgnet.errors import AnnotationError
from rsgnet.skeletons import DEFAULT_SIGMA, POSETRACK17, SKELETONS, Skeleton, find_flip_pairs, read_skeleton

_SKELETON_FILE = "skeleton.toml"
_SYNONYMS = {"head_top": "head", "head_bottom": "neck", "upper_neck": "neck"}  # of MPII and PoseTrack
_NUMBERED_NAME = re.compile(r"\D*\d+")


def read_adjacent_skeletons(label_file: Path) -> list[Skeleton]:
    """Reads the `skeleton.toml` in the folder of a label file: a list of one skeleton, or of none.

    Raises:
        RSGNetError: The file is there but does not hold a valid skeleton.
    """
    path = label_file.parent / _SKELETON_FILE
    return [read_skeleton(path)] if path.is_file() else []


def match_skeleton(
    names: Sequence[str] | None,
    counts: Collection[int],
    edges: Any,
    custom_skeletons: Sequence[Skeleton],
    fallback_name: str,
) -> Skeleton:
    """Returns the skeleton of a label file.

    The first of these that exists is taken, with custom skeletons tried before the built-in ones: the skeleton with
    exactly these names, or with other names of the same places; the one with this number of keypoints, if the file has
    no names or half of them or more agree (some files spell a few names differently); a new one with the file's names
    and edges and a sigma of 0.07.

    Args:
        names: The names of the keypoints; None where the file has none. Numbered names (`point 3`) count as none.
        counts: The numbers of keypoints that the people of the file have.
        edges: Pairs of keypoint numbers from 1, as in COCO's `skeleton`; invalid ones are left out.
        custom_skeletons: Skeletons to consider besides the built-in ones.
        fallback_name: The name of a skeleton built from the names of the file.

    Raises:
        AnnotationError: The file has no names, and no skeleton has its number of keypoints.
    """
    known = [*custom_skeletons, *SKELETONS.values()]
    for skeleton in known:
        if names is not None and tuple(names) == skeleton.keypoints:
            return skeleton
    for skeleton in (*known, POSETRACK17):
        if names is not None and tuple(_SYNONYMS.get(name, name) for name in names) == skeleton.keypoints:
            return skeleton
    numbers = set(counts) | ({len(names)} if names else set())
    has_names = bool(names) and not all(_NUMBERED_NAME.fullmatch(name) for name in names or ())
    for skeleton in known:
        agreeing = sum(a == b for a, b in zip(names or (), skeleton.keypoints, strict=False))
        if numbers == {len(skeleton)} and (not has_names or 2 * agreeing >= len(skeleton)):
            return skeleton
    if not names:
        raise AnnotationError(
            f"its people's {', '.join(map(str, sorted(numbers))) or 'no'} keypoints fit no known skeleton "
            f"({', '.join(f'{skeleton.name} has {len(skeleton)}' for skeleton in known)}); name them in the file, "
            "or write your own skeleton into skeleton.toml beside it"
        )
    valid_edges = _parse_edges(edges, len(names))
    return Skeleton(
        name=fallback_name,
        keypoints=tuple(names),
        edges=valid_edges,
        limbs=valid_edges,
        flip_pairs=find_flip_pairs(tuple(names)),
        sigmas=(DEFAULT_SIGMA,) * len(names),
    )


def _parse_edges(edges: Any, count: int) -> tuple[tuple[int, int], ...]:
    """Returns the valid pairs of a list of pairs of keypoint numbers from 1, as indices from 0."""
    pairs = []
    for pair in edges if isinstance(edges, list) else []:
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(end, int) for end in pair):
            start, end = pair[0] - 1, pair[1] - 1
            if start != end and 0 <= start < count and 0 <= end < count:
                pairs.append((start, end))
    return tuple(pairs)
