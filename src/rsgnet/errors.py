"""What this package raises when a user's input cannot be used.

Every message names the file or value at fault and says what to do about it.
"""


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
