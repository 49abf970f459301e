import numpy as np
import pytest

from rsgnet.inference.letterbox import fit


@pytest.mark.parametrize(
    ("size_wh", "inside_wh", "scale"),
    [((64, 64), (64, 64), 1.0), ((128, 64), (64, 32), 0.5), ((32, 64), (32, 64), 1.0), ((32, 16), (64, 32), 2.0)],
)
def test_the_image_lies_at_the_top_left(size_wh, inside_wh, scale):
    image = np.full((size_wh[1], size_wh[0], 3), (10, 20, 30), np.uint8)
    canvas, found = fit(image, (64, 64), fill=114)
    assert found == scale and canvas.shape == (64, 64, 3)
    width, height = inside_wh
    assert (canvas[:height, :width] == (10, 20, 30)).all()
    assert (canvas[height:] == 114).all() and (canvas[:, width:] == 114).all()


def test_what_is_in_the_image_lands_at_its_scale():
    image = np.zeros((240, 320, 3), np.uint8)
    image[120:160, 200:240] = 255
    canvas, scale = fit(image, (64, 64))
    y, x = np.nonzero(canvas[..., 0] > 127)
    found = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) / scale
    np.testing.assert_allclose(found, [200, 120, 240, 160])


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (5000, 3)])
@pytest.mark.parametrize("fill", [0, 114])
def test_any_shape_fits(shape, fill):
    canvas, scale = fit(np.full((*shape, 3), 50, np.uint8), (64, 48), fill)
    assert canvas.shape == (48, 64, 3) and scale == min(64 / shape[1], 48 / shape[0])
