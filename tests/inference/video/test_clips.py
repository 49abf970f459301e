"""Memory does not grow with the length of a clip. tests/cli/test_predict_clips.py tests what is written."""

import weakref

import pytest

from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import record_run
from rsgnet.inference.sources import CHUNK_IMAGES, IMAGES_AHEAD, ImageFile
from rsgnet.inference.video import reader
from rsgnet.inference.video.clips import ClipOptions, write_clips

pytest.importorskip("scipy")


@pytest.mark.parametrize("smooth", [0, 5])
def test_a_long_clip_holds_no_more_frames_than_a_short_one(pose_network, clip, monkeypatch, tmp_path, smooth):
    alive, most = set(), 0
    read_pixels = reader._to_upright_pixels

    def count_frames(decoded):
        nonlocal most
        pixels = read_pixels(decoded)
        alive.add(id(pixels))
        weakref.finalize(pixels, alive.discard, id(pixels))
        most = max(most, len(alive))
        return pixels

    monkeypatch.setattr(reader, "_to_upright_pixels", count_frames)
    estimator = PoseEstimator(pose_network(), "full")
    record = record_run(estimator, "colours", "full")
    highest = []
    for frames in (60, 180):
        path = clip(f"{frames}.mp4", frames, (32, 32))
        most = 0
        file = ImageFile(path, path.name)
        out = tmp_path / "out"
        overlays = {file: out / path.name}
        done = write_clips(estimator, [file], out, overlays, lambda *_: None, record, ClipOptions(smooth=smooth))
        assert (done.frames, done.errors) == (frames, [])
        highest.append(most)
    assert highest[0] == highest[1] <= 2 * CHUNK_IMAGES + IMAGES_AHEAD + 2 * smooth + 2
