import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.errors import WeightsError
from rsgnet.inference.maps import Maps, checked_maps, read_off
from rsgnet.skeletons import COCO17

EMPTY = np.zeros((1, 17, 20, 16), np.float32)
LEFT, RIGHT = COCO17.keypoints.index("left_knee"), COCO17.keypoints.index("right_knee")


@pytest.mark.parametrize(("pixel_centre", "x"), [(0.5, 15 - 3), (0.0, 16 - 3)])
def test_candidates_of_a_mirrored_crop_go_back_where_heatmaps_do(pixel_centre, x):
    table, mirrored = np.zeros((2, 1, 17, 2, 4), np.float32)
    table[0, RIGHT, 0], mirrored[0, LEFT, 0] = [x, 4, 0.9, 0.7], [3, 4, 0.8, 0.6]
    one, other = EMPTY.copy(), EMPTY.copy()
    one[0, RIGHT, 4, x], other[0, LEFT, 4, 3] = 0.9, 0.7
    mean = Maps(one, (table,)).averaged_with(Maps(other, (mirrored,)), COCO17.flip_indices, pixel_centre)
    assert mean.target_heatmaps[0, RIGHT, 4, x] == pytest.approx(0.8)
    kept, back = mean.tables
    assert kept is table and back[0, RIGHT, 0] == pytest.approx([x, 4, 0.8, 0.6])
    assert np.count_nonzero(back) == 4  # padding stays padding


def test_without_candidates_there_is_nothing_to_flip():
    assert Maps(EMPTY).averaged_with(Maps(EMPTY), COCO17.flip_indices, 0.0).tables == ()


def test_what_is_read_off():
    maps = EMPTY.copy()
    maps[0, 3, 5, 6], maps[0, 3, 15, 6] = 0.9, 0.4
    found = read_off(Maps(maps), "none", COCO17.sigmas, evidence=True)
    assert found.places[0, 3].tolist() == [6, 5] and found.scores[0, 3] == np.float32(0.9)
    assert found.seconds is not None and found.seconds[0, 3] == np.float32(0.4)
    assert read_off(Maps(maps), "none", COCO17.sigmas, evidence=False).seconds is None


@pytest.mark.parametrize("shape", [(2, 17, 4), (2, 16, 4, 4), (2, 17, 3, 4), (2, 17, 4, 5)])
def test_candidates_of_another_shape_are_refused(shape):
    config = colour_config()
    heatmaps = np.zeros((2, 17, 16, 12), np.float32)
    assert checked_maps(heatmaps, [np.zeros((2, 17, 4, 4))], config, 2, "a").tables[0].dtype == np.float32
    with pytest.raises(WeightsError, match="network gave candidates of shape"):
        checked_maps(heatmaps, [np.zeros(shape)], config, 2, "some.onnx")


def test_candidates_that_are_not_finite_are_refused():
    table = np.full((2, 17, 4, 4), np.nan)
    with pytest.raises(WeightsError, match="candidates that are not finite"):
        checked_maps(np.zeros((2, 17, 16, 12)), [table], colour_config(), 2, "some.onnx")
