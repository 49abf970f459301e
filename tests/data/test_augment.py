"""Random crops and colours stay within the configured ranges."""

import numpy as np
import pytest

from rsgnet.config import CropConfig
from rsgnet.data.augment import fast_warp, half_body_box, jitter_colour, training_affine
from rsgnet.geometry import apply_affine, compose_affine, crop_affine, flip_affine, invert_affine
from rsgnet.images import warp
from rsgnet.skeletons import COCO17
from rsgnet.training_config import AugmentConfig

BOX = np.array([40.0, 20.0, 60.0, 160.0])
CROP = CropConfig(size_wh=(192, 256), pixel_centre=0.5)


def keypoints(labelled=range(17)):
    points = np.zeros((17, 3))
    points[:, 0] = 70
    points[:, 1] = np.linspace(30, 170, 17)
    points[list(labelled), 2] = 2
    return points


def affines(augment, count=400):
    random = np.random.default_rng(0)
    return [training_affine(BOX, keypoints(), COCO17, CROP, augment, random) for _ in range(count)]


def test_rotation_scale_and_flip_stay_in_their_ranges():
    drawn = affines(AugmentConfig(rotation_deg=30, scale=0.3, flip=0.5, half_body=0.0))
    scales = np.array([np.sqrt(abs(np.linalg.det(matrix[:, :2]))) for matrix, _ in drawn])
    unscaled = 256 / (160 * 1.25)
    assert unscaled / 1.3 - 1e-9 <= scales.min() < scales.max() <= unscaled / 0.7 + 1e-9
    angles = np.array([np.degrees(np.arctan2(matrix[1, 0], abs(matrix[0, 0]))) for matrix, _ in drawn])
    assert 0.3 < (np.abs(angles) < 1e-6).mean() < 0.5
    assert 30 < np.abs(angles).max() <= 60 + 1e-6
    assert 0.4 < np.mean([flip for _, flip in drawn]) < 0.6
    for matrix, flip in drawn:
        assert (np.linalg.det(matrix[:, :2]) < 0) == flip


def test_without_shift_the_boxes_middle_is_the_crops_middle():
    for matrix, _ in affines(AugmentConfig(half_body=0.0), count=20):
        np.testing.assert_allclose(apply_affine(matrix, [[69.5, 99.5]])[0], [95.5, 127.5], atol=1e-9)


def test_half_body_boxes_are_those_of_the_upper_or_the_lower_half():
    random = np.random.default_rng(0)
    boxes = np.array([half_body_box(BOX, keypoints(), COCO17, 1.25, random) for _ in range(60)])
    middles = boxes[:, 1] + boxes[:, 3] / 2
    upper = keypoints()[:11, 1].mean(), keypoints()[11:, 1].mean()
    assert set(np.round(middles, 6)) == set(np.round(upper, 6))
    assert 0.5 < (middles < 100).mean() < 0.9


def test_half_body_crops_are_hrnets_one_and_a_half_times_the_extent():
    crop = CropConfig(size_wh=(192, 256), padding=1.25, pixel_centre=0.5)
    augment = AugmentConfig(rotation_deg=0, scale=0, flip=0, half_body=1)
    random = np.random.default_rng(0)
    heights = {
        round(256 / training_affine(BOX, keypoints(), COCO17, crop, augment, random)[0][1, 1], 6) for _ in range(40)
    }
    extents = np.ptp(keypoints()[:11, 1]), np.ptp(keypoints()[11:, 1])
    assert heights == {round(1.5 * extent, 6) for extent in extents}


def test_people_with_few_keypoints_are_not_cropped_to_half_of_the_body():
    random = np.random.default_rng(0)
    assert half_body_box(BOX, keypoints(range(8)), COCO17, 1.25, random) is BOX


@pytest.mark.parametrize("spread", [0.0, 0.4])
def test_colours_change_within_their_range(spread):
    image = np.random.default_rng(1).integers(60, 180, (8, 6, 3)).astype(np.uint8)
    changed = jitter_colour(image, spread, np.random.default_rng(2))
    assert changed.dtype == np.uint8
    assert changed.shape == image.shape
    assert (changed == image).all() == (spread == 0)
    assert abs(changed.mean() / image.mean() - 1) <= spread + 0.02


def test_colours_are_saturation_then_contrast_then_brightness():
    image = np.random.default_rng(1).integers(60, 180, (8, 6, 3)).astype(np.uint8)
    brightness, contrast, saturation = np.random.default_rng(3).uniform(0.8, 1.2, 3)
    grey = image.mean(-1, keepdims=True)
    saturated = grey + saturation * (image - grey)
    wanted = contrast * (saturated - grey.mean()) + brightness * grey.mean()
    found = jitter_colour(image, 0.2, np.random.default_rng(3))
    assert np.abs(found - np.floor(wanted)).max() <= 1


IMAGE = np.random.default_rng(0).integers(0, 256, (90, 70, 3)).astype(np.uint8)


@pytest.mark.parametrize("rotation_deg", [0.0, 33.0, -120.0])
@pytest.mark.parametrize("region_wh", [(30.0, 40.0), (150.0, 200.0)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_fast_warp_agrees_with_pillow(rotation_deg, region_wh, mirrored):
    to_crop = crop_affine((32.3, 51.8), region_wh, (48, 64), rotation_deg)
    if mirrored:
        to_crop = compose_affine(flip_affine(48), to_crop)
    crop, by_pillow = fast_warp(IMAGE, to_crop, (48, 64)), warp(IMAGE, to_crop, (48, 64))
    # Pillow ends the image at the edge of its last pixel, exact bilinear fades it out over one pixel more.
    columns_rows = np.stack(np.meshgrid(np.arange(48), np.arange(64)), -1)
    places = apply_affine(invert_affine(to_crop), columns_rows)
    depth = np.minimum(places, np.array([69, 89]) - places).min(-1)  # into the image, from its outermost middles
    seam = 2 * max(1, int(region_wh[0] // 48))  # in pixels of the image, of which a small crop averages blocks
    assert (depth >= seam).sum() > 200 and (np.abs(crop.astype(int) - by_pillow).max(-1) <= 1)[depth >= seam].all()
    assert (depth >= -seam).all() or crop[depth < -seam].max() == 0


def test_the_identity_keeps_every_pixel():
    assert np.array_equal(fast_warp(IMAGE, np.eye(2, 3), (70, 90)), IMAGE)


def test_a_shift_by_whole_pixels_is_exact_and_black_outside():
    crop = fast_warp(IMAGE, np.array([[1.0, 0, 5], [0, 1, -7]]), (70, 90))
    assert np.array_equal(crop[:83, 5:], IMAGE[7:, :65])
    assert crop[83:].max() == 0 and crop[:, :5].max() == 0


def test_a_much_smaller_crop_is_an_average():
    checks = np.repeat(np.indices((64, 64)).sum(0)[..., None] % 2 * 255, 3, -1).astype(np.uint8)
    crop = fast_warp(checks, crop_affine((32, 32), (64, 64), (8, 8), pixel_centre=0.5), (8, 8))
    assert np.abs(crop.astype(int) - 127.5).max() <= 3


@pytest.mark.parametrize("centre", [(-500.0, 20.0), (1e6, 1e6)])
def test_a_crop_beside_the_image_is_black(centre):
    assert fast_warp(IMAGE, crop_affine(centre, (400, 400), (48, 64)), (48, 64)).max() == 0
