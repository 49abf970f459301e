"""What this package raises when a user's input cannot be used.

Every message names the file or value at fault and says what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_HEAD, _TAIL = 1000, 400  # characters of a message that are kept


class RSGNetError(ValueError):
    """A user's input cannot be used; the message says which, why, and what to do.

    Messages quote what files and clients say. So that no such text floods or paints on a terminal or a log, they are
    one line of printable characters, the middle left out of very long ones.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(_one_line(str(message)))


class ImageError(RSGNetError):
    """An image is missing, broken or over the pixel limit."""


class VideoError(RSGNetError):
    """A clip or a camera is missing, broken or cannot be written as it must."""


class AnnotationError(RSGNetError):
    """An annotation or result file does not hold what its format promises."""


class WeightsError(RSGNetError):
    """A weights file or model directory is missing, broken or of the wrong kind."""


def _one_line(text: str) -> str:
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} [...] {text[-_TAIL:]}"
    if text.isprintable():
        return text
    line = " ".join(text.splitlines())
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)


@contextmanager
def requires_extra(what: str, extra: str) -> Iterator[None]:
    """Names what wants a library, and the extra to install, where one is missing.

    Args:
        what: What is to be done.
        extra: The extra of this package that brings the library.

    Raises:
        RSGNetError: The block could not import it.
    """
    try:
        yield
    except ImportError as error:
        raise RSGNetError(f"{what} needs {error.name or extra}: pip install 'rsgnet[{extra}]'") from error
