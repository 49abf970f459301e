"""Whose pixels are whose: COCO segmentations to masks and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as rle
from numpy.typing import NDArray

from rsgnet.annotations.readers import load_json
from rsgnet.errors import AnnotationError

Mask = NDArray[np.bool_]
Segmentation = Sequence[Any] | Mapping[str, Any]


def read_segmentations(path: Path) -> dict[int, Segmentation]:
    """The segmentations of a COCO file by the ids of their annotations; none of a file of any other format.

    Raises:
        AnnotationError: The file is missing or broken.
    """
    content = load_json(path) if path.suffix.lower() == ".json" else {}
    entries = content.get("annotations", []) if isinstance(content, Mapping) else []
    return {int(each["id"]): each["segmentation"] for each in entries if each.get("segmentation") and "id" in each}


def segmentation_mask(segmentation: Segmentation, size_wh: tuple[int, int]) -> Mask:
    """(H, W) the pixels of a segmentation: polygons, or run lengths, compressed or not.

    Raises:
        AnnotationError: It is none of these, or made for another size.
    """
    width, height = size_wh
    if isinstance(segmentation, Mapping) and segmentation.get("size") != [height, width]:
        told = str(segmentation.get("size"))
        raise AnnotationError(f"a segmentation's size, height and width, is {told}, its image's [{height}, {width}]")
    try:
        compressed = isinstance(segmentation, Mapping) and isinstance(segmentation["counts"], str | bytes)
        parts = segmentation if compressed else rle.frPyObjects(segmentation, height, width)
        mask = rle.decode(rle.merge(parts) if isinstance(parts, list) else parts)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AnnotationError(f"a segmentation cannot be read: {type(error).__name__} {error}") from error
    if mask.shape != (height, width):
        raise AnnotationError(f"a segmentation is {mask.shape[1]}x{mask.shape[0]}, its image {width}x{height}")
    found: Mask = mask.astype(np.bool_)
    return found


def encoded_mask(mask: Mask) -> dict[str, Any]:
    """COCO's compressed run lengths of an (H, W) mask, ready for JSON."""
    runs = rle.encode(np.asfortranarray(mask, np.uint8))
    counts = runs["counts"]
    return {"size": list(mask.shape), "counts": counts.decode() if isinstance(counts, bytes) else counts}


def extent_xyxy(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a mask with any pixel set, edges between pixels."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
