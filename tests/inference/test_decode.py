"""Decoding of network outputs, and the scores of poses, against the released code and by hand."""

import numpy as np
import pytest

from rsgnet.config import CropConfig
from rsgnet.geometry import apply_affine, crop_affine
from rsgnet.heatmaps import decode, encode, heatmap_affine
from rsgnet.inference.decode import (
    average_flip,
    average_outputs,
    decode_heatmaps,
    heatmap_to_image,
    score_poses,
    score_poses_by_ownership,
)
from rsgnet.inference.runtime.outputs import HeatmapOutput
from rsgnet.skeletons import COCO17, CROWDPOSE14

EMPTY = np.zeros((1, 17, 20, 16), np.float32)
LEFT, RIGHT = COCO17.keypoints.index("left_knee"), COCO17.keypoints.index("right_knee")


class TestHeatmapToImage:
    def test_keypoints_equal_the_released_code(self, shared):
        golden = np.load(shared("golden/ops/decode.npz"))
        crop = CropConfig(size_wh=(192, 256), stride=4, pixel_centre=0.0)
        pairs = zip(golden["center"], golden["scale"].astype(float), strict=True)
        affines = [crop_affine(centre, scale * 200, crop.size_wh) for centre, scale in pairs]
        for refinement, expected in (("quarter", "final_preds"), ("none", "final_preds_no_post")):
            keypoints, scores = decode(golden["heatmaps"], refinement)
            np.testing.assert_allclose(heatmap_to_image(keypoints, affines, crop), golden[expected], atol=2e-3)
            np.testing.assert_allclose(scores, golden["final_maxvals"][..., 0])

    @pytest.mark.parametrize("pixel_centre", [0.0, 0.5])
    def test_round_trip_through_heatmaps(self, pixel_centre):
        random = np.random.default_rng(1)
        crop = CropConfig(size_wh=(96, 128), stride=4, pixel_centre=pixel_centre)
        centres = random.uniform(50, 400, (2, 2))
        affines = np.stack(
            [
                crop_affine(centre, (scale * 96, scale * 128), crop.size_wh, 0, pixel_centre)
                for centre, scale in zip(centres, (0.5, 3.0), strict=True)
            ]
        )
        truth = random.uniform(12, (84, 116), (2, 17, 2))  # crop pixels
        heatmaps = encode(apply_affine(heatmap_affine(4, pixel_centre), truth), crop.heatmap_shape_hw, 2.0)
        keypoints, scores = decode(heatmaps.astype(np.float32), "taylor")
        found = apply_affine(affines, heatmap_to_image(keypoints, affines, crop))
        assert np.abs(found - truth).max() < 0.3 and scores.min() > 0.85


class TestFlipTest:
    @pytest.mark.parametrize(("count", "skeleton"), [("17", COCO17), ("14", CROWDPOSE14)])
    def test_average_equals_the_released_code(self, shared, count, skeleton):
        golden = np.load(shared("golden/ops/flip.npz"))
        mirrored, expected = golden[f"heat_{count}"], golden[f"avg_with_unflipped_{count}"]
        average = average_flip(mirrored, mirrored, skeleton.flip_indices, 1)
        np.testing.assert_allclose(average, expected, atol=1e-6)

    def test_average_with_the_own_mirror_image_changes_nothing(self):
        heatmaps = np.random.default_rng(0).random((2, 17, 8, 6), np.float32)
        mirrored = heatmaps[:, COCO17.flip_indices, :, ::-1]
        np.testing.assert_allclose(average_flip(heatmaps, mirrored, COCO17.flip_indices, 0), heatmaps)

    @pytest.mark.parametrize(("shift", "x"), [(0, 15 - 3), (1, 16 - 3)])
    def test_candidates_are_mirrored_back_as_heatmaps_are(self, shift, x):
        table, mirrored = np.zeros((2, 1, 17, 2, 4), np.float32)
        table[0, RIGHT, 0], mirrored[0, LEFT, 0] = [x, 4, 0.9, 0.7], [3, 4, 0.8, 0.6]
        one, other = EMPTY.copy(), EMPTY.copy()
        one[0, RIGHT, 4, x], other[0, LEFT, 4, 3] = 0.9, 0.7
        outputs = HeatmapOutput(one, (table,)), HeatmapOutput(other, (mirrored,))
        average = average_outputs(*outputs, COCO17.flip_indices, shift)
        assert average.target_heatmaps[0, RIGHT, 4, x] == pytest.approx(0.8)
        kept, back = average.candidate_tables
        assert kept is table and back[0, RIGHT, 0] == pytest.approx([x, 4, 0.8, 0.6])
        assert np.count_nonzero(back) == 4  # padding stays padding

    def test_outputs_without_candidates(self):
        output = HeatmapOutput(EMPTY)
        assert average_outputs(output, output, COCO17.flip_indices, 1).candidate_tables == ()


def test_decoded_keypoints_have_first_and_second_peaks():
    heatmaps = EMPTY.copy()
    heatmaps[0, 3, 5, 6], heatmaps[0, 3, 15, 6] = 0.9, 0.4
    decoded = decode_heatmaps(HeatmapOutput(heatmaps), "none", COCO17.sigmas, second_peaks=True)
    assert decoded.keypoints_xy[0, 3].tolist() == [6, 5] and decoded.scores[0, 3] == np.float32(0.9)
    assert decoded.second_scores is not None and decoded.second_scores[0, 3] == np.float32(0.4)
    assert decode_heatmaps(HeatmapOutput(heatmaps), "none", COCO17.sigmas, False).second_scores is None


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
        assert score_poses([box], [scores], 0.2)[0] == pytest.approx(expected)

    @pytest.mark.parametrize("count", ["17", "14"])
    def test_equal_the_released_code(self, shared, count):
        golden = np.load(shared("golden/ops/oks_nms.npz"))
        found = score_poses(golden[f"box_score_{count}"], golden[f"kpts_{count}"][..., 2], 0.2)
        np.testing.assert_allclose(found, golden[f"rescored_invis0.2_{count}"])

    def test_no_people(self):
        assert score_poses([], np.zeros((0, 17)), 0.2).shape == (0,)

    def test_absent_keypoints_do_not_count_towards_ownership_scores(self):
        present, owned = [[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]], [[0.8, 0.2, 0.9], [0.5, 0.5, 0.5]]
        scores = score_poses_by_ownership([0.5, 1.0], present, owned)
        assert scores == pytest.approx([0.5 * (0.8 + 0.1) / 1.5, 0.0])
