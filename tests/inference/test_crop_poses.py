import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config import ExportOptions
from rsgnet.inference.crop_poses import find_in_crops
from rsgnet.inference.crops import cut
from rsgnet.inference.decode import Maps


class Two:
    """A network that finds every keypoint in the same two places of its 12x16 heatmap."""

    config, ownership, gives_candidates, form = colour_config(), None, True, ExportOptions()

    def __call__(self, crops):
        heatmaps = np.zeros((len(crops), 17, 16, 12), np.float32)
        heatmaps[:, :, 4, 3], heatmaps[:, :, 9, 8] = 0.9, 0.5
        return heatmaps

    def maps(self, crops):
        table = np.zeros((len(crops), 17, 4, 4), np.float32)
        table[:, :, :2] = [[3, 4, 0.9, 0.7], [8, 9, 0.5, 0.2]]
        return Maps(self(crops), (table,))


@pytest.fixture
def crops():
    image = np.zeros((300, 400, 3), np.uint8)
    return [cut(image, box, Two.config.crop) for box in ([50, 40, 110, 120], [200, 100, 260, 240])]


@pytest.mark.parametrize("flip", [False, True])
def test_candidates_lie_where_keypoints_do_in_the_image(crops, flip):
    found = find_in_crops(Two(), Two.config, crops, flip, evidence=True)
    assert found.candidates.shape == (2, 17, 4, 4)
    np.testing.assert_allclose(found.candidates[:, :, :2, 2:], np.broadcast_to([[0.9, 0.7], [0.5, 0.2]], (2, 17, 2, 2)))
    assert (found.candidates[:, :, 2:] == 0).all()
    # By hand: an 80 px high box needs 100 px of crop for 16 heatmap pixels, so 6.25 px each, from 30 and 42.5 px on.
    np.testing.assert_allclose(
        found.candidates[0, 0, 0, :2], [42.5 + 3.5 * 6.25 - 0.5, 30 + 4.5 * 6.25 - 0.5], atol=1e-3
    )
    alone = find_in_crops(Two(), Two.config, crops, False)
    np.testing.assert_allclose(found.candidates[:, :, 0, :2], alone.keypoints_xy, atol=1.0)


def test_without_evidence_there_are_none(crops):
    assert find_in_crops(Two(), Two.config, crops, False).candidates.shape == (2, 17, 0, 4)
