import numpy as np
import pytest

from rsgnet.config import CropConfig
from rsgnet.geometry import apply_affine
from rsgnet.inference.crops import cut

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
