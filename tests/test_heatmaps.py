import math

import numpy as np
import pytest

from rsgnet.geometry import apply_affine, flip_affine, invert_affine
from rsgnet.heatmaps import decode, encode, expected_oks, find_peaks, flip_back, heatmap_affine, peak_covariances
from rsgnet.skeletons import COCO17, CROWDPOSE14

SHAPE_HW = (64, 48)
CROP_WH = (192, 256)


def random_positions(count, seed=0, margin=4.0):
    random = np.random.default_rng(seed)
    return random.uniform(margin, np.array(SHAPE_HW[::-1]) - 1 - margin, (count, 2))


@pytest.mark.parametrize(
    ("stride", "pixel_centre", "crop_xy", "heatmap_xy"),
    [
        (4, 0.0, [8, 12], [2, 3]),
        (4, 0.5, [1.5, 1.5], [0, 0]),  # the first heatmap pixel covers crop pixels 0 to 3
        (4, 0.5, [5.5, 9.5], [1, 2]),
        (2, 0.5, [0.5, 2.5], [0, 1]),
        (1, 0.5, [7, 9], [7, 9]),
    ],
)
def test_heatmap_affine(stride, pixel_centre, crop_xy, heatmap_xy):
    np.testing.assert_allclose(apply_affine(heatmap_affine(stride, pixel_centre), [crop_xy])[0], heatmap_xy)


class TestEncode:
    def test_is_a_gaussian_around_the_exact_position(self):
        (x, y), sigma = (10.3, 20.8), 2.0
        heatmap = encode(np.array([[x, y]]), SHAPE_HW, sigma)[0]
        assert heatmap.shape == SHAPE_HW
        for row, column in ((20, 10), (21, 10), (25, 3), (0, 47)):
            distance = (column - x) ** 2 + (row - y) ** 2
            assert heatmap[row, column] == pytest.approx(np.exp(-distance / (2 * sigma**2)), abs=1e-15)

    def test_height_at_the_centre_and_at_one_sigma(self):
        heatmap = encode(np.array([5.0, 6.0]), SHAPE_HW, 3.0)
        assert heatmap[6, 5] == 1.0
        assert heatmap[6, 8] == pytest.approx(np.exp(-0.5))
        assert heatmap[9, 5] == pytest.approx(np.exp(-0.5))

    def test_a_nan_position_gives_zeros(self):
        heatmaps = encode(np.array([[np.nan, np.nan], [4.0, 4.0]]), SHAPE_HW, 2.0)
        assert not heatmaps[0].any()
        assert heatmaps[1].max() == 1.0

    def test_keeps_leading_axes_and_dtype(self):
        heatmaps = encode(np.zeros((2, 3, 5, 2), np.float32), (8, 6), 1.0)
        assert heatmaps.shape == (2, 3, 5, 8, 6)
        assert heatmaps.dtype == np.float32

    def test_torch_equals_numpy(self):
        torch = pytest.importorskip("torch", reason="the light install has no torch")
        points = random_positions(5).astype(np.float32)
        found = encode(torch.from_numpy(points), SHAPE_HW, 2.0)
        np.testing.assert_allclose(found.numpy(), encode(points, SHAPE_HW, 2.0), atol=1e-6)

    def test_golden_labels(self, shared):
        golden = np.load(shared("golden/ops/targets_14_256x192_hm128x96_s2.npz"))
        found = encode(golden["joints_heat"][..., :2], (128, 96), float(golden["sigma"]))
        labelled = golden["weight_unb"][..., 0] > 0
        assert labelled.sum() > 5
        np.testing.assert_allclose(found[labelled], golden["target_unb"][labelled], atol=1e-6)


