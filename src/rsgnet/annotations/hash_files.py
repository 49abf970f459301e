"""Files of image hashes: the images of published data sets, by which training data are audited without the images.

A file is text. After a first line that names the format, each set begins with `= NAME IMAGES`, where IMAGES is the
number of images in the published set. A line `FILE HASH` follows for each image whose hash is known; it is in base64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rsgnet.annotations.image_hashes import HASH_BYTES, HashBits
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.files import read_bounded, write_text

SUFFIX = ".hashes"
PUBLISHED = Path(__file__).with_name("published.hashes")
_FORMAT = "# rsgnet image hashes 1"
_MAX_BYTES = 1 << 28  # three million images


@dataclass(frozen=True, eq=False)
class HashedSet:
    """The images of a data set that are known by their hashes.

    Attributes:
        name: The name of the set, such as `coco:val2017`.
        size: The number of images in the published set.
        bits: The perceptual hash of each known image by its file name.
    """

    name: str
    size: int
    bits: dict[str, HashBits] = field(repr=False)


def read_hashed_sets(text: str) -> list[HashedSet] | None:
    """Returns the sets that a text on the command line stands for.

    Args:
        text: A file of hashes, or the name of a set in the file that ships.

    Returns:
        The sets; None if the text is neither, but labels.

    Raises:
        AnnotationError: The file is missing or broken.
    """
    if text.endswith(SUFFIX):
        return read_hash_file(Path(text))
    shipped = {each.name: each for each in read_hash_file(PUBLISHED)}
    return [shipped[text]] if text in shipped else None


def read_hash_file(path: Path) -> list[HashedSet]:
    """Reads a file of hashes.

    Raises:
        AnnotationError: The file is missing or broken.
    """
    try:
        first, *lines = read_bounded(path, _MAX_BYTES).decode().splitlines()
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise AnnotationError(f"{path}: not a file of image hashes") from error
    if first != _FORMAT:
        raise AnnotationError(f"{path}: not a file of image hashes; `rsgnet data hash` makes one")
    sets: list[HashedSet] = []
    for number, line in enumerate(lines, 2):
        name, _, value = line.rpartition(" ")
        try:
            if name.startswith("= "):
                sets.append(HashedSet(name[2:], int(value), {}))
            else:
                content = base64.b64decode(value, validate=True)
                if not sets or len(content) != HASH_BYTES:
                    raise ValueError
                sets[-1].bits[name] = np.frombuffer(content, np.uint8)
        except (ValueError, binascii.Error) as error:
            raise AnnotationError(f"{path}: line {number} is neither a set nor an image's hash") from error
    return sets


def write_hash_file(path: Path, sets: Sequence[HashedSet]) -> None:
    """Writes a file of hashes.

    Raises:
        RSGNetError: A name is longer than one line.
    """
    lines = [_FORMAT]
    for each in sets:
        lines.append(f"= {each.name} {each.size}")
        lines += [f"{name} {base64.b64encode(bits.tobytes()).decode()}" for name, bits in sorted(each.bits.items())]
    if broken := [line for line in lines if line.splitlines() != [line]]:
        raise RSGNetError(f"{path}: no name may contain a line break: {broken[0]!r}")
    write_text(path, "\n".join(lines) + "\n")
