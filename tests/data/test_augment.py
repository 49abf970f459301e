"""Random crops stay within what the recipe says."""

import numpy as np
import pytest

from rsgnet.config import AugmentConfig, CropConfig
from rsgnet.data.augment import half_body_box, jitter_colour, training_affine
from rsgnet.geometry import apply_affine
from rsgnet.skeletons import COCO17

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


def test_rotation_scale_and_flip_keep_to_their_spreads():
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


def test_half_a_body_is_the_upper_or_the_lower():
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


def test_people_with_few_keypoints_are_not_halved():
    random = np.random.default_rng(0)
    assert half_body_box(BOX, keypoints(range(8)), COCO17, 1.25, random) is BOX


@pytest.mark.parametrize("spread", [0.0, 0.4])
def test_colours_change_within_their_spread(spread):
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
