import numpy as np
import pytest

from rsgnet.config import CropConfig
from rsgnet.geometry import apply_affine, crop_affine
from rsgnet.heatmaps import decode, encode, heatmap_affine
from rsgnet.inference.decode import average_flip, in_image, owned_scores, pose_scores
from rsgnet.skeletons import COCO17, CROWDPOSE14


def test_keypoints_equal_the_released_code(shared):
    golden = np.load(shared("golden/ops/decode.npz"))
    crop = CropConfig(size_wh=(192, 256), stride=4, pixel_centre=0.0)
    pairs = zip(golden["center"], golden["scale"].astype(float), strict=True)
    affines = [crop_affine(centre, scale * 200, crop.size_wh) for centre, scale in pairs]
    for refinement, expected in (("quarter", "final_preds"), ("none", "final_preds_no_post")):
        found, scores = decode(golden["heatmaps"], refinement)
        np.testing.assert_allclose(in_image(found, affines, crop), golden[expected], atol=2e-3)
        np.testing.assert_allclose(scores, golden["final_maxvals"][..., 0])


@pytest.mark.parametrize("pixel_centre", [0.0, 0.5])
def test_there_and_back(pixel_centre):
    random = np.random.default_rng(1)
    crop = CropConfig(size_wh=(96, 128), stride=4, pixel_centre=pixel_centre)
    affines = np.stack(
        [crop_affine(random.uniform(50, 400, 2), (s * 96, s * 128), crop.size_wh, 0, pixel_centre) for s in (0.5, 3.0)]
    )
    truth = random.uniform(12, (84, 116), (2, 17, 2))  # crop pixels
    heatmaps = encode(apply_affine(heatmap_affine(4, pixel_centre), truth), crop.heatmap_shape_hw, 2.0)
    found, scores = decode(heatmaps.astype(np.float32), "taylor")
    assert np.abs(apply_affine(affines, in_image(found, affines, crop)) - truth).max() < 0.3 and scores.min() > 0.85


@pytest.mark.parametrize(("count", "skeleton"), [("17", COCO17), ("14", CROWDPOSE14)])
def test_flip_average_equals_the_released_code(shared, count, skeleton):
    golden = np.load(shared("golden/ops/flip.npz"))
    mirrored, expected = golden[f"heat_{count}"], golden[f"avg_with_unflipped_{count}"]
    found = average_flip(mirrored, mirrored, skeleton.flip_indices, 0.0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_mirror_image_of_a_symmetric_answer_changes_nothing():
    heatmaps = np.random.default_rng(0).random((2, 17, 8, 6), np.float32)
    mirrored = heatmaps[:, COCO17.flip_indices, :, ::-1]
    np.testing.assert_allclose(average_flip(heatmaps, mirrored, COCO17.flip_indices, 0.5), heatmaps)


class TestPoseScores:
    @pytest.mark.parametrize(
        ("box", "scores", "expected"),
        [
            (0.5, [0.8, 0.4, 0.1], 0.3),  # half of the mean of the two above 0.2
            (1.0, [0.2, 0.1, 0.0], 0.0),
            (0.0, [0.9, 0.9, 0.9], 0.0),
        ],
    )
    def test_by_hand(self, box, scores, expected):
        assert pose_scores([box], [scores], 0.2)[0] == pytest.approx(expected)

    @pytest.mark.parametrize("count", ["17", "14"])
    def test_equal_the_released_code(self, shared, count):
        golden = np.load(shared("golden/ops/oks_nms.npz"))
        found = pose_scores(golden[f"box_score_{count}"], golden[f"kpts_{count}"][..., 2], 0.2)
        np.testing.assert_allclose(found, golden[f"rescored_invis0.2_{count}"])

    def test_of_nobody(self):
        assert pose_scores([], np.zeros((0, 17)), 0.2).shape == (0,)


def test_what_is_not_there_does_not_count_towards_an_owned_score():
    present, mine = [[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]], [[0.8, 0.2, 0.9], [0.5, 0.5, 0.5]]
    assert owned_scores([0.5, 1.0], present, mine) == pytest.approx([0.5 * (0.8 + 0.1) / 1.5, 0.0])
