import struct
import sys
from fractions import Fraction

import numpy as np
import pytest

from rsgnet.errors import VideoError
from rsgnet.inference.video import reader as video
from rsgnet.inference.video.reader import open_clip

UNEVEN = [0, 40, 41, 300, 310, 700, 1500, 1533]


def frames_of(path, **options):
    with open_clip(path, **options) as clip:
        return list(clip), clip


def test_frames_come_in_order_with_names_and_times(clip):
    frames, read = frames_of(clip(frames=12), name="holiday/clip.mp4")
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == [Fraction(index, 10) for index in range(12)]
    assert frames[3].file_name == "holiday/clip.mp4#3"
    for index, frame in enumerate(frames):
        assert frame.pixels.shape == (48, 64, 3)
        assert frame.pixels[40, 50].tolist() == pytest.approx([8 * index] * 3, abs=6)
    assert (read.rate, read.trouble) == (10, None)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_times_of_a_variable_rate_are_kept(clip, name):
    frames, read = frames_of(clip(name, frames=len(UNEVEN), times_ms=UNEVEN))
    assert [frame.time * 1000 for frame in frames] == UNEVEN
    assert read.trouble is None


def turned(path, matrix):
    """Writes a display matrix (a, b, c, d of its upper left) into the first track of an MP4."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("matrix", "size_wh", "white"),
    [
        ((1, 0, 0, 1), (64, 48), (0, 0)),
        ((0, 1, -1, 0), (48, 64), (0, 1)),  # a quarter turn clockwise: the upper left goes to the upper right
        ((-1, 0, 0, -1), (64, 48), (1, 1)),
        ((0, -1, 1, 0), (48, 64), (1, 0)),
    ],
)
def test_frames_are_upright(clip, matrix, size_wh, white):
    frames, _ = frames_of(turned(clip(frames=2), matrix))
    for frame in frames:
        assert frame.size_wh == size_wh
        assert frame.pixels.flags["C_CONTIGUOUS"]
        height, width = frame.pixels.shape[:2]
        bright = [
            [frame.pixels[height // 4 + y, width // 4 + x, 0] > 240 for x in (0, width // 2)] for y in (0, height // 2)
        ]
        assert np.argwhere(bright).tolist() == [list(white)]


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
def test_what_is_there_of_a_truncated_clip_is_read(clip, name):
    path = clip(name, frames=30, size_wh=(160, 120), sound="aac")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    frames, read = frames_of(path)
    assert 5 < len(frames) < 28
    assert [frame.index for frame in frames] == list(range(len(frames)))
    end = float(frames[-1].time) + 0.1
    assert f"{path}: ends at {end:.2f} s of 3.0" in str(read.trouble) and "truncated" in str(read.trouble)


def test_damaged_packets_are_passed_over_and_told(clip):
    path = clip(frames=30, size_wh=(160, 120))
    content = bytearray(path.read_bytes())
    middle = (content.index(b"mdat") + len(content)) // 2
    content[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(content)
    frames, read = frames_of(path)
    assert 10 < len(frames) < 30
    assert str(path) in str(read.trouble) and "damaged packets were passed over" in str(read.trouble)


def test_a_clip_whose_frames_are_all_cut_off(clip):
    path = clip()
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4])
    frames, read = frames_of(path)
    assert frames == [] and "holds no frame that can be read" in str(read.trouble)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "the file is empty"), (b"no video\n" * 99, "not a video that can be read")],
)
def test_what_is_no_clip_is_named(tmp_path, content, message):
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=f"x.mp4: {message}"), open_clip(path):
        pass


def test_a_folder_and_a_name_too_long_are_named(tmp_path):
    for name, message in (("", "Is a directory"), ("a" * 300 + ".mp4", "File name too long")):
        path = tmp_path / name
        with pytest.raises(VideoError) as caught, open_clip(path):
            pass
        assert str(caught.value) == f"{path}: cannot be read: {message}"


def test_sound_alone_is_no_clip(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as target:
        audio = target.add_stream("aac", rate=16_000)
        audio.layout = "mono"
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
        heard.sample_rate = 16_000
        target.mux([*audio.encode(heard), *audio.encode(None)])
    with pytest.raises(VideoError, match=r"song\.mp4: holds no video"), open_clip(path):
        pass


def test_the_pixel_limit(clip):
    path = clip()
    assert len(frames_of(path, max_pixels=64 * 48)[0]) == 12
    with pytest.raises(VideoError, match="64x48 are over the limit of 3071 pixels"), open_clip(path, max_pixels=3071):
        pass


def test_a_camera(monkeypatch):
    pytest.importorskip("av")
    monkeypatch.setitem(
        video._CAMERAS, sys.platform, ("lavfi", "testsrc=size=64x48:rate=10:duration={},setpts=PTS+9/TB")
    )
    frames, read = frames_of("camera:1")
    assert [frame.time for frame in frames] == [Fraction(index, 10) for index in range(10)]
    assert frames[0].file_name == "camera:1#0" and frames[0].path is None and read.trouble is None


def test_a_camera_that_is_not_there():
    pytest.importorskip("av")
    with pytest.raises(VideoError, match=r"camera:987: cannot be opened .*is it connected"), open_clip("camera:987"):
        pass


def test_a_platform_without_cameras(monkeypatch):
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(VideoError, match="camera:0: no cameras are known on plan9"), open_clip("camera:0"):
        pass


def test_without_pyav_the_extra_is_named(clip, monkeypatch):
    path = clip()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoError, match=r"pip install 'rsgnet\[video\]'"), open_clip(path):
        pass
