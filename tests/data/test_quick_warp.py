import numpy as np
import pytest

from rsgnet.data.quick_warp import quick_warp
from rsgnet.geometry import apply_affine, compose_affine, crop_affine, flip_affine, invert_affine
from rsgnet.images import warp

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 70, 3)).astype(np.uint8)


@pytest.mark.parametrize("rotation_deg", [0.0, 33.0, -120.0])
@pytest.mark.parametrize("region_wh", [(30.0, 40.0), (150.0, 200.0)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_it_cuts_what_pillow_cuts(rotation_deg, region_wh, mirrored):
    to_crop = crop_affine((32.3, 51.8), region_wh, (48, 64), rotation_deg)
    if mirrored:
        to_crop = compose_affine(flip_affine(48), to_crop)
    crop, by_pillow = quick_warp(IMAGE, to_crop, (48, 64)), warp(IMAGE, to_crop, (48, 64))
    # Pillow ends the image at the edge of its last pixel, exact bilinear fades it out over one pixel more.
    columns_rows = np.stack(np.meshgrid(np.arange(48), np.arange(64)), -1)
    places = apply_affine(invert_affine(to_crop), columns_rows)
    depth = np.minimum(places, np.array([69, 89]) - places).min(-1)  # into the image, from its outermost middles
    seam = 2 * max(1, int(region_wh[0] // 48))  # in pixels of the image, of which a small crop averages blocks
    assert (depth >= seam).sum() > 200 and (np.abs(crop.astype(int) - by_pillow).max(-1) <= 1)[depth >= seam].all()
    assert (depth >= -seam).all() or crop[depth < -seam].max() == 0


def test_the_identity_keeps_every_pixel():
    assert np.array_equal(quick_warp(IMAGE, np.eye(2, 3), (70, 90)), IMAGE)


def test_a_shift_by_whole_pixels_is_exact_and_black_outside():
    crop = quick_warp(IMAGE, np.array([[1.0, 0, 5], [0, 1, -7]]), (70, 90))
    assert np.array_equal(crop[:83, 5:], IMAGE[7:, :65])
    assert crop[83:].max() == 0 and crop[:, :5].max() == 0


def test_a_much_smaller_crop_is_an_average():
    checks = np.repeat(np.indices((64, 64)).sum(0)[..., None] % 2 * 255, 3, -1).astype(np.uint8)
    crop = quick_warp(checks, crop_affine((32, 32), (64, 64), (8, 8), pixel_centre=0.5), (8, 8))
    assert np.abs(crop.astype(int) - 127.5).max() <= 3


@pytest.mark.parametrize("centre", [(-500.0, 20.0), (1e6, 1e6)])
def test_a_crop_beside_the_image_is_black(centre):
    assert quick_warp(IMAGE, crop_affine(centre, (400, 400), (48, 64)), (48, 64)).max() == 0
