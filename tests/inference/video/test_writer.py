"""Clips are written with their times and the sound of their source."""

from fractions import Fraction

import pytest
from PIL import Image

from rsgnet.errors import VideoError
from rsgnet.inference.video import writer as module
from rsgnet.inference.video.reader import open_clip
from rsgnet.inference.video.writer import open_clip_writer

TIMES = [Fraction(time, 1000) for time in (0, 40, 41, 300, 310, 700, 1500)]


def grey_image(level, size_wh=(64, 48)):
    return Image.new("RGB", size_wh, (level,) * 3)


def write_clip(path, sound_of=None, size_wh=(64, 48)):
    """Writes a clip of ever lighter images at TIMES; returns its path."""
    with open_clip_writer(path, size_wh, Fraction(1, 1000), Fraction(10), sound_of) as writer:
        for index, time in enumerate(TIMES):
            writer.write(grey_image(20 * index, size_wh), time)
    return writer.path


def read_frames(path):
    with open_clip(path) as clip:
        frames = list(clip)
    assert clip.error is None
    return frames


def test_round_trip_of_images_and_times(tmp_path):
    path = write_clip(tmp_path / "sub" / "a.mp4")
    frames = read_frames(path)
    assert [frame.time for frame in frames] == TIMES
    for index, frame in enumerate(frames):
        assert frame.pixels.mean() == pytest.approx(20 * index, abs=4)
    assert [each.name for each in path.parent.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(("name", "codec", "suffix"), [("c.mp4", "aac", ".mp4"), ("c.mkv", "pcm_s16le", ".mkv")])
def test_sound_is_copied_bit_for_bit(clip, sound_of, tmp_path, name, codec, suffix):
    source = clip(name, frames=12, sound=codec)
    path = write_clip(tmp_path / "out" / "a.mp4", source)
    assert path.suffix == suffix
    assert sound_of(path) == sound_of(source) and len(sound_of(path)) >= 12
    assert [frame.time for frame in read_frames(path)] == TIMES


def test_a_clip_without_sound(clip, sound_of, tmp_path):
    path = write_clip(tmp_path / "out" / "a.mp4", clip())
    assert sound_of(path) == []
    assert len(read_frames(path)) == len(TIMES)


def test_odd_sizes_lose_a_pixel_and_other_images_are_scaled(tmp_path):
    assert read_frames(write_clip(tmp_path / "a.mp4", size_wh=(65, 49)))[0].size_wh == (64, 48)
    with open_clip_writer(tmp_path / "b.mp4", (64, 48), Fraction(1, 10), Fraction(10)) as writer:
        writer.write(grey_image(100), Fraction(0))
        writer.write(grey_image(100, (30, 90)), Fraction(1, 10))
    assert [frame.size_wh for frame in read_frames(tmp_path / "b.mp4")] == [(64, 48)] * 2


def test_an_interrupted_clip_is_kept(clip, sound_of, tmp_path):
    source, path = clip(frames=30, sound="aac"), tmp_path / "out" / "a.mp4"
    with (
        pytest.raises(KeyboardInterrupt),
        open_clip_writer(path, (64, 48), Fraction(1, 10), Fraction(10), source) as writer,
    ):
        for index in range(5):
            writer.write(grey_image(100), Fraction(index, 10))
        raise KeyboardInterrupt
    path = path.with_name("a.partial.mp4")
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert len(read_frames(path)) == 5
    assert 0 < len(sound_of(path)) < len(sound_of(source))
    assert sound_of(path) == sound_of(source)[: len(sound_of(path))]


def test_a_clip_that_cannot_be_written_is_named(tmp_path):
    av = pytest.importorskip("av")
    with (
        pytest.raises(VideoError, match=r"a\.mp4: cannot be written"),
        open_clip_writer(tmp_path / "a.mp4", (64, 48), Fraction(1, 10), Fraction(10)) as writer,
    ):
        writer.write(grey_image(0), Fraction(0))
        raise av.InvalidDataError(1, "no room")


def test_missing_encoder_raises(monkeypatch, tmp_path):
    pytest.importorskip("av")
    monkeypatch.setattr(module, "_ENCODERS", {"none such": {}})
    with pytest.raises(VideoError, match=r"no encoder of H\.264"):
        write_clip(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