class TestRoundTrip:
    """Encodes and decodes keypoints given in crop pixels; errors are in crop pixels."""

    def errors(self, refinement, pixel_centre, sigma=2.0, stride=4):
        to_heatmap = heatmap_affine(stride, pixel_centre)
        truth = apply_affine(invert_affine(to_heatmap), random_positions(200))
        heatmaps = encode(apply_affine(to_heatmap, truth), SHAPE_HW, sigma).astype(np.float32)
        found, scores = decode(heatmaps[:, None], refinement, (0.062,))
        found, scores = found[:, 0], scores[:, 0]
        assert (scores > 0.9).all()
        return np.abs(apply_affine(invert_affine(to_heatmap), found) - truth)

    @pytest.mark.parametrize("pixel_centre", [0.0, 0.5])
    @pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
    def test_taylor_is_within_a_third_of_a_pixel(self, pixel_centre, sigma):
        assert self.errors("taylor", pixel_centre, sigma).max() < 0.3
        assert self.errors("expected_oks", pixel_centre, sigma).max() < 0.3

    @pytest.mark.parametrize(("refinement", "worst", "least"), [("quarter", 1.0, 0.8), ("none", 2.0, 1.6)])
    def test_errors_of_coarser_refinements(self, refinement, worst, least):
        """At most a quarter of a heatmap pixel, or half a pixel without refinement, times the stride of 4."""
        errors = self.errors(refinement, 0.5)
        assert least < errors.max() <= worst + 1e-6


