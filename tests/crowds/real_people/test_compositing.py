"""Crowds of real people, here of images in which each person has one colour, which identifies their pixels."""

import json

import numpy as np
import pytest

from rsgnet.annotations.masks import decode_segmentation
from rsgnet.crowds.real_people.compositing import RealCrowds
from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.images import read_image


@pytest.fixture
def crowds(people_set):
    return RealCrowds(*people_set)


def iterate_people(scene):
    for truth in scene.annotations["annotations"]:
        yield truth, np.reshape(truth["keypoints"], (17, 3)), np.array(truth["hidden_by"])


def get_owner(scene, x, y):
    return int(scene.owners[round(y), round(x)])


@pytest.mark.parametrize("wanted", [0.05, 0.4, 0.9])
def test_the_crowd_index_is_reached(crowds, wanted):
    for seed in range(4):
        assert crowds(seed, wanted).crowd_index == pytest.approx(wanted, abs=0.05)


def test_the_same_seed_gives_the_same_bytes(people_set):
    once, again = (RealCrowds(*people_set)(3, 0.5) for _ in range(2))
    np.testing.assert_array_equal(once.image, again.image)
    assert once.annotations == again.annotations
    assert RealCrowds(*people_set)(4, 0.5).annotations != once.annotations


def test_the_labels_agree_with_the_pixels(crowds):
    """Visible keypoints have the person's colour, hidden ones the colour of the person who hides them."""
    hidden = 0
    for seed in range(6):
        scene = crowds(seed, 0.7)
        colours = {
            truth["id"]: np.median(scene.image[scene.owners == truth["id"]], 0) for truth, _, _ in iterate_people(scene)
        }
        for truth, keypoints, hidden_by in iterate_people(scene):
            for (x, y, visibility), hider in zip(keypoints, hidden_by, strict=True):
                if visibility == 0:
                    continue
                assert (visibility == 2) == (hider == 0)
                colour = scene.image[round(y), round(x)].astype(float)
                owner = hider or truth["id"]
                assert get_owner(scene, x, y) == owner
                assert np.abs(colour - colours[owner]).max() < 90  # two colours mix at a soft edge
                hidden += bool(hider)
    assert hidden > 20


def test_mirrored_people_have_swapped_sides(crowds):
    """In the images everyone faces the camera, so the left shoulder is on the right."""
    for seed in range(4):
        for _, keypoints, _ in iterate_people(crowds(seed, 0.5)):
            if keypoints[[5, 6], 2].all():
                assert keypoints[5, 0] > keypoints[6, 0]


def test_boxes_and_masks_are_those_of_the_visible_pixels(crowds):
    scene = crowds(1, 0.6)
    for truth, keypoints, _ in iterate_people(scene):
        mask = decode_segmentation(truth["segmentation"], (300, 220))
        np.testing.assert_array_equal(mask, scene.owners == truth["id"])
        rows, columns = np.nonzero(mask)
        x, y, width, height = truth["bbox"]
        assert [x, y, x + width, y + height] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert truth["area"] == len(rows)
        assert truth["num_keypoints"] == (keypoints[:, 2] > 0).sum()


def test_nearer_people_are_in_front_of_farther_ones(crowds):
    for seed in range(4):
        for truth, _, hidden_by in iterate_people(crowds(seed, 0.8)):
            assert ((hidden_by == 0) | (hidden_by < truth["id"])).all()  # ids come nearest first


def test_the_background_changes_only_near_added_people(crowds, people_set):
    """Far from people and their shadows, all pixels equal those of one of the images."""
    scene = crowds(2, 0.1)
    backgrounds = [read_image(people_set[1] / f"{number}.png") for number in range(1, 7)]
    far = np.ones((220, 300), np.bool_)
    for truth, _, _ in iterate_people(scene):
        left, top, width, height = (int(value) for value in truth["bbox"])
        far[max(top - 40, 0) : top + height + 40, max(left - 40, 0) : left + width + 40] = False
    assert far.any()
    assert any((scene.image == background)[far].all() for background in backgrounds)
    assert not any((scene.image == background).all() for background in backgrounds)


def test_the_background_is_scaled_to_fill_a_size(crowds):
    scene = crowds(0, 0.4, (200, 200))
    assert scene.image.shape == (200, 200, 3)
    for truth, keypoints, _ in iterate_people(scene):
        seen = keypoints[keypoints[:, 2] == 2]
        assert all(get_owner(scene, x, y) == truth["id"] for x, y, _ in seen)


def test_images_with_incomplete_labels_are_not_used(people_set):
    content = json.loads(people_set[0].read_text())
    content["annotations"] += [
        {**each, "id": each["id"] + 1, "keypoints": [0] * 51, "bbox": [5, 5, 9, 9]} for each in content["annotations"]
    ]
    people_set[0].write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match="no image in which everyone has keypoints and a mask"):
        RealCrowds(*people_set)


def test_an_unreachable_crowd_index_is_refused(crowds, monkeypatch):
    monkeypatch.setattr("rsgnet.crowds.scenes._TRIES", 3)
    with pytest.raises(RSGNetError, match=r"no crowd of index 90\.00 in 3 tries, their indices are"):
        crowds(0, 90.0)
