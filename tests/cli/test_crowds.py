import json

import numpy as np
import pytest
from PIL import Image

from rsgnet.inference.video.reader import open_clip


def test_drawn_people(rsgnet, tmp_path):
    out = tmp_path / "out"
    code, printed, errors = rsgnet(
        "crowds", "--out", out, "--scenes", 2, "--crowd-index", 0.2, 0.8, "--seed", 3, "--size", "160x120", "--sheet"
    )
    assert (code, errors) == (0, [])
    assert str(out / "crowds.json") in printed
    content = json.loads((out / "crowds.json").read_text())
    assert all(0.2 <= image["crowdIndex"] <= 0.8 for image in content["images"])
    assert [Image.open(path).size for path in sorted((out / "images").iterdir())] == [(160, 120)] * 2
    assert (out / "sheet.png").is_file()


@pytest.mark.parametrize("with_folder", [True, False])
def test_real_people(rsgnet, tmp_path, people_set, with_folder):
    people = f"{people_set[0]}:{people_set[1]}" if with_folder else people_set[0]
    code, _, errors = rsgnet("crowds", "--out", tmp_path / "out", "--scenes", 2, "--people", people)
    assert (code, errors) == (0, [])
    assert len(json.loads((tmp_path / "out" / "crowds.json").read_text())["annotations"]) >= 4


def test_clips(rsgnet, tmp_path):
    pytest.importorskip("av")
    out = tmp_path / "walks"
    code, printed, errors = rsgnet(
        "crowds", "--out", out, "--scenes", 2, "--frames", 3, "--walkers", 4, "--size", "160x120"
    )
    assert (code, errors) == (0, []) and f"rsgnet predict {out / 'clips'}" in printed
    content = json.loads((out / "crowds.json").read_text())
    for video in content["videos"]:
        with open_clip(out / "clips" / video["file_name"]) as clip:
            frames = list(clip)
        shown = [
            np.asarray(Image.open(path), int) for path in sorted((out / "images" / f"{video['id']:06d}").iterdir())
        ]
        assert [float(frame.time) for frame in frames] == [0, 0.04, 0.08]
        assert np.abs([frame.pixels - image for frame, image in zip(frames, shown, strict=True)]).mean() < 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", 3, "--crowd-index", 0, 1], "--frames: can be combined with"),
        (["--frames", 3, "--people", "nothing.json"], "--frames: can be combined with"),
        (["--size", "640"], "--size 640: expected WIDTHxHEIGHT"),
        (["--size", "20x20"], "at least 48x48"),
        (["--crowd-index", 1, 0.5], "0 <= LOW <= HIGH"),
        (["--people", "nothing.json"], "nothing.json: cannot be read"),
    ],
)
def test_bad_input_is_reported_in_one_line(rsgnet, tmp_path, arguments, message):
    code, _, errors = rsgnet("crowds", "--out", tmp_path / "out", "--scenes", 1, *arguments)
    assert code == 2
    assert len(errors) == 1
    assert message in errors[0]
