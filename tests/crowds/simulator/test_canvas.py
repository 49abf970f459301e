import numpy as np
import pytest

from rsgnet.crowds.simulator.canvas import Camera, Canvas, Tube

CAMERA = Camera(focal_px=100, centre_x=50, horizon_y=40, height=1.0)


def test_projection_follows_similar_triangles():
    """At 4 m a metre covers 25 pixels, and the ground is one metre, the height of the camera, below the horizon."""
    np.testing.assert_allclose(CAMERA.project([[2.0, 0.0, 4.0], [-1, 1, 2]]), [[100, 65, 4], [0, 40, 2]])
    np.testing.assert_allclose(CAMERA.scale(2).project([2.0, 0.0, 4.0]), [200, 130, 4])


def make_canvas():
    return Canvas(np.zeros((80, 100, 3), np.float32), CAMERA)


def test_a_ball_covers_a_disc():
    canvas = make_canvas()
    centre = np.array([0.0, 1.0, 2.0])  # at (50, 40), 50 pixels per metre
    canvas.draw(Tube(centre, centre, (0.2,), (1, 1, 1)), 7)
    y, x = np.mgrid[:80, :100] + 0.5
    np.testing.assert_array_equal(canvas.owners == 7, (x - 50) ** 2 + (y - 40) ** 2 < 10**2)
    assert canvas.depths[39:41, 49:51] == pytest.approx(1.8, abs=0.001)
    assert np.isinf(canvas.depths[0, 0])


def test_the_nearer_tube_is_visible_in_any_drawing_order():
    near, far = (Tube(np.array([x, 1.0, z]), np.array([x, 1.0, z]), (0.3,), (1, 1, 1)) for x, z in ((0, 2), (0.2, 4)))
    owners_by_order = []
    for order in ((1, 2), (2, 1)):
        canvas = make_canvas()
        for owner in order:
            canvas.draw(near if owner == 1 else far, owner)
        owners_by_order.append(canvas.owners)
    np.testing.assert_array_equal(owners_by_order[0], owners_by_order[1])
    assert owners_by_order[0][40, 55] == 1
    # The near disc, of 15 px about column 50, covers the far one, of 7.5 px about column 55.
    assert set(np.unique(owners_by_order[0])) == {0, 1}


def test_tubes_outside_the_view_are_not_drawn():
    for point in ([50.0, 1.0, 2.0], [0.0, 1.0, -2.0], [0.0, 1.0, 0.1]):
        canvas = make_canvas()
        canvas.draw(Tube(np.array(point), np.array(point), (0.2,), (1, 1, 1)), 1)
        assert not canvas.owners.any()


@pytest.mark.parametrize(("blunt", "reach"), [(1.0, 10), (4.0, 2.5)])
def test_a_blunt_end_is_shorter(blunt, reach):
    canvas = make_canvas()
    canvas.draw(Tube(np.array([0, 1.2, 2.0]), np.array([0, 0.8, 2.0]), (0.2,), (1, 1, 1), blunt=blunt), 1)
    rows = np.flatnonzero(canvas.owners.any(1))
    assert rows[0] == pytest.approx(30 - 10, abs=1)
    assert rows[-1] + 1 == pytest.approx(50 + reach, abs=1)
