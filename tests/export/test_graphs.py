"""Flip test and decoding in graphs equal those in NumPy."""

import numpy as np
import pytest
import torch

from rsgnet import heatmaps as in_numpy
from rsgnet.export.graphs import average_flip, decode_heatmaps, flip_candidates
from rsgnet.heatmaps import encode, second_peak_heights
from rsgnet.inference import decode as inference
from rsgnet.inference.runtime.outputs import HeatmapOutput
from rsgnet.skeletons import COCO17

RANDOM = np.random.default_rng(0)


def heatmaps():
    """Returns heatmaps with two Gaussians anywhere, also beyond the border, noise, and heatmaps without a peak."""
    keypoints_xy = RANDOM.uniform([-2, -2], [17, 22], (2, 6, 17, 2))
    gaussians = encode(keypoints_xy, (20, 16), 1.5).astype(np.float32)
    maps = gaussians[0] + 0.6 * gaussians[1] + RANDOM.uniform(0, 0.02, gaussians[0].shape).astype(np.float32)
    maps[0, 0], maps[0, 1], maps[0, 2] = 0, -1, 0.25
    for column, row in ((0, 0), (1, 1), (14, 18), (15, 19), (1, 9)):
        maps[1, column] = 0
        maps[1, column, row, column] = 1
    return maps


@pytest.mark.parametrize("refinement", ["none", "quarter", "taylor", "udp", "expected_oks"])
def test_decode_heatmaps(refinement):
    maps = heatmaps()
    expected, expected_scores = in_numpy.decode(maps, refinement, COCO17.sigmas)
    found, scores = decode_heatmaps(torch.from_numpy(maps), refinement, COCO17.sigmas)
    assert found.shape == (6, 17, 2) and found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert np.array_equal(scores, expected_scores)
    assert refinement == "none" or (expected % 1 != 0).any()


def test_second_peak_heights():
    maps = heatmaps()
    keypoints_xy, _ = in_numpy.decode(maps, "taylor")
    found = second_peak_heights(torch.from_numpy(maps), torch.from_numpy(keypoints_xy.astype(np.float32)))
    np.testing.assert_allclose(found, second_peak_heights(maps, keypoints_xy), atol=1e-6)
    one = np.zeros((1, 1, 20, 16))
    one[0, 0, 4, [3, 7, 8]] = 0.8, 0.6, 0.3  # four columns away is the same peak, five columns another
    assert second_peak_heights(one, np.array([[[3.0, 4.0]]])).tolist() == [[0.3]]


@pytest.mark.parametrize("pixel_centre", [0.0, 0.5])
def test_flip_test(pixel_centre):
    one, other = heatmaps(), heatmaps()
    tables = RANDOM.uniform(0, 12, (2, 6, 17, 4, 4)).astype(np.float32)
    tables[:, :, :, 2:] = 0
    flip = COCO17.flip_indices
    shift = int(pixel_centre == 0)
    expected = inference.average_outputs(
        HeatmapOutput(one, (tables[0],)), HeatmapOutput(other, (tables[1],)), flip, shift
    )
    assert np.array_equal(expected.target_heatmaps, inference.average_flip(one, other, flip, shift))
    given = [torch.from_numpy(values) for values in (one, other, flip, tables[1])]
    assert np.array_equal(average_flip(given[0], given[1], given[2], shift), expected.target_heatmaps)
    last = 16 - (1 if pixel_centre else 0)
    np.testing.assert_allclose(flip_candidates(given[3], given[2], last), expected.candidate_tables[1])
