import numpy as np
import pytest

from rsgnet.geometry import (
    apply_affine,
    box_iou,
    compose_affine,
    crop_affine,
    crop_region,
    flip_affine,
    invert_affine,
    xywh_to_xyxy,
    xyxy_to_xywh,
)


@pytest.mark.parametrize(
    ("xywh", "xyxy"),
    [
        ([10, 20, 30, 40], [10, 20, 40, 60]),
        ([-5, 0.5, 1, 0], [-5, 0.5, -4, 0.5]),
        ([[0, 0, 2, 3], [1, 1, 1, 1]], [[0, 0, 2, 3], [1, 1, 2, 2]]),
        (np.zeros((0, 4)), np.zeros((0, 4))),
    ],
)
def test_box_formats(xywh, xyxy):
    np.testing.assert_array_equal(xywh_to_xyxy(xywh), xyxy)
    np.testing.assert_array_equal(xyxy_to_xywh(xyxy), xywh)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1.0),
        ([0, 0, 10, 10], [5, 0, 15, 10], 50 / 150),
        ([0, 0, 10, 10], [5, 5, 15, 15], 25 / 175),
        ([0, 0, 10, 10], [2, 3, 4, 8], 10 / 100),
        ([0, 0, 10, 10], [10, 0, 20, 10], 0.0),  # touching
        ([0, 0, 10, 10], [20, 20, 30, 30], 0.0),  # apart on both axes: two negative sides must not give a positive area
        ([5, 5, 5, 5], [5, 5, 5, 5], 0.0),  # empty
    ],
)
def test_box_iou_of_a_pair(first, second, expected):
    assert box_iou([first], [second])[0, 0] == pytest.approx(expected)
    assert box_iou([second], [first])[0, 0] == pytest.approx(expected)


def test_box_iou_has_one_row_per_first_box_and_one_column_per_second_box():
    first, second = [[0, 0, 4, 4], [2, 0, 6, 4]], [[0, 0, 4, 4], [4, 0, 8, 4], [9, 9, 10, 10]]
    np.testing.assert_allclose(box_iou(first, second), [[1, 0, 0], [8 / 24, 8 / 24, 0]])
    assert box_iou(np.zeros((0, 4)), second).shape == (0, 3)


@pytest.mark.parametrize(
    ("box", "padding", "centre", "region"),
    [
        ([100, 200, 30, 40], 1.0, [115, 220], [30, 40]),  # already 3:4
        ([100, 200, 30, 80], 1.0, [115, 240], [60, 80]),  # too narrow: extended in width
        ([100, 200, 60, 40], 1.0, [130, 220], [60, 80]),  # too flat: extended in height
        ([0, 0, 30, 40], 1.25, [15, 20], [37.5, 50]),
    ],
)
def test_crop_region(box, padding, centre, region):
    found_centre, found_region = crop_region(box, (192, 256), padding)
    np.testing.assert_allclose(found_centre, centre)
    np.testing.assert_allclose(found_region, region)


def test_crop_region_takes_many_boxes_and_pads_by_a_quarter():
    centre, region = crop_region([[0, 0, 30, 40], [10, 10, 60, 80]], (192, 256))
    np.testing.assert_allclose(centre, [[15, 20], [40, 50]])
    np.testing.assert_allclose(region, [[37.5, 50], [75, 100]])


@pytest.mark.parametrize("pixel_centre", [0.0, 0.5])
@pytest.mark.parametrize("rotation", [0.0, 30.0, -120.0])
def test_crop_affine_keeps_the_centre_and_the_scale(pixel_centre, rotation):
    matrix = crop_affine([50, 70], [60, 80], (192, 256), rotation, pixel_centre)
    np.testing.assert_allclose(
        apply_affine(matrix, [[50 - pixel_centre, 70 - pixel_centre]]), [[96 - pixel_centre, 128 - pixel_centre]]
    )
    assert np.sqrt(np.linalg.det(matrix[:, :2])) == pytest.approx(192 / 60)