class TestDecode:
    def test_quarter_steps_towards_the_higher_neighbour_on_each_axis(self):
        heatmap = np.zeros((8, 8), np.float32)
        heatmap[3, 4] = 1.0
        heatmap[3, 5], heatmap[3, 3] = 0.6, 0.5
        heatmap[2, 4], heatmap[4, 4] = 0.3, 0.2
        found, score = decode(heatmap, "quarter")
        np.testing.assert_array_equal(found, [4.25, 2.75])
        assert score == 1.0

    def test_quarter_stays_between_equal_neighbours(self):
        heatmap = np.zeros((8, 8), np.float32)
        heatmap[3, 4] = 1.0
        np.testing.assert_array_equal(decode(heatmap, "quarter")[0], [4, 3])

    @pytest.mark.parametrize("refinement", ["none", "quarter", "taylor"])
    @pytest.mark.parametrize("place", [(0, 0), (7, 0), (0, 7), (7, 7), (3, 0)])
    def test_a_peak_on_the_border_stays_there(self, refinement, place):
        heatmap = np.full((8, 8), 0.1, np.float32)
        heatmap[place[1], place[0]] = 0.9
        found, score = decode(heatmap, refinement)
        np.testing.assert_array_equal(found, place)
        assert score == np.float32(0.9)

    @pytest.mark.parametrize("refinement", ["none", "quarter", "taylor", "expected_oks"])
    @pytest.mark.parametrize("value", [0.0, -0.5])
    def test_a_heatmap_without_a_positive_value_is_at_the_origin(self, refinement, value):
        found, score = decode(np.full((1, 8, 8), value, np.float32), refinement, (0.1,))
        np.testing.assert_array_equal(found, [[0, 0]])
        assert score[0] == np.float32(value)

    def test_a_heatmap_with_maximum_zero_is_at_the_origin(self):
        heatmap = np.full((8, 8), -1.0, np.float32)
        heatmap[4, 4] = 0.0
        np.testing.assert_array_equal(decode(heatmap, "none")[0], [0, 0])

    def test_taylor_moves_at_most_one_pixel(self):
        """A single high pixel beside a broad plateau: the expansion alone would give a larger offset."""
        heatmap = np.zeros((9, 9), np.float32)
        heatmap[3:6, 5:7] = 0.99
        heatmap[4, 4] = 1.0
        np.testing.assert_allclose(decode(heatmap, "taylor")[0], [5, 4])

    def test_keeps_leading_axes_and_decodes_empty_batches(self):
        found, scores = decode(np.zeros((2, 3, 5, 8, 6), np.float32))
        assert found.shape == (2, 3, 5, 2)
        assert scores.shape == (2, 3, 5)
        found, scores = decode(np.zeros((0, 17, 8, 6), np.float32))
        assert found.shape == (0, 17, 2)
        assert scores.shape == (0, 17)

    @pytest.mark.parametrize("shape_hw", [(64, 48), (16, 12), (4, 9)])
    def test_udp_is_what_vitpose_does(self, shape_hw):
        """The steps of its authors (MMPose's `post_dark_udp`), one keypoint at a time, border pixels included."""
        height, width = shape_hw
        random = np.random.default_rng(4)
        offsets = [(y, x) for y in range(-5, 6) for x in range(-5, 6)]
        gaussian = np.array([np.exp(-(y * y + x * x) / (2 * 2.0**2)) for y, x in offsets])
        moved = 0
        for _ in range(60):
            first, second = random.uniform(-1, [[width, height]] * 2, (2, 2))
            noise = random.uniform(0, 0.03, shape_hw)
            heatmap = (encode(first, shape_hw, 2.0) + 0.5 * encode(second, shape_hw, 1.5) + noise).astype(np.float32)
            mirrored = np.pad(heatmap.astype(np.float64), 6, mode="reflect")
            blurred = np.zeros(shape_hw)
            for (y, x), weight in zip(offsets, gaussian / gaussian.sum(), strict=True):
                blurred += weight * mirrored[6 + y : 6 + y + height, 6 + x : 6 + x + width]
            f = np.pad(np.log(np.maximum(blurred, 0.001)), 1, mode="edge")
            row, column = np.unravel_index(heatmap.argmax(), shape_hw)
            y, x = row + 1, column + 1
            gradient = [(f[y, x + 1] - f[y, x - 1]) / 2, (f[y + 1, x] - f[y - 1, x]) / 2]
            xx, yy = f[y, x + 1] - 2 * f[y, x] + f[y, x - 1], f[y + 1, x] - 2 * f[y, x] + f[y - 1, x]
            xy = f[y + 1, x + 1] - f[y, x + 1] - f[y + 1, x] + 2 * f[y, x] - f[y, x - 1] - f[y - 1, x] + f[y - 1, x - 1]
            hessian = np.array([[xx, xy / 2], [xy / 2, yy]])
            if not (np.linalg.eigvalsh(hessian) < -1e-6).all():
                continue  # no maximum: where ViTPose steps away from it, `decode` stays
            step = np.linalg.solve(hessian, gradient)
            moved += np.abs(step).max() > 1
            found, score = decode(heatmap, "udp")
            np.testing.assert_allclose(found, [column, row] - step.clip(-4, 4), atol=1e-3)
            assert score == heatmap.max()
        assert moved  # further than "taylor" would allow

    def test_expected_oks_is_the_mean_over_positions(self):
        """Plain arithmetic: softmax(10 x heatmap), and the OKS of a person with a quarter of the crop's area."""
        random = np.random.default_rng(0)
        maps, sigmas = random.random((2, 3, 7, 5), np.float32), (0.026, 0.062, 0.107)
        found = expected_oks(maps, sigmas)
        assert found.dtype == np.float32
        for batch, keypoint, row, column in [(0, 0, 0, 0), (1, 1, 3, 2), (0, 2, 6, 4), (1, 2, 2, 1)]:
            weights = [[math.exp(10 * value) for value in line] for line in maps[batch, keypoint]]
            total = sum(map(sum, weights))
            wanted = sum(
                weights[y][x] / total * math.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * area * falloff**2))
                for y in range(7)
                for x in range(5)
                for area, falloff in [(0.25 * 35, 2 * sigmas[keypoint])]
            )
            assert found[batch, keypoint, row, column] == pytest.approx(wanted, rel=1e-4)

    def test_two_adjacent_peaks_outweigh_a_higher_one(self):
        maps = np.zeros((1, 1, 16, 12), np.float32)
        maps[0, 0, 3, 3] = 0.8
        maps[0, 0, 12, 8], maps[0, 0, 12, 9] = 0.75, 0.75
        assert decode(maps, "taylor")[0].tolist() == [[[3, 3]]]
        found, scores = decode(maps, "expected_oks", (0.1,))
        np.testing.assert_allclose(found[0, 0], [8.5, 12], atol=0.05)
        assert scores == np.float32(0.8)  # the maximum of the heatmap, not the expected OKS

    @pytest.mark.parametrize(("refinement", "key"), [("none", "max_preds"), ("quarter", "coords_shifted")])
    def test_golden(self, shared, refinement, key):
        golden = np.load(shared("golden/ops/decode.npz"))
        found, scores = decode(golden["heatmaps"], refinement)
        np.testing.assert_array_equal(found, golden[key])
        np.testing.assert_array_equal(scores, golden["maxvals"][..., 0])


