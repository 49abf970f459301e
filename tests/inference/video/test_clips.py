"""What `rsgnet predict` writes of clips is tested in tests/cli/test_predict_clips.py; here, that memory stays flat."""

import weakref

import pytest

from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.predictions import record_run
from rsgnet.inference.sources import AHEAD, CHUNK_IMAGES, ImageFile
from rsgnet.inference.video import reader as video
from rsgnet.inference.video.clips import ClipOptions, write_clips

pytest.importorskip("scipy")


@pytest.mark.parametrize("smooth", [0, 5])
def test_a_long_clip_holds_no_more_frames_than_a_short_one(pose_network, clip, monkeypatch, tmp_path, smooth):
    alive, most = set(), 0
    upright = video._upright

    def counted(decoded):
        nonlocal most
        pixels = upright(decoded)
        alive.add(id(pixels))
        weakref.finalize(pixels, alive.discard, id(pixels))
        most = max(most, len(alive))
        return pixels

    monkeypatch.setattr(video, "_upright", counted)
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
    assert highest[0] == highest[1] <= 2 * CHUNK_IMAGES + AHEAD + 2 * smooth + 2
