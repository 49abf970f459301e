import hashlib

import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.readers import load_json, read_annotations
from rsgnet.crowds.simulator.bodies import Stance, pose
from rsgnet.crowds.simulator.walking import moving_crowd, random_walkers, stride, write_moving_crowds
from rsgnet.errors import RSGNetError


def test_a_stride_swings_opposite_arms_and_legs():
    """Facing right (+x): at a quarter the left leg and the right arm are foremost, at three quarters the others."""
    for phase, fore, aft in ((0.25, "left", "right"), (0.75, "right", "left"), (1.25, "left", "right")):
        body = pose(stride(Stance(facing=90), phase), (0.0, 5.0))
        assert body.points[f"{fore}_ankle"][0] > body.points[f"{aft}_ankle"][0] + 0.3
        assert body.points[f"{aft}_wrist"][0] > body.points[f"{fore}_wrist"][0] + 0.2


def test_the_leg_that_comes_forward_is_lifted():
    body = pose(stride(Stance(facing=90), 0.0), (0.0, 5.0))
    assert body.points["left_ankle"][1] > body.points["right_ankle"][1] + 0.03


@pytest.mark.parametrize("phase", np.linspace(0, 1, 9))
def test_somebody_stands_on_the_ground_and_the_stride_is_smooth(phase):
    stance = Stance(facing=90)
    now, soon = (pose(stride(stance, at), (0.0, 5.0)) for at in (phase, phase + 0.01))
    assert min(now.points["left_ankle"][1], now.points["right_ankle"][1]) == pytest.approx(0.08)
    assert max(np.linalg.norm(now.points[name] - soon.points[name]) for name in now.points) < 0.06


@pytest.fixture(scope="module")
def walkers():
    return [random_walkers(np.random.default_rng(seed), 10, seconds=4.0, spread=0.45) for seed in range(4)]


def test_people_face_where_they_go(walkers):
    turned = []
    for walker in (walker for crowd in walkers for walker in crowd):
        if walker.velocity_xz.any():
            forward = walker.body(1.0).torso_axes[2][[0, 2]]
            turned.append(forward @ walker.velocity_xz / np.linalg.norm(walker.velocity_xz) / np.linalg.norm(forward))
    assert len(turned) > 20 and min(turned) > 0.99


def test_nobody_walks_through_another_and_everyone_comes_into_view(walkers):
    for crowd in walkers:
        places = np.array([[walker.place(time) for walker in crowd] for time in np.linspace(0, 4, 101)])
        apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1) + 9 * np.eye(10)
        assert apart.min() > 0.25
        assert (np.abs(places[..., 0]) < 0.45 * places[..., 1]).any(0).all()
        assert (places[..., 1] > 2).all()


def test_ways_cross(walkers):
    """In every crowd several pairs change sides, seen from the camera."""
    for crowd in walkers:
        seen = np.array([[walker.place(time)[0] / walker.place(time)[1] for walker in crowd] for time in (0.0, 4.0)])
        order = np.sign(seen[:, :, None] - seen[:, None])
        assert (order[0] != order[1]).sum() / 2 >= 5


def test_somebody_may_stand(walkers):
    still = [walker for crowd in walkers for walker in crowd if not walker.velocity_xz.any()]
    assert still
    np.testing.assert_array_equal(still[0].body(0).points["nose"], still[0].body(3).points["nose"])


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
