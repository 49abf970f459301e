"""What this package raises when a user's input cannot be used.

Every message names the file or value at fault and says what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class RSGNetError(ValueError):
    """A user's input cannot be used; the message says which, why, and what to do."""


class PictureError(RSGNetError):
    """A picture is missing, broken or over the pixel limit."""


class VideoError(RSGNetError):
    """A clip or a camera is missing, broken or cannot be written as it must."""


class AnnotationError(RSGNetError):
    """An annotation or result file does not hold what its format promises."""


class WeightsError(RSGNetError):
    """A weights file or model directory is missing, broken or of the wrong kind."""


@contextmanager
def needing(what: str, extra: str) -> Iterator[None]:
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
