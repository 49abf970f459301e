"""Crops are cut where the boxes are, and what is found in them lies where it does in the image."""

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config import CropConfig
from rsgnet.geometry import apply_affine
from rsgnet.inference.crops import cut_crop, predict_crops
from rsgnet.inference.runtime.network import NetworkCapabilities, PoseNetwork
from rsgnet.inference.runtime.outputs import HeatmapOutput

IMAGE = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)


class TestCutCrop:
    def test_a_box_of_the_crops_shape_is_copied(self):
        config = CropConfig(size_wh=(48, 64), padding=1.0, pixel_centre=0.5)
        crop = cut_crop(IMAGE, [100, 50, 148, 114], config)
        assert np.array_equal(crop.pixels, IMAGE[50:114, 100:148])
        np.testing.assert_allclose(crop.affine, [[1, 0, -100], [0, 1, -50]], atol=1e-12)
        assert crop.area == pytest.approx(48 * 64)

    @pytest.mark.parametrize("pixel_centre", [0.0, 0.5])
    def test_padding_and_shape(self, pixel_centre):
        # a box 60 wide and 40 high at 3:4 becomes 60 x 80, padded 75 x 100, about the same centre
        config = CropConfig(size_wh=(96, 128), pixel_centre=pixel_centre)
        crop = cut_crop(IMAGE, [120, 80, 180, 120], config)
        assert crop.pixels.shape == (128, 96, 3) and crop.area == pytest.approx(7500)
        corners = np.array([[150 - 37.5, 50], [150 + 37.5, 150]])
        corners = apply_affine(crop.affine, corners - pixel_centre) + pixel_centre
        np.testing.assert_allclose(corners, [[0, 0], [96, 128]], atol=1e-9)

    def test_regions_equal_the_released_code(self, shared):
        golden = np.load(shared("golden/ops/box2cs.npz"))
        config = CropConfig(size_wh=(192, 256))
        compared = 0
        for box, centre, scale in zip(
            golden["boxes_xywh"], golden["center_256x192_1p25"], golden["scale_256x192_1p25"], strict=True
        ):
            if min(box[2:]) < 1:
                continue
            crop = cut_crop(IMAGE, [*box[:2], *(box[:2] + box[2:])], config)
            np.testing.assert_allclose(crop.area, float(np.prod(scale.astype(float) * 200)), rtol=1e-5)
            np.testing.assert_allclose(apply_affine(crop.affine, centre[None])[0], [96, 128], atol=1e-2)
            compared += 1
        assert compared

    @pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
    def test_images_of_extreme_shape(self, shape):
        image = np.full((*shape, 3), 80, np.uint8)
        crop = cut_crop(image, [0, 0, shape[1], shape[0]], CropConfig(size_wh=(48, 64)))
        assert crop.pixels.shape == (64, 48, 3) and np.isfinite(crop.affine).all()


class TwoPeakNetwork(PoseNetwork):
    """A network that finds every keypoint at the same two places of its 12x16 heatmap."""

    config, capabilities = colour_config(), NetworkCapabilities(gives_candidates=True)

    def run(self, crops):
        heatmaps, table = np.zeros((len(crops), 17, 16, 12), np.float32), np.zeros((len(crops), 17, 4, 4), np.float32)
        heatmaps[:, :, 4, 3], heatmaps[:, :, 9, 8] = 0.9, 0.5
        table[:, :, :2] = [[3, 4, 0.9, 0.7], [8, 9, 0.5, 0.2]]
        return HeatmapOutput(heatmaps, (table,))


class TestPredictCrops:
    @pytest.fixture
    def crops(self):
        image = np.zeros((300, 400, 3), np.uint8)
        boxes = [50, 40, 110, 120], [200, 100, 260, 240]
        return [cut_crop(image, box, TwoPeakNetwork.config.crop) for box in boxes]

    @pytest.mark.parametrize("flip_test", [False, True])
    def test_candidates_lie_where_keypoints_do_in_the_image(self, crops, flip_test):
        found = predict_crops(TwoPeakNetwork(), crops, flip_test, with_features=True)
        assert found.candidates.shape == (2, 17, 4, 4)
        expected = np.broadcast_to([[0.9, 0.7], [0.5, 0.2]], (2, 17, 2, 2))
        np.testing.assert_allclose(found.candidates[:, :, :2, 2:], expected)
        assert (found.candidates[:, :, 2:] == 0).all()
        # By hand: an 80 px high box needs 100 px of crop for 16 heatmap pixels: 6.25 px each, from 30 and 42.5 px on.
        expected_xy = [42.5 + 3.5 * 6.25 - 0.5, 30 + 4.5 * 6.25 - 0.5]
        np.testing.assert_allclose(found.candidates[0, 0, 0, :2], expected_xy, atol=1e-3)
        keypoints_xy = predict_crops(TwoPeakNetwork(), crops, False).keypoints_xy
        np.testing.assert_allclose(found.candidates[:, :, 0, :2], keypoints_xy, atol=1.0)

    def test_without_features_there_are_no_candidates(self, crops):
        assert predict_crops(TwoPeakNetwork(), crops, False).candidates.shape == (2, 17, 0, 4)
