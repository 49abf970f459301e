"""Conversion between COCO segmentations and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hotcoco import mask as rle
from numpy.typing import NDArray

from rsgnet.annotations.readers import load_json
from rsgnet.errors import AnnotationError

Mask = NDArray[np.bool_]
Segmentation = Sequence[Any] | Mapping[str, Any]


def read_segmentations(path: str | Path) -> dict[int, Segmentation]:
    """Reads the segmentations of a COCO file by annotation id. Files of other formats have none.

    Raises:
        AnnotationError: The file is missing or broken.
    """
    path = Path(path)
    content = load_json(path) if path.suffix.lower() == ".json" else {}
    entries = content.get("annotations", []) if isinstance(content, Mapping) else []
    return {int(each["id"]): each["segmentation"] for each in entries if each.get("segmentation") and "id" in each}


def decode_segmentation(segmentation: Segmentation, size_wh: tuple[int, int]) -> Mask:
    """Decodes a segmentation of an image: polygons, or run lengths with or without compression.

    Returns:
        The (H, W) mask.

    Raises:
        AnnotationError: The segmentation is invalid, or belongs to an image of another size.
    """
    width, height = size_wh
    if isinstance(segmentation, Mapping) and segmentation.get("size") != [height, width]:
        given = str(segmentation.get("size"))
        raise AnnotationError(f"a segmentation has the size {given}, its image [{height}, {width}] (height, width)")
    try:
        if isinstance(segmentation, Mapping):
            is_compressed = isinstance(segmentation["counts"], str | bytes)
            if not is_compressed and sum(segmentation["counts"]) != width * height:
                raise ValueError("its run lengths are not those of its size")
            encoded = dict(segmentation) if is_compressed else rle.frPyObjects(dict(segmentation), height, width)
        else:
            _check_polygons(segmentation, size_wh)
            encoded = rle.merge(rle.frPyObjects(segmentation, height, width))
        decoded = rle.decode(encoded)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AnnotationError(f"a segmentation cannot be read: {type(error).__name__} {error}") from error
    if decoded.shape != (height, width):
        raise AnnotationError(f"a segmentation is {decoded.shape[1]}x{decoded.shape[0]}, its image {width}x{height}")
    mask: Mask = decoded.astype(np.bool_)
    return mask


def _check_polygons(polygons: Sequence[Sequence[float]], size_wh: tuple[int, int]) -> None:
    """Raises ValueError or TypeError where there are no points, or some far outside: edges take memory by length."""
    for polygon in polygons:
        if not (np.abs(np.asarray(polygon, np.float64)) <= 2 * max(size_wh)).all():
            raise ValueError("a point is far outside its image")


def encode_mask(mask: Mask) -> dict[str, Any]:
    """Encodes an (H, W) mask as COCO's compressed run lengths, ready for JSON."""
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    counts = encoded["counts"]
    return {"size": list(mask.shape), "counts": counts.decode() if isinstance(counts, bytes) else counts}


def mask_to_xyxy(mask: Mask) -> tuple[int, int, int, int]:
    """Returns the left, top, right and bottom edge of a mask with at least one pixel set, edges between pixels."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