class TestFlipBack:
    def test_swaps_sides_and_columns(self):
        heatmaps = np.random.default_rng(0).random((2, 3, 4, 5), np.float32)
        found = flip_back(heatmaps, np.array([0, 2, 1]), shift=False)
        np.testing.assert_array_equal(found[:, 1], heatmaps[:, 2, :, ::-1])
        np.testing.assert_array_equal(found[:, 0], heatmaps[:, 0, :, ::-1])
        np.testing.assert_array_equal(flip_back(found, np.array([0, 2, 1]), shift=False), heatmaps)

    def test_shift_moves_one_pixel_right_and_keeps_the_first_column(self):
        heatmaps = np.arange(4, dtype=np.float32).reshape(1, 1, 4)
        np.testing.assert_array_equal(flip_back(heatmaps, np.array([0]), shift=True), [[[3, 3, 2, 1]]])
        np.testing.assert_array_equal(heatmaps.ravel(), np.arange(4))

    @pytest.mark.parametrize(
        ("pixel_centre", "shift", "off_px"), [(0.5, False, 0.0), (0.0, True, 0.25), (0.0, False, 0.75)]
    )
    def test_offset_of_both_pixel_conventions(self, pixel_centre, shift, off_px):
        """With pixel_centre 0.5 flipping is exact; with 0 the result is (stride - 1) / stride pixels too far left."""
        to_heatmap = heatmap_affine(4, pixel_centre)
        crop_xy = apply_affine(invert_affine(to_heatmap), random_positions(17, margin=8))
        mirrored = apply_affine(flip_affine(CROP_WH[0]), crop_xy)[COCO17.flip_indices]
        heatmaps = encode(apply_affine(to_heatmap, mirrored), SHAPE_HW, 2.0)
        expected = apply_affine(to_heatmap, crop_xy) - [off_px * (-1 if shift else 1), 0]
        found, first = (
            flip_back(heatmaps, COCO17.flip_indices, shift),
            int(shift),
        )  # shifting leaves the first column undefined
        np.testing.assert_allclose(found[..., first:], encode(expected, SHAPE_HW, 2.0)[..., first:], atol=1e-9)

    @pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
    def test_golden(self, shared, skeleton):
        golden, count = np.load(shared("golden/ops/flip.npz")), len(skeleton)
        heatmaps = golden[f"heat_{count}"]
        np.testing.assert_array_equal(flip_back(heatmaps, skeleton.flip_indices, False), golden[f"flip_back_{count}"])
        np.testing.assert_array_equal(flip_back(heatmaps, skeleton.flip_indices, True), golden[f"shifted_{count}"])


def test_covariances_are_those_of_the_drawn_gaussians():
    y, x = np.mgrid[:40, :30]
    places = np.array([[12.3, 18.7], [0.2, 39.0]])
    narrow = np.array([np.exp(-((x - px) ** 2) / 2 - (y - py) ** 2 / (2 * 1.2**2)) for px, py in places], np.float32)
    found = peak_covariances(narrow[None], places[None])[0]
    # A Gaussian of pixels has the variance of the Gaussian, and 1/12 is added for the width of a pixel.
    np.testing.assert_allclose(found[0], [[1 + 1 / 12, 0], [0, 1.44 + 1 / 12]], atol=0.03)
    assert np.linalg.eigvalsh(found).min() > 0  # at the border, too
    turned = np.exp(-((x - 15 + y - 20) ** 2) / 8 - (x - 15 - y + 20) ** 2 / 2).astype(np.float32)
    # The sum of x and y has a variance of 4, their difference of 1.
    assert peak_covariances(turned[None], np.array([[15.0, 20.0]]))[0, 0, 1] == pytest.approx(3 / 4, abs=0.02)
    empty = peak_covariances(np.zeros((1, 40, 30), np.float32), np.array([[3.0, 3.0]]))
    np.testing.assert_allclose(empty[0], np.eye(2) / 12)


def test_peaks_are_local_maxima_by_height():
    heatmaps = np.zeros((1, 2, 8, 9), np.float32)
    heatmaps[0, 0, 2, 3], heatmaps[0, 0, 6, 7], heatmaps[0, 0, 2, 4], heatmaps[0, 0, 0, 0] = 0.9, 0.95, 0.5, 0.05
    heatmaps[0, 1, 4, 4:6] = 0.7  # a plateau is one peak
    peaks = find_peaks(heatmaps, 3, 0.1)
    np.testing.assert_allclose(peaks[0, 0], [[7, 6, 0.95], [3, 2, 0.9], [0, 0, 0]])
    np.testing.assert_allclose(peaks[0, 1], [[4, 4, 0.7], [0, 0, 0], [0, 0, 0]])
