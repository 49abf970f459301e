"""Clips are read upright, with names and times, and broken ones as far as they go."""

import struct
import sys
from fractions import Fraction

import numpy as np
import pytest

from rsgnet.errors import VideoError
from rsgnet.inference.video import reader
from rsgnet.inference.video.reader import open_clip

UNEVEN = [0, 40, 41, 300, 310, 700, 1500, 1533]


def read_clip(path, **options):
    """Returns the frames of a clip, and the clip."""
    with open_clip(path, **options) as clip:
        return list(clip), clip


def test_frames_have_names_and_times_in_order(clip):
    frames, opened = read_clip(clip(frames=12), name="holiday/clip.mp4")
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == [Fraction(index, 10) for index in range(12)]
    assert frames[3].file_name == "holiday/clip.mp4#3"
    for index, frame in enumerate(frames):
        assert frame.pixels.shape == (48, 64, 3)
        assert frame.pixels[40, 50].tolist() == pytest.approx([8 * index] * 3, abs=6)
    assert (opened.rate, opened.error) == (10, None)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_variable_frame_rates_are_kept(clip, name):
    frames, opened = read_clip(clip(name, frames=len(UNEVEN), times_ms=UNEVEN))
    assert [frame.time * 1000 for frame in frames] == UNEVEN
    assert opened.error is None


def rotate_clip(path, matrix):
    """Writes a display matrix (a, b, c, d of its upper left) into the first track of an MP4."""
    content = bytearray(path.read_bytes())
    offset = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    content[offset : offset + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("matrix", "size_wh", "white"),
    [
        ((1, 0, 0, 1), (64, 48), (0, 0)),
        ((0, 1, -1, 0), (48, 64), (0, 1)),  # a quarter turn clockwise moves the upper left to the upper right
        ((-1, 0, 0, -1), (64, 48), (1, 1)),
        ((0, -1, 1, 0), (48, 64), (1, 0)),
    ],
)
def test_frames_are_upright(clip, matrix, size_wh, white):
    frames, _ = read_clip(rotate_clip(clip(frames=2), matrix))
    for frame in frames:
        assert frame.size_wh == size_wh
        assert frame.pixels.flags["C_CONTIGUOUS"]
        height, width = frame.pixels.shape[:2]
        bright = [
            [frame.pixels[height // 4 + y, width // 4 + x, 0] > 240 for x in (0, width // 2)] for y in (0, height // 2)
        ]
        assert np.argwhere(bright).tolist() == [list(white)]


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
def test_a_truncated_clip_is_read_as_far_as_it_goes(clip, name):
    path = clip(name, frames=30, size_wh=(160, 120), sound="aac")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    frames, opened = read_clip(path)
    assert 5 < len(frames) < 28
    assert [frame.index for frame in frames] == list(range(len(frames)))
    end = float(frames[-1].time) + 0.1
    assert f"{path}: ends at {end:.2f} s of 3.0" in str(opened.error) and "truncated" in str(opened.error)


def test_damaged_packets_are_skipped_and_counted(clip):
    path = clip(frames=30, size_wh=(160, 120))
    content = bytearray(path.read_bytes())
    middle = (content.index(b"mdat") + len(content)) // 2
    content[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(content)
    frames, opened = read_clip(path)
    assert 10 < len(frames) < 30
    assert str(path) in str(opened.error) and "damaged packets were skipped" in str(opened.error)


def test_a_clip_truncated_before_its_first_frame(clip):
    path = clip()
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4])
    frames, opened = read_clip(path)
    assert frames == [] and "holds no frame that can be read" in str(opened.error)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "the file is empty"), (b"no video\n" * 99, "not a video that can be read")],
)
def test_other_files_are_named(tmp_path, content, message):
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=f"x.mp4: {message}"), open_clip(path):
        pass


def test_a_folder_and_too_long_a_name_are_named(tmp_path):
    for name, message in (("", "Is a directory"), ("a" * 300 + ".mp4", "File name too long")):
        path = tmp_path / name
        with pytest.raises(VideoError) as caught, open_clip(path):
            pass
        assert str(caught.value) == f"{path}: cannot be read: {message}"


def test_a_file_of_sound_alone_raises(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as target:
        audio = target.add_stream("aac", rate=16_000)
        audio.layout = "mono"
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
        samples.sample_rate = 16_000
        target.mux([*audio.encode(samples), *audio.encode(None)])
    with pytest.raises(VideoError, match=r"song\.mp4: holds no video"), open_clip(path):
        pass


def test_pixel_limit(clip):
    path = clip()
    assert len(read_clip(path, max_pixels=64 * 48)[0]) == 12
    with pytest.raises(VideoError, match="64x48 are over the limit of 3071 pixels"), open_clip(path, max_pixels=3071):
        pass


def test_a_camera(monkeypatch):
    pytest.importorskip("av")
    monkeypatch.setitem(
        reader._CAMERAS, sys.platform, ("lavfi", "testsrc=size=64x48:rate=10:duration={},setpts=PTS+9/TB")
    )
    frames, opened = read_clip("camera:1")
    assert [frame.time for frame in frames] == [Fraction(index, 10) for index in range(10)]
    assert frames[0].file_name == "camera:1#0" and frames[0].path is None and opened.error is None


def test_a_missing_camera_raises():
    pytest.importorskip("av")
    with pytest.raises(VideoError, match=r"camera:987: cannot be opened .*is it connected"), open_clip("camera:987"):
        pass


def test_a_platform_without_cameras_raises(monkeypatch):
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(VideoError, match="camera:0: no cameras are known on plan9"), open_clip("camera:0"):
        pass


def test_missing_pyav_names_the_extra(clip, monkeypatch):
    path = clip()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoError, match=r"pip install 'rsgnet\[video\]'"), open_clip(path):
        pass
