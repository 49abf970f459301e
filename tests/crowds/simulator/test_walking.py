import hashlib

import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.readers import load_json, read_annotations
from rsgnet.crowds.simulator.bodies import Stance, pose_body
from rsgnet.crowds.simulator.walking import apply_stride, sample_walkers, simulate_moving_crowd, write_moving_crowds
from rsgnet.errors import RSGNetError


def test_a_stride_swings_opposite_arms_and_legs():
    """Facing right (+x), the left leg and the right arm are foremost at 0.25, the others at 0.75."""
    for phase, front, back in ((0.25, "left", "right"), (0.75, "right", "left"), (1.25, "left", "right")):
        body = pose_body(apply_stride(Stance(facing=90), phase), (0.0, 5.0))
        assert body.points[f"{front}_ankle"][0] > body.points[f"{back}_ankle"][0] + 0.3
        assert body.points[f"{back}_wrist"][0] > body.points[f"{front}_wrist"][0] + 0.2


def test_the_leg_that_moves_forward_is_lifted():
    body = pose_body(apply_stride(Stance(facing=90), 0.0), (0.0, 5.0))
    assert body.points["left_ankle"][1] > body.points["right_ankle"][1] + 0.03


@pytest.mark.parametrize("phase", np.linspace(0, 1, 9))
def test_one_foot_is_on_the_ground_and_the_motion_is_smooth(phase):
    stance = Stance(facing=90)
    now, soon = (pose_body(apply_stride(stance, at), (0.0, 5.0)) for at in (phase, phase + 0.01))
    assert min(now.points["left_ankle"][1], now.points["right_ankle"][1]) == pytest.approx(0.08)
    assert max(np.linalg.norm(now.points[name] - soon.points[name]) for name in now.points) < 0.06


@pytest.fixture(scope="module")
def walkers():
    return [sample_walkers(np.random.default_rng(seed), 10, duration_s=4.0, half_width=0.45) for seed in range(4)]


def test_people_face_their_direction_of_motion(walkers):
    cosines = []
    for walker in (walker for crowd in walkers for walker in crowd):
        if walker.velocity_xz.any():
            forward = walker.compute_body(1.0).torso_axes[2][[0, 2]]
            cosines.append(forward @ walker.velocity_xz / np.linalg.norm(walker.velocity_xz) / np.linalg.norm(forward))
    assert len(cosines) > 20 and min(cosines) > 0.99


def test_people_keep_apart_and_everyone_comes_into_view(walkers):
    for crowd in walkers:
        positions = np.array(
            [[walker.compute_position_xz(time) for walker in crowd] for time in np.linspace(0, 4, 101)]
        )
        distances = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1) + 9 * np.eye(10)
        assert distances.min() > 0.25
        assert (np.abs(positions[..., 0]) < 0.45 * positions[..., 1]).any(0).all()
        assert (positions[..., 1] > 2).all()


def test_paths_cross(walkers):
    """In every crowd several pairs of people swap sides as seen from the camera."""
    for crowd in walkers:
        positions = np.array([[walker.compute_position_xz(time) for walker in crowd] for time in (0.0, 4.0)])
        directions = positions[..., 0] / positions[..., 1]
        order = np.sign(directions[:, :, None] - directions[:, None])
        assert (order[0] != order[1]).sum() / 2 >= 5


def test_some_people_stand_still(walkers):
    still = [walker for crowd in walkers for walker in crowd if not walker.velocity_xz.any()]
    assert still
    np.testing.assert_array_equal(still[0].compute_body(0).points["nose"], still[0].compute_body(3).points["nose"])


SMALL = (160, 120)


@pytest.fixture(scope="module")
def scenes():
    return list(simulate_moving_crowd(3, 50, SMALL, people=8))


def get_keypoints(scene):
    return {truth["id"]: np.reshape(truth["keypoints"], (17, 3)) for truth in scene.annotations["annotations"]}


def test_a_person_keeps_the_id_and_moves_smoothly(scenes):
    steps = []
    for before, after in zip(map(get_keypoints, scenes), map(get_keypoints, scenes[1:]), strict=False):
        for person in before.keys() & after.keys():
            both = (before[person][:, 2] > 0) & (after[person][:, 2] > 0)
            steps += np.linalg.norm(before[person][both, :2] - after[person][both, :2], axis=-1).tolist()
    assert len(steps) > 2000
    assert np.mean(steps) > 0.3
    assert np.max(steps) < 8  # pixels per frame


def test_people_hide_each_other_temporarily(scenes):
    def visible_shares(person):
        return np.array([(get_keypoints(scene).get(person, np.zeros((17, 3)))[:, 2] == 2).mean() for scene in scenes])

    shares = [visible_shares(person) for person in range(1, 9)]
    hidden_between = [
        share[:at].max(initial=0) > 0.5 and share[at:].max(initial=0) > 0.5 and share[at] < 0.2
        for share in shares
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


def test_the_background_stays_and_people_move(scenes):
    first, last = scenes[0], scenes[-1]
    nobody = (first.owners == 0) & (last.owners == 0)
    still = np.abs(first.image.astype(int) - last.image).max(-1) < 12
    assert still[nobody].mean() > 0.8  # except for shadows
    assert (first.owners != last.owners).mean() > 0.05


def compute_digest(seed):
    frames = simulate_moving_crowd(seed, 2, SMALL, people=3)
    return hashlib.sha256(
        b"".join(frame.image.tobytes() + repr(frame.annotations).encode() for frame in frames)
    ).digest()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    assert compute_digest(1) == compute_digest(1) != compute_digest(2)


def test_a_written_data_set_reads_back(tmp_path):
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
def test_arguments_out_of_range_are_refused(tmp_path, clips, frames, seed):
    with pytest.raises(RSGNetError, match="moving crowds need 1 clip"):
        write_moving_crowds(tmp_path, clips, frames, seed)
    assert not list(tmp_path.iterdir())


def test_a_size_out_of_range_is_refused():
    with pytest.raises(RSGNetError, match="not 20x20 and 8"):
        next(simulate_moving_crowd(0, 1, (20, 20)))
