"""Hashes of images, by which the same image is found in another split: as the same file, or slightly changed.

The perceptual hash is a difference hash of 312 bits: whether each of 13x13 cells is brighter than its left and its
upper neighbour. Of different photos about half of the bits differ. Images count as the same if at most 40 bits differ,
and at most a fifth of the bits that are set in both together, because even areas set none. This finds images that were
scaled, stretched, recompressed or brightened, but not mirrored, rotated or cropped ones, except by about 2 %.
`benchmarks/leak_audit.py` measures it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsgnet.annotations.people import AnnotatedImage, Annotations
from rsgnet.errors import ImageError
from rsgnet.files import compute_sha256
from rsgnet.images import read_grey_thumbnail

HASH_BYTES = 39
HashBits = NDArray[np.uint8]  # (39,) the packed bits
_CELLS, _CELL_PX = 13, 2
_MAX_DIFFERING_BITS, _MAX_DIFFERING_SHARE = 40, 0.2
_MARGIN = 1.0  # grey levels by which a cell is brighter, so that even areas give no accidental bits
_MIN_CONTRAST = 4.0  # standard deviation in grey levels; images with less have nothing to compare
_THREADS = 4
_ROWS_PER_BLOCK = 512  # rows of the table of pairs that are in memory at a time


@dataclass(frozen=True, eq=False)
class ImageHash:
    """The data by which an image is found again.

    Attributes:
        size_wh: Width and height of the image in pixels.
        sha256: SHA-256 of the file's content.
        bits: The perceptual hash; None for an image of nearly one colour.
    """

    size_wh: tuple[int, int]
    sha256: str
    bits: HashBits | None = field(repr=False)


def hash_image(path: Path) -> ImageHash:
    """Decodes an image file and computes its hashes.

    Raises:
        ImageError: The file is missing, empty, truncated, not an image, or too large.
    """
    thumbnail, size_wh = read_grey_thumbnail(path, (_CELLS * _CELL_PX, _CELLS * _CELL_PX))
    cells = thumbnail.reshape(_CELLS, _CELL_PX, _CELLS, _CELL_PX).mean((1, 3))
    brighter = np.concatenate([np.diff(cells, axis=axis).ravel() for axis in (1, 0)]) > _MARGIN
    return ImageHash(size_wh, compute_sha256(path), np.packbits(brighter) if cells.std() >= _MIN_CONTRAST else None)


def hash_images(
    annotations: Annotations, folder: Path | None
) -> Iterator[tuple[AnnotatedImage, ImageHash | ImageError | None]]:
    """Yields each image of a data set with its hash, or the error of reading it, or None where there is no folder."""

    def try_hash(image: AnnotatedImage) -> ImageHash | ImageError | None:
        try:
            return None if folder is None else hash_image(folder / image.file_name)
        except ImageError as error:
            return error

    with ThreadPoolExecutor(_THREADS) as pool:
        yield from zip(annotations.images, pool.map(try_hash, annotations.images), strict=True)


def match_equal_files(first: Sequence[ImageHash], second: Sequence[ImageHash]) -> Iterator[tuple[int, int]]:
    """Yields the index pairs of images whose files are equal."""
    index_by_sha256 = {each.sha256: index for index, each in enumerate(second)}
    for index, each in enumerate(first):
        if each.sha256 in index_by_sha256:
            yield index, index_by_sha256[each.sha256]


def match_similar_images(
    first: Sequence[HashBits | None], second: Sequence[HashBits | None]
) -> Iterator[tuple[int, int]]:
    """Yields the index pairs of images that look alike, equal files included; those without a hash are in none."""
    rows, row_words, row_counts = _stack_words(first)
    columns, column_words, column_counts = _stack_words(second)
    for start in range(0, len(rows), _ROWS_PER_BLOCK):
        block = slice(start, start + _ROWS_PER_BLOCK)
        differing = sum(
            np.bitwise_count(ours[block, None] ^ theirs[None]).astype(np.uint16)
            for ours, theirs in zip(row_words, column_words, strict=True)
        )
        set_bits = row_counts[block, None] + column_counts[None]
        limits = np.minimum(_MAX_DIFFERING_BITS, _MAX_DIFFERING_SHARE * set_bits)
        for row, column in np.argwhere(differing <= limits):
            yield rows[start + row], columns[column]


def _stack_words(
    hashes: Sequence[HashBits | None],
) -> tuple[list[int], NDArray[np.uint64], NDArray[np.uint16]]:
    """Returns the indices of the images that have a hash, (5, N) words of 64 bits, and (N,) counts of set bits."""
    rows = [index for index, bits in enumerate(hashes) if bits is not None]
    padded = np.zeros((len(rows), HASH_BYTES + 1), np.uint8)
    padded[:, :HASH_BYTES] = np.array([hashes[row] for row in rows], np.uint8).reshape(-1, HASH_BYTES)
    counts = np.bitwise_count(padded).sum(1, dtype=np.uint16)
    return rows, np.ascontiguousarray(padded.view(np.uint64).T), counts
