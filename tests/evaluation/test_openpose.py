"""OpenPose's files: one a frame, read back as Pose2Sim reads them."""

import json
import re

import numpy as np
import pytest

from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.conversion import convert

KEYPOINTS = np.column_stack([np.arange(17.0), np.arange(17.0) + 100, np.full(17, 0.9)])


def person(track=None, owned=None, **change):
    entry = {"keypoints": KEYPOINTS.ravel().tolist(), "score": 0.5, "bbox": [0, 0, 9, 9], **change}
    return entry | ({} if track is None else {"track_id": track}) | ({} if owned is None else {"owned": owned})


@pytest.fixture
def tracks(tmp_path):
    owned = np.linspace(0, 1, 17).round(4).tolist()
    frames = [[person(1, owned), person(-1)], [], [person(2)]]
    lines = [
        {"file_name": "walks/clip.mp4", "frame": index, "time_s": index / 10, "people": people}
        for index, people in enumerate(frames)
    ]
    (tmp_path / "poses.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path / "poses.jsonl"


def test_every_frame_of_a_clip_has_a_file(tracks, tmp_path):
    done = convert(tracks, tmp_path / "pose", "openpose")
    assert (done.images, done.people) == (3, 3) and "openpose cannot hold" in done.losses[0]
    folder = tmp_path / "pose/walks/clip_json"
    # Pose2Sim sorts the files of a folder by the last number in their names.
    files = sorted(folder.iterdir(), key=lambda path: int(re.findall(r"\d+", path.name)[-1]))
    assert [path.name for path in files] == [f"clip_{index:06d}.json" for index in range(3)]
    first, second, third = (json.loads(path.read_text())["people"] for path in files)
    assert second == [] and [each["person_id"] for each in first + third] == [[1], [-1], [2]]
    values = np.reshape(first[0]["pose_keypoints_2d"], (-1, 3))
    np.testing.assert_array_equal(values[:, :2], KEYPOINTS[:, :2])
    np.testing.assert_allclose(values[:, 2], np.linspace(0, 1, 17), atol=1e-4)  # whose it is, not the score
    assert first[1]["pose_keypoints_2d"][2::3] == [0.9] * 17


def test_images_have_files_of_their_names(tmp_path):
    entries = [person(file_name=name, image_id=1) for name in ("a/b.jpg", "c.png", "a/b.jpg")]
    (tmp_path / "poses.json").write_text(json.dumps(entries))
    assert convert(tmp_path / "poses.json", tmp_path / "pose", "openpose").images == 2
    people = json.loads((tmp_path / "pose/a/b_keypoints.json").read_text())["people"]
    assert len(people) == 2 and (tmp_path / "pose/c_keypoints.json").is_file()


def test_files_do_not_leave_the_folder(tmp_path):
    (tmp_path / "poses.json").write_text(json.dumps([person(file_name="../../x.jpg", image_id=1)]))
    convert(tmp_path / "poses.json", tmp_path / "deep/pose", "openpose")
    assert [path.name for path in (tmp_path / "deep/pose").iterdir()] == ["x_keypoints.json"]


def test_what_cannot_be_written_is_refused(tracks, tmp_path, people_set):
    convert(tracks, tmp_path / "pose", "openpose")
    with pytest.raises(RSGNetError, match="clip_json: holds JSON files already"):
        convert(tracks, tmp_path / "pose", "openpose")
    with pytest.raises(AnnotationError, match="OpenPose's files hold predictions"):
        convert(people_set[0], tmp_path / "labels", "openpose")
    for broken, message in ((person(keypoints=[1, 2]), "no keypoints"), (person(owned=[1.0]), "17 keypoints and 1 of")):
        (tmp_path / "broken.json").write_text(json.dumps([{**broken, "file_name": "x.jpg"}]))
        with pytest.raises(AnnotationError, match=message):
            convert(tmp_path / "broken.json", tmp_path / "broken", "openpose")
    (tmp_path / "unnamed.json").write_text(json.dumps([person(image_id=3)]))
    with pytest.raises(AnnotationError, match="entry 0: has no file_name"):
        convert(tmp_path / "unnamed.json", tmp_path / "unnamed", "openpose")
