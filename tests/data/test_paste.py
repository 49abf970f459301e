"""Crops with people pasted into them; flat colours tell to whom each pixel belongs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rsgnet.config import CropConfig, ModelConfig, PoseConfig
from rsgnet.data.batches import Draw
from rsgnet.data.dataset import DataSource, PoseDataset
from rsgnet.data.paste import visible_share
from rsgnet.errors import RSGNetWarning
from rsgnet.training_config import AugmentConfig, TrainingConfig

STILL = AugmentConfig(rotation_deg=0, scale=0, flip=0, half_body=0, paste=1.0)
CONFIG = PoseConfig(
    name="test",
    crop=CropConfig(size_wh=(96, 128), pixel_centre=0.5),
    model=ModelConfig(skeleton="people19"),
    training=TrainingConfig(max_people=6, augment=STILL),
)


def dataset(people_set, augmented=True, **augment):
    config = replace(CONFIG, training=replace(CONFIG.training, augment=replace(STILL, **augment)))
    return PoseDataset([DataSource(*people_set)], config, augmented)


def in_crop(sample):
    """(P, 19, 2) in crop pixels, and (P, 19) whether labelled and inside."""
    places = (sample.keypoints_xy.numpy() + 0.5) * 4 - 0.5
    return places, sample.labelled.numpy() & ((places >= 0) & (places <= [95, 127])).all(-1)


def test_the_same_draw_is_the_same_crop_and_nothing_is_pasted_into_held_out_crops(people_set):
    pasting = dataset(people_set)
    once, again, other = pasting[Draw(0, 5)], pasting[Draw(0, 5)], pasting[Draw(0, 6)]
    plain, held_out = dataset(people_set, paste=0.0)[Draw(0, 5)], dataset(people_set, augmented=False)[0]
    assert torch.equal(once.crop, again.crop)
    assert torch.equal(once.keypoints_xy, again.keypoints_xy)
    assert not torch.equal(once.crop, other.crop)
    assert not torch.equal(once.crop, plain.crop)
    assert torch.equal(plain.crop, held_out.crop)
    assert plain.labelled.any(1).sum() == 1


def test_the_target_keeps_all_labels_and_half_of_its_keypoints_visible(people_set):
    pasting, plain = dataset(people_set), dataset(people_set, paste=0.0)
    covered = []
    for seed in range(40):
        pasted, alone = pasting[Draw(seed % 6, seed)], plain[Draw(seed % 6, seed)]
        assert torch.equal(pasted.keypoints_xy[0], alone.keypoints_xy[0])
        assert torch.equal(pasted.labelled[0], alone.labelled[0])
        x, y = np.rint(in_crop(pasted)[0][0, :17]).astype(int).T
        change = np.abs(pasted.crop.numpy()[y, x].astype(int) - alone.crop.numpy()[y, x]).max(-1)
        covered.append((change > 25).mean())
    assert max(covered) <= 0.5 + 1 / 17
    assert np.mean(covered) > 0.05


@pytest.mark.parametrize("augment", [{}, {"flip": 1.0}, {"rotation_deg": 30.0, "flip": 0.5, "scale": 0.2}])
def test_keypoints_of_pasted_people_lie_on_them(people_set, augment):
    """At each, the crop shows somebody; left is on the side that it is on in the photos, mirrored or not."""
    pasting = dataset(people_set, **augment)
    on_people, added = [], 0
    for seed in range(30):
        sample = pasting[Draw(seed % 6, seed)]
        places, inside = in_crop(sample)
        for person in range(1, 6):
            if inside[person].any():
                added += 1
                x, y = np.rint(places[person][inside[person]]).astype(int).T
                on_people += (np.ptp(sample.crop.numpy()[y, x].astype(int), axis=-1) > 40).tolist()
            if sample.labelled[person, [5, 6, 11, 12]].all():
                # Down from shoulders to hips and across from right to left turn as they do in someone facing us.
                left_shoulder, right_shoulder, left_hip = places[person, [5, 6, 11]]
                down, across = left_hip - left_shoulder, left_shoulder - right_shoulder
                assert down[1] * across[0] - down[0] * across[1] > 0
    assert added > 30
    assert np.mean(on_people) > 0.95


def test_kinds_that_the_pasted_lack_are_no_background(people_set):
    """Their photos label no ears: about each of them the candidate heatmaps of ears count for nothing."""
    sample = dataset(people_set)[Draw(0, 5)]
    alone = dataset(people_set, paste=0.0)[Draw(0, 5)]
    places, inside = in_crop(sample)
    lacking = (~sample.labelled[1:] & sample.labelled[1:].any(1, keepdim=True))[:, :17].any(1)
    assert lacking.any() == (sample.background[:17] != alone.background[:17]).any()
    for person in range(1, 6):
        for x, y in np.rint(places[person][inside[person]] / 4).astype(int).clip(0, [23, 31]):
            assert not sample.background[~sample.labelled[person], y, x].any()


def test_without_masks_there_is_nobody_to_paste(marked):
    with pytest.warns(RSGNetWarning, match=r"people\.json: nobody to cut out.*without pasted people"):
        people = PoseDataset([marked], CONFIG, augmented=True)
    assert people[0].labelled.any()


def test_pasted_people_do_not_exceed_the_limit_of_people(people_set):
    """Not more people than a crop holds, and fewer keep all of their labels."""
    crowded = replace(CONFIG, training=replace(CONFIG.training, max_people=2))
    for seed in range(10):
        sample = PoseDataset([DataSource(*people_set)], crowded, augmented=True)[Draw(0, seed)]
        assert sample.labelled.any(1).sum() <= 2


@pytest.mark.parametrize(
    ("places", "expected"), [([[1, 1, 2], [8, 8, 2]], 0.5), ([[1, 1, 2], [8, 8, 0], [40, 3, 2]], 1.0), ([], 1.0)]
)
def test_visible_share(places, expected):
    sight = np.zeros((10, 10), np.float32)
    sight[:5] = 1
    assert visible_share(np.reshape(np.array(places, float), (-1, 3)), sight) == expected