@pytest.mark.parametrize(("pixel_centre", "left"), [(0.0, 0.0), (0.5, -0.5)])
def test_crop_affine_maps_the_edge_of_the_region_to_the_edge_of_the_crop(pixel_centre, left):
    """A region from 20 to 80 fills the crop from edge to edge; with pixel_centre 0.5 an edge has index -0.5."""
    matrix = crop_affine([50, 70], [60, 80], (192, 256), 0, pixel_centre)
    np.testing.assert_allclose(apply_affine(matrix, [[20 + left, 30 + left]]), [[left, left]], atol=1e-12)


def test_a_region_rotated_clockwise_turns_its_content_counterclockwise():
    """At 90 degrees the top of the region points right in the image, so a point right of the centre is mapped up."""
    matrix = crop_affine([50, 70], [64, 64], (64, 64), 90)
    np.testing.assert_allclose(apply_affine(matrix, [[60, 70]]), [[32, 22]], atol=1e-12)


def test_invert_and_compose_affine():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 2, 3))
    points = random.normal(size=(7, 2))
    np.testing.assert_allclose(apply_affine(invert_affine(first), apply_affine(first, points)), points)
    np.testing.assert_allclose(
        apply_affine(compose_affine(second, first), points), apply_affine(second, apply_affine(first, points))
    )
    stacked = invert_affine(np.stack([first, second]))
    np.testing.assert_allclose(stacked[1], invert_affine(second))


def test_apply_affine_maps_each_batch_item_by_its_own_matrix():
    matrices = np.array([[[1.0, 0, 5], [0, 1, 0]], [[2.0, 0, 0], [0, 3, 1]]])
    points = np.array([[[1.0, 1]], [[1.0, 1]]])
    np.testing.assert_array_equal(apply_affine(matrices, points), [[[6, 1]], [[2, 4]]])


def test_flip_affine_swaps_the_first_and_last_column():
    np.testing.assert_array_equal(apply_affine(flip_affine(10), [[0, 3], [9, 3], [4.5, 0]]), [[9, 3], [0, 3], [4.5, 0]])


class TestGolden:
    @pytest.mark.parametrize("size_wh", [(192, 256), (288, 384)])
    @pytest.mark.parametrize("padding", [1.0, 1.25])
    def test_crop_region_is_the_published_centre_and_scale(self, shared, size_wh, padding):
        golden = np.load(shared("golden/ops/box2cs.npz"))
        key = f"{size_wh[1]}x{size_wh[0]}_{'1p25' if padding == 1.25 else '1p0'}"
        centre, region = crop_region(golden["boxes_xywh"], size_wh, padding)
        np.testing.assert_allclose(centre, golden[f"center_{key}"], atol=1e-4)
        np.testing.assert_allclose(region, 200 * golden[f"scale_{key}"], atol=2e-4)

    def test_crop_affine_is_the_published_matrix(self, shared):
        golden = np.load(shared("golden/ops/affine.npz"))
        keys = ("center", "scale", "rot", "output_size", "inv", "points", "trans", "points_out")
        for centre, scale, rotation, size, inverse, points, matrix, mapped in zip(*map(golden.get, keys), strict=True):
            found = crop_affine(centre, 200 * scale, tuple(size), rotation)
            found = invert_affine(found) if inverse else found
            np.testing.assert_allclose(found, matrix, rtol=1e-4, atol=1e-3)
            np.testing.assert_allclose(apply_affine(found, points), mapped, rtol=1e-5, atol=0.02)

    def test_heatmap_coordinates_map_to_the_image_as_published(self, shared):
        golden = np.load(shared("golden/ops/affine.npz"))
        keys = ("center", "scale", "output_size", "heat_coords", "transform_preds_out")
        for centre, scale, size, points, mapped in zip(*map(golden.get, keys), strict=True):
            found = apply_affine(invert_affine(crop_affine(centre, 200 * scale, tuple(size))), points)
            np.testing.assert_allclose(found, mapped, rtol=1e-5, atol=0.02)
