import numpy as np
import pytest

from rsgnet.data.bodies import Stance, pose
from rsgnet.data.walks import random_walkers, stride


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
