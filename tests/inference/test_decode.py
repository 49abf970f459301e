from dataclasses import replace

import numpy as np
import pytest
from tests.conftest import colour_config

from rsgnet.config import CandidateRelationConfig, CropConfig
from rsgnet.errors import WeightsError
from rsgnet.geometry import apply_affine, crop_affine
from rsgnet.heatmaps import decode, encode, heatmap_affine
from rsgnet.inference.decode import Maps, average_flip, checked_maps, decode_maps, in_image, owned_scores, pose_scores
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
    present, owned = [[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]], [[0.8, 0.2, 0.9], [0.5, 0.5, 0.5]]
    assert owned_scores([0.5, 1.0], present, owned) == pytest.approx([0.5 * (0.8 + 0.1) / 1.5, 0.0])


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
    found = decode_maps(Maps(maps), "none", COCO17.sigmas, evidence=True)
    assert found.places[0, 3].tolist() == [6, 5] and found.scores[0, 3] == np.float32(0.9)
    assert found.seconds is not None and found.seconds[0, 3] == np.float32(0.4)
    assert decode_maps(Maps(maps), "none", COCO17.sigmas, evidence=False).seconds is None


def with_candidates():
    config = colour_config()
    return replace(config, model=replace(config.model, relation=CandidateRelationConfig()))


@pytest.mark.parametrize("shape", [(2, 17, 4), (2, 16, 4, 4), (2, 17, 3, 4), (2, 17, 4, 5)])
def test_candidates_of_another_shape_are_refused(shape):
    config = with_candidates()
    heatmaps = np.zeros((2, 17, 16, 12), np.float32)
    assert checked_maps(heatmaps, [np.zeros((2, 17, 4, 4))], config, 2, "a").tables[0].dtype == np.float32
    with pytest.raises(WeightsError, match="network gave candidates of shape"):
        checked_maps(heatmaps, [np.zeros(shape)], config, 2, "some.onnx")


def test_candidates_that_are_not_finite_are_refused():
    table = np.full((2, 17, 4, 4), np.nan)
    with pytest.raises(WeightsError, match="candidates that are not finite"):
        checked_maps(np.zeros((2, 17, 16, 12)), [table], with_candidates(), 2, "some.onnx")
