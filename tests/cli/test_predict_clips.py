import json
import sys

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import list_files

from rsgnet.inference.video import clips
from rsgnet.inference.video import reader as video
from rsgnet.inference.video.reader import open_clip

pytest.importorskip("av")
pytest.importorskip("scipy")


PARTIAL = "poses.partial.jsonl"


def read_lines(out, name="poses.jsonl"):
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def read_times(path):
    with open_clip(path) as read:
        times = [float(frame.time) for frame in read]
    assert read.error is None
    return times


@pytest.mark.parametrize("switches", [[], ["--smooth", 2]])
def test_a_clip(rsgnet, pipeline, clip, sound_of, tmp_path, switches):
    times = [0, 40, 41, 300, *range(400, 1700, 70)]
    source, out = clip("party/clip.mp4", len(times), times_ms=times, sound="aac"), tmp_path / "out"
    code, _, errors = rsgnet("predict", source, "--out", out, *pipeline, *switches)
    assert code == 0 and errors == [f"{len(times)} frames of 1 clips, 1 people tracked -> {out}"]
    assert list_files(out) == ["clip.mp4", "poses.jsonl", "run.json"]
    found = read_lines(out)
    assert [(each["file_name"], each["frame"], each["time_s"]) for each in found] == [
        ("clip.mp4", index, time / 1000) for index, time in enumerate(times)
    ]
    for each in found:
        (person,) = each["people"]
        assert person["track_id"] == 1 and person["bbox"][0] == pytest.approx(5, abs=0.1)
        assert len(person["keypoints"]) == 51 and {"score", "box_score"} <= person.keys()
    assert read_times(out / "clip.mp4") == [time / 1000 for time in times]
    assert sound_of(out / "clip.mp4") == sound_of(source) != []


def test_overlays_show_the_poses(rsgnet, pipeline, clip, tmp_path):
    source = clip()
    rsgnet("predict", source, "--out", tmp_path / "out", *pipeline)
    with open_clip(source) as before, open_clip(tmp_path / "out" / "clip.mp4") as after:
        changes = [np.abs(one.pixels.astype(int) - two.pixels).max() for one, two in zip(before, after, strict=True)]
    assert len(changes) == 12 and min(changes) > 60


def test_clips_and_images_in_one_folder(rsgnet, pipeline, clip, tmp_path):
    clip("mixed/a.mp4", 3), clip("mixed/sub/b.mkv", 2)
    Image.new("RGB", (64, 64)).save(tmp_path / "mixed" / "a.png")
    out = tmp_path / "out"
    code, _, errors = rsgnet("predict", tmp_path / "mixed", "--out", out, *pipeline)
    assert code == 0 and len(errors) == 2
    assert list_files(out) == [
        "a.mp4.mp4", "a.png.jpg", "images.json", "poses.json", "poses.jsonl", "run.json", "sub/b.mp4",
    ]  # fmt: skip
    assert len(json.loads((out / "poses.json").read_text())) == 1
    assert [(each["file_name"], each["frame"]) for each in read_lines(out)] == [
        ("a.mp4", 0), ("a.mp4", 1), ("a.mp4", 2), ("sub/b.mkv", 0), ("sub/b.mkv", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("switches", "track"), [([], 1), (["--track-threshold", 0.95], -1)])
def test_the_threshold_of_tracks(rsgnet, pipeline, clip, tmp_path, switches, track):
    rsgnet("predict", clip(frames=2), "--out", tmp_path / "out", "--no-overlay", *pipeline, *switches)
    assert [person["track_id"] for each in read_lines(tmp_path / "out") for person in each["people"]] == [track] * 2


def test_without_overlays(rsgnet, pipeline, clip, tmp_path):
    assert rsgnet("predict", clip(), "--out", tmp_path / "out", "--no-overlay", *pipeline)[0] == 0
    assert list_files(tmp_path / "out") == ["poses.jsonl", "run.json"]


def test_broken_clips_are_reported_and_the_others_processed(rsgnet, pipeline, clip, tmp_path):
    cut = clip("in/b-cut.mp4", 30, (160, 120))
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) * 6 // 10])
    (tmp_path / "in" / "a.mp4").write_text("no video\n" * 99)
    (tmp_path / "in" / "c.mov").write_bytes(b"")
    clip("in/d.mp4", 3)
    code, _, errors = rsgnet("predict", tmp_path / "in", "nowhere.mp4", "--out", tmp_path / "out", *pipeline)
    assert code == 1 and len(errors) == 5
    expected = [
        ("a.mp4", "not a video"),
        ("b-cut.mp4", "truncated"),
        ("c.mov", "empty"),
        ("nowhere.mp4", "no such file"),
    ]
    for error, (name, reason) in zip(errors, expected, strict=False):
        assert error.startswith("error: ") and name in error and reason in error
    frames = [each["file_name"] for each in read_lines(tmp_path / "out")]
    assert frames.count("d.mp4") == 3 and 5 < frames.count("b-cut.mp4") < 30
    assert len(read_times(tmp_path / "out" / "b-cut.mp4")) == frames.count("b-cut.mp4")
    assert not (tmp_path / "out" / "a.mp4").exists()


def test_a_wrong_extension_is_reported(rsgnet, pipeline, clip, tmp_path):
    code, _, errors = rsgnet("predict", clip().rename(tmp_path / "clip.jpg"), "--out", tmp_path / "out", *pipeline)
    assert code == 1 and "clip.jpg: not an image of a known kind" in errors[0]


