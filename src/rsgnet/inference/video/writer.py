"""Writing clips: images at their times, and the sound of the source clip, copied unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from rsgnet.errors import VideoError
from rsgnet.files import replace_atomically
from rsgnet.inference.video.reader import load_pyav

if TYPE_CHECKING:
    import av


_ENCODERS = {"libx264": {"crf": "20", "preset": "veryfast"}, "libopenh264": {}}  # H.264 encoders and their settings
_MP4_SOUND_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "flac", "opus"})  # that players expect in MP4


class ClipWriter:
    """Writes images to a clip, and the sound that belongs between them.

    Attributes:
        path: Where the clip will be.
    """

    def __init__(
        self,
        path: Path,
        target: av.container.OutputContainer,
        video: av.VideoStream,
        time_base: Fraction,
        sound: _SoundCopier | None,
    ) -> None:
        self.path, self._target, self._video, self._time_base, self._sound = path, target, video, time_base, sound

    def write(self, image: Image.Image, time: Fraction) -> None:
        """Adds an RGB image that is shown from a time in seconds on; times must increase."""
        frame = load_pyav().VideoFrame.from_image(image)
        frame = frame.reformat(self._video.width, self._video.height, "yuv420p")
        frame.pts, frame.time_base = round(time / self._time_base), self._time_base
        self._target.mux(self._video.encode(frame))
        if self._sound is not None:
            self._sound.copy_until(time)

    def flush(self) -> None:
        """Writes the frames that the encoder still holds."""
        self._target.mux(self._video.encode(None))


@contextmanager
def open_clip_writer(
    path: Path, size_wh: tuple[int, int], time_base: Fraction, rate: Fraction, sound_of: Path | None = None
) -> Iterator[ClipWriter]:
    """Opens an H.264 clip to write. It replaces `path` at the end; an interrupted one is `get_partial_path(path)`.

    Args:
        path: The clip; .mp4 becomes .mkv where an MP4 cannot hold the sound.
        size_wh: Width and height in pixels; an odd one loses a pixel. Images of another size are scaled.
        time_base: The unit of all times, in seconds.
        rate: Images per second, on average.
        sound_of: A clip whose sound is copied, packet by packet. Where that clip is broken the sound ends.

    Raises:
        VideoError: PyAV is not installed, has no encoder of H.264, or cannot write the clip.
    """
    av = load_pyav()
    encoder = next((name for name in _ENCODERS if name in av.codecs_available), None)
    if encoder is None:
        raise VideoError("this PyAV has no encoder of H.264: install the one of 'rsgnet[video]', or draw no overlays")
    with _write_errors(path), ExitStack() as opened:
        source = None if sound_of is None else opened.enter_context(av.open(str(sound_of)))
        sound_codecs = set() if source is None else {stream.codec.canonical_name for stream in source.streams.audio}
        if not sound_codecs <= _MP4_SOUND_CODECS:
            path = path.with_suffix(".mkv")
        beside = opened.enter_context(replace_atomically(path, keep_partial=True))
        target = opened.enter_context(av.open(str(beside), "w"))
        video = target.add_stream(encoder, rate=rate, options=_ENCODERS[encoder])
        video.width, video.height = (max(side // 2 * 2, 2) for side in size_wh)
        video.pix_fmt, video.codec_context.time_base = "yuv420p", time_base
        sound = _SoundCopier(source, target) if source is not None and sound_codecs else None
        writer = ClipWriter(path, target, video, time_base, sound)
        try:
            yield writer
            if sound is not None:
                sound.copy_until(None)
        finally:
            writer.flush()


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Turns PyAV's errors into a VideoError that names the clip."""
    try:
        yield
    except load_pyav().FFmpegError as error:
        raise VideoError(f"{path}: cannot be written ({error.strerror}); write another, or draw no overlays") from error


class _SoundCopier:
    """Copies the sound of one clip into another."""

    def __init__(self, source: av.container.InputContainer, target: av.container.OutputContainer) -> None:
        self._target = target
        self._copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams.audio}
        self._packets = source.demux(source.streams.audio)
        self._next = self._read_packet()

    def copy_until(self, time: Fraction | None) -> None:
        """Copies the sound up to a time in seconds; the rest of it where None."""
        while self._next is not None and (time is None or self._next.dts * self._next.time_base <= time):
            self._next.stream = self._copies[self._next.stream.index]
            self._target.mux(self._next)
            self._next = self._read_packet()

    def _read_packet(self) -> Any:
        """Returns the next packet; None at the end, or where the source is broken."""
        try:
            return next((packet for packet in self._packets if packet.dts is not None), None)
        except load_pyav().FFmpegError:
            return None
