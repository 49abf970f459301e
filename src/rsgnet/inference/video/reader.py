"""Reading clips and cameras frame by frame: upright, each frame with its time, one at a time in memory."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsgnet.errors import VideoError
from rsgnet.files import require_non_empty
from rsgnet.images import MAX_PIXELS, RGBImage
from rsgnet.inference.detectors.detector import LoadedImage

if TYPE_CHECKING:
    import av


VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".3gp"}
)
CAMERA_PREFIX = "camera:"
# By platform: FFmpeg's input device, and its name for a camera.
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
_END_TOLERANCE_S = Fraction(1, 5)  # a clip that ends this much before the time in its header is truncated
# Playlists and manifests name other files and addresses, which FFmpeg would open: only containers in files are read.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,asf,flv,h264,hevc,m4v"
_FILE_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_DEFAULT_RATE = Fraction(30)


@dataclass(frozen=True, eq=False)
class Frame(LoadedImage):
    """One frame of a clip. Its `file_name` is such as `clip.mp4#12`, and its path is None.

    Attributes:
        index: Its number, from 0.
        time: When it is shown, in seconds of the clip's own clock. A camera's first frame has time 0.
    """

    index: int = 0
    time: Fraction = Fraction(0)


class Clip:
    """A clip or a camera; its frames can be iterated over once.

        with open_clip(path) as clip:
            for frame in clip: ...
        if clip.error: ...

    Attributes:
        path: The file; None for a camera.
        time_base: The unit of all times, in seconds.
        rate: Frames per second, on average.
        error: After the iteration: why the clip could not be read whole; None if it could.
    """

    def __init__(self, container: av.container.InputContainer, name: str, path: Path | None, max_pixels: int) -> None:
        if not container.streams.video:
            raise VideoError(f"{name}: holds no video")
        self.path, self._name, self._container = path, name, container
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.time_base: Fraction = self._stream.time_base or 1 / _DEFAULT_RATE
        self.rate: Fraction = self._stream.average_rate or _DEFAULT_RATE
        self.error: VideoError | None = None
        self._max_pixels = max_pixels
        width, height = self._stream.codec_context.width, self._stream.codec_context.height
        if width * height > max_pixels:
            raise self._too_large(width, height)

    def _too_large(self, width: int, height: int) -> VideoError:
        return VideoError(
            f"{self._name}: frames of {width}x{height} are over the limit of {self._max_pixels} pixels; "
            "scale it down or raise the limit"
        )

    def __iter__(self) -> Iterator[Frame]:
        index, time, end, start = 0, None, Fraction(0), Fraction(0)
        for decoded in self._decode():
            time = self._time_of(decoded, time)
            end = time + (getattr(decoded, "duration", None) or 0) * self.time_base
            if index == 0 and self.path is None:
                start = time  # the clock of a camera does not begin at 0
            if decoded.width * decoded.height > self._max_pixels:  # frames can be larger than the header says
                self.error = self._too_large(decoded.width, decoded.height)
                break
            yield Frame(_to_upright_pixels(decoded), f"{self._name}#{index}", index=index, time=time - start)
            index += 1
        if self.error is None and self.path is not None:
            self.error = self._find_truncation(index, end)

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Yields the frames that can be decoded; skips damaged packets and counts them in `error`."""
        ffmpeg_error = load_pyav().FFmpegError
        damaged, packets = 0, self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except ffmpeg_error as error:
                self.error = VideoError(f"{self._name}: cannot be read to its end ({error.strerror})")
                break
            try:
                yield from packet.decode()
            except ffmpeg_error:
                damaged += 1
        if damaged:
            self.error = VideoError(f"{self._name}: {damaged} damaged packets were skipped")

    def _time_of(self, decoded: av.VideoFrame, previous: Fraction | None) -> Fraction:
        """Returns a frame's time, later than the previous one; by the frame rate where the file has none."""
        if decoded.pts is None:
            if previous is None:
                return Fraction(0)
            return previous + round(1 / self.rate / self.time_base) * self.time_base
        time = decoded.pts * self.time_base
        return time if previous is None else max(time, previous + self.time_base)

    def _find_truncation(self, frames: int, end: Fraction) -> VideoError | None:
        """Returns an error for a clip of which no frame could be read, or that ended before the time in its header."""
        if not frames:
            return VideoError(f"{self._name}: holds no frame that can be read; is it truncated?")
        expected_end = _read_end_time(self._stream)
        if expected_end is None or end + _END_TOLERANCE_S >= expected_end:
            return None
        return VideoError(
            f"{self._name}: ends at {float(end):.2f} s of {float(expected_end):.2f}; it is truncated, "
            f"the {frames} frames before were processed"
        )


@contextmanager
def open_clip(source: str | Path, name: str = "", max_pixels: int = MAX_PIXELS) -> Iterator[Clip]:
    """Opens a clip, or the camera that `camera:0` names (`camera:NAME` on Windows).

    Args:
        source: The file or camera.
        name: The name in its frames and errors; "" for the source itself.
        max_pixels: Clips whose frames have more pixels than this are refused.

    Raises:
        VideoError: The clip is missing, empty, not a video, over the limit, or PyAV is not installed.
    """
    text, camera = str(source), is_camera(source)
    if not camera:
        require_non_empty(Path(source), VideoError)
    av = load_pyav()
    try:
        container = av.open(*_camera_arguments(text)) if camera else av.open(f"file:{text}", options=_FILE_OPTIONS)
    except (av.FFmpegError, OSError, ValueError) as error:
        problem = "cannot be opened" if camera else "not a video that can be read"
        hint = "is it connected, and used by nothing else?" if camera else "is it truncated?"
        raise VideoError(f"{text}: {problem} ({getattr(error, 'strerror', None) or error}); {hint}") from error
    with container:
        yield Clip(container, name or text, None if camera else Path(source), max_pixels)


def is_camera(source: object) -> bool:
    """Returns whether a source names a camera."""
    return str(source).startswith(CAMERA_PREFIX)


def load_pyav() -> Any:
    """Imports PyAV, the library that reads and writes clips.

    Raises:
        VideoError: It is not installed.
    """
    try:
        import av  # noqa: PLC0415
    except ImportError as error:
        raise VideoError("clips and cameras need PyAV: pip install 'rsgnet[video]'") from error
    return av


def _read_end_time(stream: av.VideoStream) -> Fraction | None:
    """Returns the time in seconds at which the video ends by the file's header; None where the header has none."""
    if stream.duration and stream.time_base:
        return (stream.duration + (stream.start_time or 0)) * stream.time_base
    # Matroska keeps the duration in a tag.
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    return None if match is None else Fraction(match[1]) * 3600 + Fraction(match[2]) * 60 + Fraction(match[3])


def _camera_arguments(source: str) -> tuple[str, str, str]:
    """Returns the arguments of `av.open` for a camera: its device, the mode, and the FFmpeg input device."""
    if sys.platform not in _CAMERAS:
        raise VideoError(f"{source}: no cameras are known on {sys.platform}; known are {', '.join(_CAMERAS)}")
    input_device, pattern = _CAMERAS[sys.platform]
    return pattern.format(source.removeprefix(CAMERA_PREFIX)), "r", input_device


def _to_upright_pixels(decoded: av.VideoFrame) -> RGBImage:
    """Returns (H, W, 3) RGB of a frame, rotated as its file says."""
    pixels = decoded.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(decoded.rotation / 90)))
