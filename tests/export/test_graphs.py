"""What a graph does to heatmaps is what numpy does to them."""

import numpy as np
import pytest
import torch

from rsgnet import heatmaps as in_numpy
from rsgnet.export.graphs import average_flip, decode, flip_candidates
from rsgnet.heatmaps import encode, second_heights
from rsgnet.inference import decode as inference
from rsgnet.inference.decode import Maps
from rsgnet.skeletons import COCO17

RANDOM = np.random.default_rng(0)


def heatmaps():
    """Gaussians everywhere, on borders and off the map too, a second one each, noise, and maps without a peak."""
    places = RANDOM.uniform([-2, -2], [17, 22], (2, 6, 17, 2))
    gaussians = encode(places, (20, 16), 1.5).astype(np.float32)
    maps = gaussians[0] + 0.6 * gaussians[1] + RANDOM.uniform(0, 0.02, gaussians[0].shape).astype(np.float32)
    maps[0, 0], maps[0, 1], maps[0, 2] = 0, -1, 0.25
    for column, row in ((0, 0), (1, 1), (14, 18), (15, 19), (1, 9)):
        maps[1, column] = 0
        maps[1, column, row, column] = 1
    return maps


@pytest.mark.parametrize("refinement", ["none", "quarter", "taylor", "expected_oks"])
def test_places_and_scores(refinement):
    maps = heatmaps()
    wanted, wanted_scores = in_numpy.decode(maps, refinement, COCO17.sigmas)
    found, scores = decode(torch.from_numpy(maps), refinement, COCO17.sigmas)
    assert found.shape == (6, 17, 2) and found.dtype == torch.float32
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert np.array_equal(scores, wanted_scores)
    assert refinement == "none" or (wanted % 1 != 0).any()


def test_second_heights():
    maps = heatmaps()
    places, _ = in_numpy.decode(maps, "taylor")
    found = second_heights(torch.from_numpy(maps), torch.from_numpy(places.astype(np.float32)))
    np.testing.assert_allclose(found, second_heights(maps, places), atol=1e-6)
    one = np.zeros((1, 1, 20, 16))
    one[0, 0, 4, [3, 7, 8]] = 0.8, 0.6, 0.3  # four columns away is the same peak, five are not
    assert second_heights(one, np.array([[[3.0, 4.0]]])).tolist() == [[0.3]]


@pytest.mark.parametrize("pixel_centre", [0.0, 0.5])
def test_the_flip_test(pixel_centre):
    one, other = heatmaps(), heatmaps()
    tables = RANDOM.uniform(0, 12, (2, 6, 17, 4, 4)).astype(np.float32)
    tables[:, :, :, 2:] = 0
    flip = COCO17.flip_indices
    wanted = Maps(one, (tables[0],)).averaged_with(Maps(other, (tables[1],)), flip, pixel_centre)
    assert np.array_equal(wanted.target_heatmaps, inference.average_flip(one, other, flip, pixel_centre))
    given = [torch.from_numpy(values) for values in (one, other, flip, tables[1])]
    assert np.array_equal(average_flip(given[0], given[1], given[2], pixel_centre), wanted.target_heatmaps)
    last = 16 - (1 if pixel_centre else 0)
    np.testing.assert_allclose(flip_candidates(given[3], given[2], last), wanted.tables[1])
