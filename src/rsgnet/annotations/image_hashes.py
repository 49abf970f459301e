"""Hashes of images, by which the same image is found in another split: as the same file, or slightly changed.

The perceptual hash is a difference hash of 64 bits: whether each of 8x8 cells is brighter than its right neighbour.
Images whose hashes differ in at most 16 bits are compared by their thumbnails, which must correlate. This finds images
that were scaled, recompressed, brightened or slightly changed, but not mirrored, rotated or cropped ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rsgnet.files import compute_sha256
from rsgnet.images import RGBImage, read_grey_thumbnail

_CELLS_WH, _CELL_PX = (9, 8), 2  # thumbnails have 18x16 pixels
_MAX_DIFFERING_BITS, _MIN_CORRELATION = 16, 0.95
_MIN_CONTRAST = 4.0  # standard deviation in grey levels; images with less have nothing to compare
_ROWS_PER_BLOCK = 512  # rows of the table of pairs that are in memory at a time


@dataclass(frozen=True, eq=False)
class ImageHash:
    """The data by which an image is found again.

    Attributes:
        size_wh: Width and height of the image in pixels.
        sha256: SHA-256 of the file's content.
        perceptual_hash: The 64 bits of the difference hash.
        thumbnail: (16, 18) grey image.
    """

    size_wh: tuple[int, int]
    sha256: str
    perceptual_hash: int
    thumbnail: RGBImage = field(repr=False)


def hash_image(path: Path) -> ImageHash:
    """Decodes an image file and computes its hashes.

    Raises:
        ImageError: The file is missing, empty, truncated, not an image, or too large.
    """
    thumbnail, size_wh = read_grey_thumbnail(path, (_CELLS_WH[0] * _CELL_PX, _CELLS_WH[1] * _CELL_PX))
    cells = thumbnail.reshape(_CELLS_WH[1], _CELL_PX, _CELLS_WH[0], _CELL_PX).mean((1, 3))
    perceptual_hash = int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")
    return ImageHash(size_wh, compute_sha256(path), perceptual_hash, thumbnail)


def match_equal_files(first: Sequence[ImageHash], second: Sequence[ImageHash]) -> Iterator[tuple[int, int]]:
    """Yields the index pairs of images whose files are equal."""
    index_by_sha256 = {each.sha256: index for index, each in enumerate(second)}
    for index, each in enumerate(first):
        if each.sha256 in index_by_sha256:
            yield index, index_by_sha256[each.sha256]


def match_similar_images(first: Sequence[ImageHash], second: Sequence[ImageHash]) -> Iterator[tuple[int, int]]:
    """Yields the index pairs of images that look alike, equal files included."""
    if not first or not second:
        return
    columns = np.array([each.perceptual_hash for each in second], np.uint64)
    for start in range(0, len(first), _ROWS_PER_BLOCK):
        rows = np.array([each.perceptual_hash for each in first[start : start + _ROWS_PER_BLOCK]], np.uint64)
        is_close = np.bitwise_count(rows[:, None] ^ columns[None]) <= _MAX_DIFFERING_BITS
        for row, column in zip(*np.nonzero(is_close), strict=True):
            if _correlate(first[start + row].thumbnail, second[column].thumbnail) >= _MIN_CORRELATION:
                yield int(start + row), int(column)


def _correlate(first: RGBImage, second: RGBImage) -> float:
    """Computes the correlation of two thumbnails; 0 where one has too little contrast."""
    one, two = first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
    one, two = one - one.mean(), two - two.mean()
    if min(one.std(), two.std()) < _MIN_CONTRAST:
        return 0.0
    return float(one @ two / (np.linalg.norm(one) * np.linalg.norm(two)))
