import hashlib

import numpy as np
import pytest
from PIL import Image

from rsgnet.data.annotations import load_json, read_annotations
from rsgnet.data.moving_crowds import moving_crowd, write_moving_crowds
from rsgnet.errors import RSGNetError

SMALL = (160, 120)


@pytest.fixture(scope="module")
def scenes():
    return list(moving_crowd(3, 50, SMALL, people=8))


def keypoints_of(scene):
    return {truth["id"]: np.reshape(truth["keypoints"], (17, 3)) for truth in scene.annotations["annotations"]}


def test_a_person_keeps_id_and_moves_smoothly(scenes):
    steps = []
    for before, after in zip(map(keypoints_of, scenes), map(keypoints_of, scenes[1:]), strict=False):
        for person in before.keys() & after.keys():
            both = (before[person][:, 2] > 0) & (after[person][:, 2] > 0)
            steps += np.linalg.norm(before[person][both, :2] - after[person][both, :2], axis=-1).tolist()
    assert len(steps) > 2000
    assert np.mean(steps) > 0.3
    assert np.max(steps) < 8  # pixels, in a fortieth of a second and a half


def test_people_hide_each_other_and_come_out_again(scenes):
    def share_seen(person):
        return np.array([(keypoints_of(scene).get(person, np.zeros((17, 3)))[:, 2] == 2).mean() for scene in scenes])

    seen = [share_seen(person) for person in range(1, 9)]
    hidden_between = [
        share[:at].max(initial=0) > 0.5 and share[at:].max(initial=0) > 0.5 and share[at] < 0.2
        for share in seen
        for at in [int(share[5:-5].argmin()) + 5]
    ]
    hiders = {
        (hider, truth["id"])
        for scene in scenes
        for truth in scene.annotations["annotations"]
        for hider in truth["hidden_by"]
        if hider not in (0, truth["id"])
    }
    assert sum(hidden_between) >= 1
    assert len(hiders) >= 5


def test_the_place_stays_and_people_move(scenes):
    first, last = scenes[0], scenes[-1]
    nobody = (first.owners == 0) & (last.owners == 0)
    still = np.abs(first.image.astype(int) - last.image).max(-1) < 12
    assert still[nobody].mean() > 0.8  # but for shadows
    assert (first.owners != last.owners).mean() > 0.05


def digest(seed):
    frames = moving_crowd(seed, 2, SMALL, people=3)
    return hashlib.sha256(
        b"".join(frame.image.tobytes() + repr(frame.annotations).encode() for frame in frames)
    ).digest()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    assert digest(1) == digest(1) != digest(2)


def test_a_data_set_that_reads_back(tmp_path):
    path = write_moving_crowds(tmp_path / "walks", clips=2, frames=3, seed=5, size_wh=SMALL, people=4)
    names = [f"{clip:06d}/{frame:06d}.png" for clip in (1, 2) for frame in range(3)]
    found = read_annotations(path)
    assert [image.file_name for image in found.images] == names
    assert {Image.open(path.parent / "images" / name).size for name in names} == {SMALL}
    content = load_json(path)
    assert content["videos"] == [{"id": 1, "file_name": "000001.mp4"}, {"id": 2, "file_name": "000002.mp4"}]
    assert [(entry["video_id"], entry["frame_id"]) for entry in content["images"]] == [
        (c, f) for c in (1, 2) for f in range(3)
    ]
    assert [each["id"] for each in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))
    assert {each["track_id"] for each in content["annotations"]} <= {1, 2, 3, 4}
    for entry in content["images"]:
        tracks = [each["track_id"] for each in content["annotations"] if each["image_id"] == entry["id"]]
        assert len(set(tracks)) == len(tracks) >= 1


@pytest.mark.parametrize(("clips", "frames", "seed"), [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_what_makes_no_sense_is_refused(tmp_path, clips, frames, seed):
    with pytest.raises(RSGNetError, match="moving crowds need 1 clip"):
        write_moving_crowds(tmp_path, clips, frames, seed)
    assert not list(tmp_path.iterdir())


def test_sizes_and_numbers_out_of_range_are_refused():
    with pytest.raises(RSGNetError, match="not 20x20 and 8"):
        next(moving_crowd(0, 1, (20, 20)))