def test_frames_without_boxes_in_the_file(rsgnet, pose_network, clip, tmp_path):
    images = [{"id": index, "file_name": f"clip.mp4#{index}"} for index in range(3)]
    people = [{"image_id": index, "bbox": [1, 2, 30, 40], "num_keypoints": 3} for index in range(3)]
    (tmp_path / "boxes.json").write_text(json.dumps({"images": images, "annotations": people}))
    arguments = ["--detector", f"boxes:{tmp_path / 'boxes.json'}", "--weights", pose_network()]
    code, _, errors = rsgnet("predict", clip(frames=5), "--out", tmp_path / "out", *arguments)
    assert code == 1 and len(errors) == 2 and "clip.mp4#3" in errors[0]
    found = read_lines(tmp_path / "out")
    assert [[person["track_id"] for person in each["people"]] for each in found] == [[1], [1], [1], [], []]
    assert [each["frame"] for each in found if "error" in each] == [3, 4]
    assert len(read_times(tmp_path / "out" / "clip.mp4")) == 5


def test_a_camera(rsgnet, pipeline, monkeypatch, tmp_path):
    monkeypatch.setitem(video._CAMERAS, sys.platform, ("lavfi", "testsrc=size=64x64:rate=10:duration=1.{}"))
    assert rsgnet("predict", "camera:0", "--out", tmp_path / "out", *pipeline)[0] == 0
    assert list_files(tmp_path / "out") == ["camera-0.mp4", "poses.jsonl", "run.json"]
    assert len(read_lines(tmp_path / "out")) == 10


@pytest.fixture
def interrupted(monkeypatch):
    """Presses Ctrl-C at the fifth frame."""
    draw_frame = clips._draw_frame

    def draw_and_interrupt(writer, frame, *arguments):
        if frame.index == 4:
            raise KeyboardInterrupt
        draw_frame(writer, frame, *arguments)

    monkeypatch.setattr(clips, "_draw_frame", draw_and_interrupt)


def test_an_interrupted_run_keeps_its_results(rsgnet, pipeline, clip, interrupted, tmp_path):
    code, _, errors = rsgnet("predict", clip(), "--out", tmp_path / "out", *pipeline)
    assert code == 130 and errors[-1].endswith("the results of 4 frames are in " + str(tmp_path / "out" / PARTIAL))
    assert list_files(tmp_path / "out") == ["clip.partial.mp4", PARTIAL]
    assert len(read_lines(tmp_path / "out", PARTIAL)) == 5
    assert len(read_times(tmp_path / "out" / "clip.partial.mp4")) == 4


def test_an_interruption_ends_a_camera_as_its_last_frame_would(rsgnet, pipeline, interrupted, monkeypatch, tmp_path):
    monkeypatch.setitem(video._CAMERAS, sys.platform, ("lavfi", "testsrc=size=64x64:rate=10:duration=1.{}"))
    assert rsgnet("predict", "camera:0", "--out", tmp_path / "out", *pipeline)[0] == 0
    assert list_files(tmp_path / "out") == ["camera-0.mp4", "poses.jsonl", "run.json"]
    assert len(read_lines(tmp_path / "out")) == 5


def test_a_clip_is_never_replaced(rsgnet, pipeline, clip, tmp_path):
    for name in ("clip.mp4", "clip.mkv"):
        source = clip(name)
        code, _, errors = rsgnet("predict", source, "--out", tmp_path, *pipeline)
        assert code == 2 and "would overwrite" in errors[0]


def test_images_are_processed_without_pyav(rsgnet, pipeline, clip, monkeypatch, tmp_path):
    source = clip("in/a.mp4")
    Image.new("RGB", (64, 64)).save(tmp_path / "in" / "b.png")
    monkeypatch.setitem(sys.modules, "av", None)
    code, _, errors = rsgnet("predict", source.parent, "--out", tmp_path / "out", *pipeline)
    assert code == 1 and any("pip install 'rsgnet[video]'" in error for error in errors)
    assert (tmp_path / "out" / "b.jpg").exists()


@pytest.mark.parametrize(("people", "count"), [("largest", 1), ("longest", 1), ("2", 1), ("1,2", 2)])
def test_people_are_chosen(rsgnet, pose_network, box_network, clip, tmp_path, people, count):
    detector = f"onnx:{box_network([[5, 5, 20, 60], [30, 5, 60, 60]], [0.9, 0.8])}"
    options = "--out", tmp_path / "out", "--weights", pose_network(name="pose"), "--detector", detector
    code, _, errors = rsgnet("predict", clip(), *options, "--people", people)
    assert code == 0 and f"{count} people tracked" in errors[-1], errors
    lines = read_lines(tmp_path / "out")
    assert [len(line["people"]) for line in lines] == [count] * 12
    if people == "largest":
        assert all(line["people"][0]["bbox"][0] > 25 for line in lines)
    code, _, errors = rsgnet("predict", clip(), *options, "--people", "7")
    assert code == 1 and "clip.mp4: shows nobody of those that --people asks for" in errors[0]
    code, _, errors = rsgnet("predict", clip(), *options, "--people", "tall")
    assert code == 2 and "expected largest" in errors[0]
