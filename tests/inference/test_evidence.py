import numpy as np
import pytest

from rsgnet.heatmaps import second_heights
from rsgnet.inference.evidence import CROP_FEATURES, gather
from rsgnet.inference.maps import Readings

COLUMN = {name: index for index, name in enumerate(CROP_FEATURES)}


def heatmaps(*peaks):
    """One crop of 20x16, a heatmap for each list of (x, y, height)."""
    maps = np.zeros((1, len(peaks), 20, 16), np.float32)
    for keypoint, own in enumerate(peaks):
        for x, y, height in own:
            maps[0, keypoint, y, x] = height
    return maps


def evidence(maps, places, *tables):
    places = np.array([places], float)
    readings = Readings(places, maps.max((-2, -1)), second_heights(maps, places), tables)
    return gather(readings, maps.shape[-2:])


def test_what_the_target_heatmaps_say():
    maps = heatmaps([(3, 4, 0.8), (12, 15, 0.3), (5, 5, 0.6)], [(8, 10, 0.5)], [(0, 0, 0.1)])
    found = evidence(maps, [[3, 4], [8, 10], [0, 0]])[0]
    assert found.shape == (3, len(CROP_FEATURES)) and np.isfinite(found).all()
    assert found[:, COLUMN["peak"]] == pytest.approx([0.8, 0.5, 0.1])
    assert found[:, COLUMN["log_peak"]] == pytest.approx(np.log([0.8, 0.5, 0.1]))
    assert found[:, COLUMN["second"]] == pytest.approx([0.3, 0, 0])  # the 0.6 is the flank of the same peak
    assert found[:, COLUMN["person"]] == pytest.approx([0.3, 0.45, 0.65])
    assert found[:, COLUMN["border"]] == pytest.approx([3.5 / 16, 8.5 / 16 - 1 / 16, 0.5 / 20])
    assert (found[:, COLUMN["candidate"] :] == 0).all()  # a network without candidates


def test_what_the_candidates_say():
    table = np.zeros((1, 1, 4, 4), np.float32)
    table[0, 0, :2] = [[12, 15, 0.9, 0.2], [3, 4, 0.7, 0.6]]
    found = evidence(heatmaps([(3, 4, 0.8)]), [[3, 4]], table)[0, 0]
    assert found[COLUMN["candidate"]] == pytest.approx(0.7, abs=1e-4)
    assert found[COLUMN["support"]] == pytest.approx(0.6, abs=1e-4)
    assert found[COLUMN["other_candidate"]] == pytest.approx(0.9, abs=1e-4)
    assert found[COLUMN["other_support"]] == pytest.approx(0.2, abs=1e-4)


def test_two_passes_are_averaged():
    one, other = np.zeros((2, 1, 1, 1, 4), np.float32)
    one[..., :] = [3, 4, 0.8, 0.6]
    found = evidence(heatmaps([(3, 4, 0.8)]), [[3, 4]], one, other)[0, 0]
    assert found[COLUMN["candidate"]] == pytest.approx(0.4) and found[COLUMN["support"]] == pytest.approx(0.3)
