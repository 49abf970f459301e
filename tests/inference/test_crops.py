import numpy as np
import pytest

from rsgnet.config import CropConfig
from rsgnet.geometry import apply_affine
from rsgnet.inference.crops import cut, fit

IMAGE = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)


def test_a_box_of_the_crops_shape_is_copied():
    config = CropConfig(size_wh=(48, 64), padding=1.0, pixel_centre=0.5)
    crop = cut(IMAGE, [100, 50, 148, 114], config)
    assert np.array_equal(crop.pixels, IMAGE[50:114, 100:148])
    np.testing.assert_allclose(crop.affine, [[1, 0, -100], [0, 1, -50]], atol=1e-12)
    assert crop.area == pytest.approx(48 * 64)


@pytest.mark.parametrize("pixel_centre", [0.0, 0.5])
def test_padding_and_shape(pixel_centre):
    # a box 60 wide and 40 high at 3:4 becomes 60 x 80, padded 75 x 100, about the same centre
    config = CropConfig(size_wh=(96, 128), pixel_centre=pixel_centre)
    crop = cut(IMAGE, [120, 80, 180, 120], config)
    assert crop.pixels.shape == (128, 96, 3) and crop.area == pytest.approx(7500)
    corners = apply_affine(crop.affine, np.array([[150 - 37.5, 50], [150 + 37.5, 150]]) - pixel_centre) + pixel_centre
    np.testing.assert_allclose(corners, [[0, 0], [96, 128]], atol=1e-9)


def test_regions_equal_the_released_code(shared):
    golden = np.load(shared("golden/ops/box2cs.npz"))
    config = CropConfig(size_wh=(192, 256))
    compared = 0
    for box, centre, scale in zip(
        golden["boxes_xywh"], golden["center_256x192_1p25"], golden["scale_256x192_1p25"], strict=True
    ):
        if min(box[2:]) < 1:
            continue
        crop = cut(IMAGE, [*box[:2], *(box[:2] + box[2:])], config)
        np.testing.assert_allclose(crop.area, float(np.prod(scale.astype(float) * 200)), rtol=1e-5)
        np.testing.assert_allclose(apply_affine(crop.affine, centre[None])[0], [96, 128], atol=1e-2)
        compared += 1
    assert compared


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_any_image_can_be_cut(shape):
    image = np.full((*shape, 3), 80, np.uint8)
    crop = cut(image, [0, 0, shape[1], shape[0]], CropConfig(size_wh=(48, 64)))
    assert crop.pixels.shape == (64, 48, 3) and np.isfinite(crop.affine).all()


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
