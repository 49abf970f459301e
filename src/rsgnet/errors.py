"""The errors that this package raises when a user's input cannot be used.

Every message names the file or value at fault and says what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

_HEAD_CHARACTERS, _TAIL_CHARACTERS = 1000, 400  # of a long message


class RSGNetError(ValueError):
    """A user's input cannot be used; the message says which input, why, and what to do.

    Messages quote text from files and clients. To keep terminals and logs safe from such text, a message is one line of
    printable characters, and the middle of a very long one is left out.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(_printable_line(str(message)))

    def forget_frames(self) -> Self:
        """Returns the error without its traceback and causes: their frames hold files and images in memory."""
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self


class ImageError(RSGNetError):
    """An image is missing, broken or over the pixel limit."""


class VideoError(RSGNetError):
    """A clip or a camera is missing or broken, or a clip cannot be written."""


class AnnotationError(RSGNetError):
    """An annotation or result file is missing or does not conform to its format."""


class WeightsError(RSGNetError):
    """A weights file or model directory is missing, broken or of the wrong kind."""


class RSGNetWarning(UserWarning):
    """What was asked for is done, but not as the user may expect: slower, or on another device."""


class NetworkError(RSGNetError):
    """A network failed while it ran; no image need be at fault."""


@contextmanager
def network_errors(origin: object) -> Iterator[None]:
    """Turns every error of the block, in which a library runs a network, into a `NetworkError`.

    Args:
        origin: The file of the network.
    """
    try:
        yield
    except Exception as error:  # libraries raise errors of their own classes
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise NetworkError(
            f"{origin}: the network failed ({reason}); try a smaller batch, or another device"
        ) from error


@contextmanager
def requires_extra(feature: str, extra: str) -> Iterator[None]:
    """Turns a failed import in the block into an error that says which extra to install.

    Args:
        feature: What needs the library, for the message.
        extra: The extra of this package that installs the library.

    Raises:
        RSGNetError: A library that the block imports is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise RSGNetError(f"{feature} needs {error.name or extra}: pip install 'rsgnet[{extra}]'") from error


def _printable_line(text: str) -> str:
    if len(text) > _HEAD_CHARACTERS + _TAIL_CHARACTERS:
        text = f"{text[:_HEAD_CHARACTERS]} [...] {text[-_TAIL_CHARACTERS:]}"
    if text.isprintable():
        return text
    line = " ".join(text.splitlines())
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)
