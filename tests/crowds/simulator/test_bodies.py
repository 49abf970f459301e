import numpy as np
import pytest

from rsgnet.crowds.simulator.bodies import FOREARM, SHIN, THIGH, UPPER_ARM, Arm, Leg, Stance, pose_body, sample_stance

PAIRS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear")


@pytest.mark.parametrize(("facing", "left_is_at_larger_x"), [(0, True), (35, True), (180, False), (-140, False)])
def test_left_is_the_left_of_the_body(facing, left_is_at_larger_x):
    """The left hand of a body that faces the camera is on the right of the image."""
    body = pose_body(Stance(facing=facing), (0.0, 5.0))
    for name in PAIRS:
        difference = body.points[f"left_{name}"][0] - body.points[f"right_{name}"][0]
        assert (difference > 0) == left_is_at_larger_x, name


@pytest.mark.parametrize(("facing", "ahead"), [(0, (0, -1)), (90, (1, 0)), (180, (0, 1)), (-90, (-1, 0))])
def test_the_nose_and_the_toes_point_forward(facing, ahead):
    body = pose_body(Stance(facing=facing, nod=0, lean=0), (0.0, 5.0))
    for front, back in (("nose", "head"), ("left_toe", "left_ankle"), ("right_toe", "right_ankle")):
        offset = (body.points[front] - body.points[back])[[0, 2]]
        assert offset @ ahead > 0.95 * np.linalg.norm(offset)


@pytest.mark.parametrize("seed", range(20))
def test_bones_have_their_lengths_and_the_lowest_foot_is_on_the_ground(seed):
    random = np.random.default_rng(seed)
    body = pose_body(sample_stance(random), (1.0, 6.0), size=0.9)
    for side in ("left", "right"):
        for first, second, length in (
            ("hip", "knee", THIGH),
            ("knee", "ankle", SHIN),
            ("shoulder", "elbow", UPPER_ARM),
            ("elbow", "wrist", FOREARM),
        ):
            bone = body.points[f"{side}_{first}"] - body.points[f"{side}_{second}"]
            assert np.linalg.norm(bone) == pytest.approx(0.9 * length)
    assert min(body.points["left_ankle"][1], body.points["right_ankle"][1]) == pytest.approx(0.9 * 0.08)
    np.testing.assert_allclose(body.points["pelvis"][[0, 2]], [1.0, 6.0])


def test_raised_arms_are_up_and_bent_knees_bend_backwards():
    stance = Stance(left_arm=Arm(spread=160, bend=0), right_leg=Leg(swing=0, bend=60), lean=0)
    body = pose_body(stance, (0.0, 5.0))
    assert body.points["left_wrist"][1] > body.points["left_elbow"][1] > body.points["left_shoulder"][1]
    assert body.points["right_wrist"][1] < body.points["right_elbow"][1] < body.points["right_shoulder"][1]
    # A body that faces the camera bends its knee away from the camera.
    assert body.points["right_ankle"][2] > body.points["right_knee"][2] + 0.2


def test_a_standing_body_is_as_tall_as_people_are():
    body = pose_body(Stance(), (0.0, 5.0))
    crown = body.points["head"][1] + 0.12
    assert 1.65 < crown < 1.80
