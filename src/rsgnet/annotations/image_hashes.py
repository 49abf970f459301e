"""Fingerprints of images, by which one is known again in another split: the same bytes, or the same view.

The perceptual print has 64 bits: whether each of 8x8 cells is brighter than its right neighbour (a difference hash).
Prints that differ in at most 16 bits are held side by side as thumbnails, which must correlate. That finds images
that were scaled, compressed anew, brightened or lightly changed; not those that were mirrored, turned or cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.images import RGBImage, grey_thumbnail

_CELLS_WH, _CELL = (9, 8), 2  # thumbnails are 18x16
_MOST_BITS, _LEAST_CORRELATION = 16, 0.95
_LEAST_CONTRAST = 4.0  # grey levels; images of one tone have no view to compare
_ROWS = 512  # of the table of pairs that is held at a time


@dataclass(frozen=True, eq=False)
class ImagePrint:
    """What is kept of an image to know it again.

    Attributes:
        size_wh: Its width and height in pixels.
        sha256: Of the file's bytes.
        bits: Its perceptual print.
        thumbnail: (16, 18) grey.
    """

    size_wh: tuple[int, int]
    sha256: str
    bits: int
    thumbnail: RGBImage = field(repr=False)


def image_print(path: Path) -> ImagePrint:
    """The fingerprint of an image file, which is decoded for it.

    Raises:
        ImageError: The file is missing, empty, truncated, not an image, or over the limit.
    """
    thumbnail, size_wh = grey_thumbnail(path, (_CELLS_WH[0] * _CELL, _CELLS_WH[1] * _CELL))
    cells = thumbnail.reshape(_CELLS_WH[1], _CELL, _CELLS_WH[0], _CELL).mean((1, 3))
    bits = int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return ImagePrint(size_wh, digest.hexdigest(), bits, thumbnail)


def same_bytes(some: Sequence[ImagePrint], others: Sequence[ImagePrint]) -> Iterator[tuple[int, int]]:
    """Index pairs of images whose files are equal."""
    by_digest = {each.sha256: index for index, each in enumerate(others)}
    for index, each in enumerate(some):
        if each.sha256 in by_digest:
            yield index, by_digest[each.sha256]


def same_view(some: Sequence[ImagePrint], others: Sequence[ImagePrint]) -> Iterator[tuple[int, int]]:
    """Index pairs of images that show the same, files that are equal included."""
    if not some or not others:
        return
    across = np.array([each.bits for each in others], np.uint64)
    for start in range(0, len(some), _ROWS):
        rows = np.array([each.bits for each in some[start : start + _ROWS]], np.uint64)
        close = np.bitwise_count(rows[:, None] ^ across[None]) <= _MOST_BITS
        for row, column in zip(*np.nonzero(close), strict=True):
            if _correlation(some[start + row].thumbnail, others[column].thumbnail) >= _LEAST_CORRELATION:
                yield int(start + row), int(column)


def _correlation(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    first, second = one.astype(np.float64).ravel(), two.astype(np.float64).ravel()
    first, second = first - first.mean(), second - second.mean()
    if min(first.std(), second.std()) < _LEAST_CONTRAST:
        return 0.0
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
