"""Which skeleton a data set's people have: known by the names of its keypoints, or failing names by their number."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from rsgnet.errors import AnnotationError
from rsgnet.skeletons import DEFAULT_SIGMA, SKELETONS, Skeleton, named_sides

_MERE_NUMBER = re.compile(r"\D*\d+")


def skeleton_of(
    names: Sequence[str] | None, counts: Collection[int], edges: Any, own: Sequence[Skeleton], called: str
) -> Skeleton:
    """The skeleton of a file.

    Args:
        names: The names of its keypoints, None where it gives none. Names such as `point 3` count as none.
        counts: The numbers of keypoints that its people have.
        edges: Pairs of keypoint numbers from 1, as COCO's `skeleton`; those that make no sense are left out.
        own: Skeletons that may be meant, besides the built-in ones and before them.
        called: What to call a skeleton that only the file knows.

    Returns:
        The one with these names; or of that number, where there are no names; or the built-in one of that number with
        half of the names or more, for files that spell some otherwise; or one made of the file's own names and edges,
        all its sigmas 0.07.

    Raises:
        AnnotationError: There are no names and no skeleton has that number of keypoints.
    """
    known = [*own, *SKELETONS.values()]
    for skeleton in known:
        if names is not None and tuple(names) == skeleton.keypoints:
            return skeleton
    numbers = set(counts) | ({len(names)} if names else set())
    nameless = not names or all(_MERE_NUMBER.fullmatch(name) for name in names)
    for skeleton in known:
        alike = nameless or 2 * sum(a == b for a, b in zip(names or (), skeleton.keypoints, strict=False)) >= len(
            skeleton
        )
        if numbers == {len(skeleton)} and alike:
            return skeleton
    if not names:
        raise AnnotationError(
            f"its people's {', '.join(map(str, sorted(numbers))) or 'no'} keypoints fit no known skeleton "
            f"({', '.join(f'{skeleton.name} has {len(skeleton)}' for skeleton in known)}); name them in the file, "
            "or write your own skeleton into skeleton.toml beside it"
        )
    return Skeleton(
        name=called,
        keypoints=tuple(names),
        edges=_edges(edges, len(names)),
        limbs=_edges(edges, len(names)),
        flip_pairs=named_sides(tuple(names)),
        sigmas=(DEFAULT_SIGMA,) * len(names),
    )


def _edges(edges: Any, count: int) -> tuple[tuple[int, int], ...]:
    pairs = []
    for pair in edges if isinstance(edges, list) else []:
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(end, int) for end in pair):
            start, end = pair[0] - 1, pair[1] - 1
            if start != end and 0 <= start < count and 0 <= end < count:
                pairs.append((start, end))
    return tuple(pairs)
