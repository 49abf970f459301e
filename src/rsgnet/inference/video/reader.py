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
from rsgnet.files import require_content
from rsgnet.images import MAX_PIXELS, RGBImage
from rsgnet.inference.detectors.boxes import LoadedImage

if TYPE_CHECKING:
    import av


VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".3gp"}
)
CAMERA_PREFIX = "camera:"
# By platform: FFmpeg's input device, and what it calls a camera.
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
_EARLY_S = Fraction(1, 5)  # a clip that ends this much before its time is cut off
# Playlists and manifests name other files and addresses, which FFmpeg would open: only containers are taken, and files.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,asf,flv,h264,hevc,m4v"
_FILE_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_USUAL_RATE = Fraction(30)


@dataclass(frozen=True, eq=False)
class Frame(LoadedImage):
    """One frame of a clip; its `file_name` is `clip.mp4#12`, and it has no path.

    Attributes:
        index: Its number, from 0.
        time: When it is shown, in seconds by the clip's own clock; a camera's begins at 0.
    """

    index: int = 0
    time: Fraction = Fraction(0)


class Clip:
    """A clip or a camera, to be gone through once.

        with open_clip(path) as clip:
            for frame in clip: ...
        if clip.trouble: ...

    Attributes:
        path: The file; None for a camera.
        time_base: What times are multiples of, in seconds.
        rate: Frames a second, on average.
        trouble: Once it was gone through: why not all of it could be read; None where all is well.
    """

    def __init__(self, container: av.container.InputContainer, name: str, path: Path | None, max_pixels: int) -> None:
        if not container.streams.video:
            raise VideoError(f"{name}: holds no video")
        self.path, self._name, self._container = path, name, container
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.time_base: Fraction = self._stream.time_base or 1 / _USUAL_RATE
        self.rate: Fraction = self._stream.average_rate or _USUAL_RATE
        self.trouble: VideoError | None = None
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
        for decoded in self._decoded():
            time = self._time_of(decoded, time)
            end = time + (getattr(decoded, "duration", None) or 0) * self.time_base
            if index == 0 and self.path is None:
                start = time  # cameras tell the time of day
            if decoded.width * decoded.height > self._max_pixels:  # frames may grow after the header
                self.trouble = self._too_large(decoded.width, decoded.height)
                break
            yield Frame(_upright(decoded), f"{self._name}#{index}", index=index, time=time - start)
            index += 1
        if self.trouble is None and self.path is not None:
            self.trouble = self._shortfall(index, end)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """What can be decoded; damaged packets are passed over and counted."""
        broken = load_pyav().FFmpegError
        damaged, packets = 0, self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except broken as error:
                self.trouble = VideoError(f"{self._name}: cannot be read to its end ({error.strerror})")
                break
            try:
                yield from packet.decode()
            except broken:
                damaged += 1
        if damaged:
            self.trouble = VideoError(f"{self._name}: {damaged} damaged packets were passed over")

    def _time_of(self, decoded: av.VideoFrame, before: Fraction | None) -> Fraction:
        """A frame's time, later than that before; where the file has none, as the rate has it."""
        if decoded.pts is None:
            return Fraction(0) if before is None else before + round(1 / self.rate / self.time_base) * self.time_base
        time = decoded.pts * self.time_base
        return time if before is None else max(time, before + self.time_base)

    def _shortfall(self, frames: int, end: Fraction) -> VideoError | None:
        if not frames:
            return VideoError(f"{self._name}: holds no frame that can be read; is it truncated?")
        promised = _promised_end(self._stream)
        if promised is None or end + _EARLY_S >= promised:
            return None
        return VideoError(
            f"{self._name}: ends at {float(end):.2f} s of {float(promised):.2f}; it is truncated, "
            f"what came before was done ({frames} frames)"
        )


@contextmanager
def open_clip(source: str | Path, name: str = "", max_pixels: int = MAX_PIXELS) -> Iterator[Clip]:
    """Opens a clip, or the camera that `camera:0` names (`camera:NAME` on Windows).

    Args:
        source: The file or camera.
        name: What its frames and errors call it; the source itself where "".
        max_pixels: Clips whose frames have more pixels than this are refused.

    Raises:
        VideoError: It is missing, empty, no video, over the limit, or PyAV is not installed.
    """
    text, camera = str(source), is_camera(source)
    if not camera:
        require_content(Path(source), VideoError)
    av = load_pyav()
    try:
        container = av.open(*_camera(text)) if camera else av.open(f"file:{text}", options=_FILE_OPTIONS)
    except (av.FFmpegError, OSError, ValueError) as error:
        what = "cannot be opened" if camera else "not a video that can be read"
        hint = "is it connected, and used by nothing else?" if camera else "is it truncated?"
        raise VideoError(f"{text}: {what} ({getattr(error, 'strerror', None) or error}); {hint}") from error
    with container:
        yield Clip(container, name or text, None if camera else Path(source), max_pixels)


def is_camera(source: object) -> bool:
    """Whether a source names a camera."""
    return str(source).startswith(CAMERA_PREFIX)


def load_pyav() -> Any:
    """The library that reads and writes clips.

    Raises:
        VideoError: It is not installed.
    """
    try:
        import av  # noqa: PLC0415
    except ImportError as error:
        raise VideoError("clips and cameras need PyAV: pip install 'rsgnet[video]'") from error
    return av


def _promised_end(stream: av.VideoStream) -> Fraction | None:
    """When a file says that its video ends, in seconds; None where it does not."""
    if stream.duration and stream.time_base:
        return (stream.duration + (stream.start_time or 0)) * stream.time_base
    told = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))  # Matroska has a tag
    return None if told is None else Fraction(told[1]) * 3600 + Fraction(told[2]) * 60 + Fraction(told[3])


def _camera(source: str) -> tuple[str, str, str]:
    """The arguments that open a camera: its device, how it is opened, and by what."""
    if sys.platform not in _CAMERAS:
        raise VideoError(f"{source}: no cameras are known on {sys.platform}; known are {', '.join(_CAMERAS)}")
    device, pattern = _CAMERAS[sys.platform]
    return pattern.format(source.removeprefix(CAMERA_PREFIX)), "r", device


def _upright(decoded: av.VideoFrame) -> RGBImage:
    """(H, W, 3) RGB of a frame, turned as its file says."""
    pixels = decoded.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(decoded.rotation / 90)))
