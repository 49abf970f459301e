import numpy as np
import pytest

from rsgnet.inference.evidence import CROP_FEATURES, Maps, gather
from rsgnet.skeletons import COCO17

COLUMN = {name: index for index, name in enumerate(CROP_FEATURES)}


def heatmaps(*peaks):
    """One crop of 20x16, a heatmap for each list of (x, y, height)."""
    maps = np.zeros((1, len(peaks), 20, 16), np.float32)
    for keypoint, own in enumerate(peaks):
        for x, y, height in own:
            maps[0, keypoint, y, x] = height
    return maps


def test_what_the_target_heatmaps_say():
    maps = heatmaps([(3, 4, 0.8), (12, 15, 0.3), (5, 5, 0.6)], [(8, 10, 0.5)], [(0, 0, 0.1)])
    found = gather(maps, np.array([[[3, 4], [8, 10], [0, 0]]], float), [])[0]
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
    found = gather(heatmaps([(3, 4, 0.8)]), np.array([[[3, 4]]], float), [table])[0, 0]
    assert found[COLUMN["candidate"]] == pytest.approx(0.7, abs=1e-4)
    assert found[COLUMN["support"]] == pytest.approx(0.6, abs=1e-4)
    assert found[COLUMN["other_candidate"]] == pytest.approx(0.9, abs=1e-4)
    assert found[COLUMN["other_support"]] == pytest.approx(0.2, abs=1e-4)


def test_two_passes_are_averaged():
    one, other = np.zeros((2, 1, 1, 1, 4), np.float32)
    one[..., :] = [3, 4, 0.8, 0.6]
    found = gather(heatmaps([(3, 4, 0.8)]), np.array([[[3, 4]]], float), [one, other])[0, 0]
    assert found[COLUMN["candidate"]] == pytest.approx(0.4) and found[COLUMN["support"]] == pytest.approx(0.3)


@pytest.mark.parametrize(("pixel_centre", "x"), [(0.5, 15 - 3), (0.0, 16 - 3)])
def test_candidates_of_a_mirrored_crop_go_back_where_heatmaps_do(pixel_centre, x):
    table = np.zeros((1, 17, 2, 4), np.float32)
    table[0, COCO17.keypoints.index("left_knee"), 0] = [3, 4, 0.8, 0.6]
    maps = Maps(np.zeros((1, 17, 20, 16), np.float32), table)
    back = maps.flipped_back(COCO17.flip_indices, pixel_centre)
    assert back[0, COCO17.keypoints.index("right_knee"), 0] == pytest.approx([x, 4, 0.8, 0.6])
    assert np.count_nonzero(back) == 4  # padding stays padding


def test_without_candidates_there_is_nothing_to_flip():
    assert Maps(np.zeros((1, 17, 20, 16), np.float32)).flipped_back(COCO17.flip_indices, 0.0) is None
