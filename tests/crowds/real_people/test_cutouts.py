import json

import numpy as np
import pytest

from rsgnet.crowds.real_people.cutouts import PeopleLibrary, estimate_shoulder_xy, estimate_stature, is_near_mask
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17, PEOPLE19


def change_annotations(people_set, change):
    content = json.loads(people_set[0].read_text())
    for annotation in content["annotations"]:
        change(annotation)
    people_set[0].write_text(json.dumps(content))


def standing_person(stature):
    """Returns (17, 3) keypoints of an upright person with the ankles at y = 0."""
    keypoints = np.zeros((17, 3))
    for name, up in (("ankle", 0.0), ("knee", 0.42), ("hip", 0.85), ("shoulder", 0.85 + 0.455)):
        for side, x in (("left", 0.17), ("right", -0.17)):
            keypoints[COCO17.keypoints.index(f"{side}_{name}")] = x * stature / 1.72, -up * stature / 1.72, 2
    return keypoints


class TestStature:
    def test_follows_from_the_bones(self):
        assert estimate_stature(standing_person(200.0), COCO17) == pytest.approx(200, rel=0.01)

    def test_legs_or_a_face_suffice(self):
        legs = standing_person(200.0)
        legs[:13] = 0
        assert estimate_stature(legs, COCO17) == pytest.approx(200, rel=0.01)
        face = np.zeros((17, 3))
        face[1:3] = (3.3, 0, 2), (-3.3, 0, 2)
        assert estimate_stature(face, COCO17) == pytest.approx(172)

    def test_is_nan_without_labels(self):
        assert np.isnan(estimate_stature(np.zeros((17, 3)), COCO17))

    @pytest.mark.parametrize(("kept", "expected"), [("shoulder", 0.0), ("hip", 0.0)])
    def test_shoulders_are_estimated_from_the_hips(self, kept, expected):
        keypoints = standing_person(172.0)
        keypoints[[not name.endswith(kept) for name in COCO17.keypoints]] = 0
        assert estimate_shoulder_xy(keypoints, COCO17, 172.0) == pytest.approx((expected, -130.5), abs=2)


class TestLibrary:
    def test_cut_outs_contain_the_person_and_nothing_else(self, people_set):
        library = PeopleLibrary([people_set], COCO17)
        assert len(library) == 6
        for cutout in (library[index] for index in range(6)):
            solid = cutout.rgba[cutout.rgba[..., 3] > 250][:, :3]
            assert (solid == solid[0]).all()
            assert tuple(solid[0]) != (128, 128, 128)
            assert cutout.rgba.shape == (150, 60, 4)
            assert cutout.is_whole
            x, y = np.rint(cutout.keypoints[:, :2]).astype(int).T
            assert (cutout.rgba[y, x, 3] > 127).all()
            np.testing.assert_allclose(cutout.lighting.mean_rgb, 128, atol=60)

    def test_large_cut_outs_are_scaled_with_their_keypoints(self, people_set):
        small, full = (PeopleLibrary([people_set], COCO17, side)[0] for side in (75, 256))
        assert small.rgba.shape == (75, 30, 4)
        np.testing.assert_allclose(
            (small.keypoints + 0.5) * 2 - 0.5, full.keypoints * [1, 1, 2] + [0, 0, 0.5], atol=1e-6
        )
        assert small.stature_px == pytest.approx(full.stature_px / 2)

    def test_keypoints_are_matched_by_name(self, people_set):
        cutout = PeopleLibrary([people_set], PEOPLE19)[0]
        assert cutout.keypoints.shape == (19, 3)
        assert (cutout.keypoints[:17, 2] == 2).all()
        assert not cutout.keypoints[17:, 2].any()

    @pytest.mark.parametrize(
        "change",
        [
            lambda each: each.pop("segmentation"),
            lambda each: each.update(segmentation=[[each["bbox"][0], 40, 300, 40, 300, 60]]),
            lambda each: each.update(keypoints=[0] * 51),
            lambda each: each.update(keypoints=[*[0] * 15, *each["keypoints"][15:]]),
            lambda each: each.update(iscrowd=1),
        ],
        ids=["no mask", "mask misses the keypoints", "no keypoints", "no head", "a group"],
    )
    def test_unsuitable_people_are_left_out(self, people_set, change):
        change_annotations(people_set, change)
        with pytest.raises(AnnotationError, match="nobody to cut out"):
            PeopleLibrary([people_set], COCO17)

    def test_people_without_ankles_are_not_whole(self, people_set):
        change_annotations(people_set, lambda each: each.update(keypoints=[*each["keypoints"][:45], *[0] * 6]))
        assert not PeopleLibrary([people_set], COCO17)[0].is_whole


@pytest.mark.parametrize(("reach", "expected"), [(0, [True, False, False]), (2.5, [True, True, False])])
def test_is_near_mask(reach, expected):
    mask = np.zeros((20, 20), np.bool_)
    mask[5:10, 5:10] = True
    assert is_near_mask(mask, np.array([[9.0, 9.0], [11.0, 9.0], [15.0, -3.0]]), reach).tolist() == expected
