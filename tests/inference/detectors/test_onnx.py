"""How images are laid on the canvas of a detector."""

import numpy as np
import pytest

from rsgnet.inference.detectors.onnx import letterbox, stretch


class TestLetterbox:
    @pytest.mark.parametrize(
        ("size_wh", "inside_wh", "scale"),
        [((64, 64), (64, 64), 1.0), ((128, 64), (64, 32), 0.5), ((32, 64), (32, 64), 1.0), ((32, 16), (64, 32), 2.0)],
    )
    def test_the_image_lies_at_the_top_left(self, size_wh, inside_wh, scale):
        image = np.full((size_wh[1], size_wh[0], 3), (10, 20, 30), np.uint8)
        canvas, found = letterbox(image, (64, 64))
        assert found.tolist() == [scale, scale] and canvas.shape == (64, 64, 3)
        width, height = inside_wh
        assert (canvas[:height, :width] == (10, 20, 30)).all()
        assert (canvas[height:] == 114).all() and (canvas[:, width:] == 114).all()

    def test_boxes_are_scaled_without_a_shift(self):
        image = np.zeros((240, 320, 3), np.uint8)
        image[120:160, 200:240] = 255
        canvas, scale = letterbox(image, (64, 64))
        y, x = np.nonzero(canvas[..., 0] > 127)
        found = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) / scale[0]
        np.testing.assert_allclose(found, [200, 120, 240, 160])

    @pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (5000, 3)])
    def test_images_of_extreme_shape(self, shape):
        canvas, scale = letterbox(np.full((*shape, 3), 50, np.uint8), (64, 48))
        assert canvas.shape == (48, 64, 3) and scale[0] == min(64 / shape[1], 48 / shape[0])


def test_a_stretched_image_fills_the_canvas_and_its_places_scale_by_side():
    image = np.zeros((240, 320, 3), np.uint8)
    image[120:160, 200:240] = 255
    canvas, scale_wh = stretch(image, (96, 64))
    y, x = np.nonzero(canvas[..., 0] > 127)
    found = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) / np.tile(scale_wh, 2)
    np.testing.assert_allclose(found, [200, 120, 240, 160], atol=2)
    assert canvas.shape == (64, 96, 3) and scale_wh.tolist() == [96 / 320, 64 / 240]
