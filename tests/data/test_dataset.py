"""Crops and the keypoints that belong to them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rsgnet.config import CropConfig, ModelConfig, PoseConfig
from rsgnet.data.batches import Draw
from rsgnet.data.dataset import PoseDataset, Sample
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17, PEOPLE19
from rsgnet.training_config import AugmentConfig, TrainingConfig

CONFIG = PoseConfig(
    name="test",
    crop=CropConfig(size_wh=(192, 256), pixel_centre=0.5),
    model=ModelConfig(skeleton="coco17"),
    training=TrainingConfig(max_people=3, augment=AugmentConfig(half_body=0.0, scale=0.2, shift=0.05)),
)


def marks_found(sample, crop):
    """(K,) whether each labelled keypoint within the crop lies on a mark of its own colour."""
    places = (sample.keypoints_xy[0] + crop.pixel_centre) * crop.stride - crop.pixel_centre
    found = {}
    for index, ((x, y), labelled) in enumerate(zip(places.tolist(), sample.labelled[0].tolist(), strict=True)):
        if labelled and 2 <= x < crop.size_wh[0] - 3 and 2 <= y < crop.size_wh[1] - 3:
            wanted = np.array([55 + 40 * (index % 6), 55 + 40 * (index // 6 % 6), 200])
            found[index] = bool(np.abs(sample.crop[round(y), round(x)].numpy() - wanted).max() <= 30)
    return found


@pytest.mark.parametrize("pixel_centre", [0.0, 0.5])
def test_keypoints_lie_on_their_marks_without_augmentation(marked, pixel_centre):
    config = replace(CONFIG, crop=replace(CONFIG.crop, pixel_centre=pixel_centre))
    found = marks_found(PoseDataset([marked], config, augmented=False)[0], config.crop)
    assert len(found) == 16
    assert sum(found.values()) >= 15  # one mark may be painted over by a later one


@pytest.mark.parametrize("seed", range(6))
def test_keypoints_stay_on_their_marks_through_rotation_scale_and_shift(marked, seed):
    config = replace(CONFIG, training=replace(CONFIG.training, augment=replace(CONFIG.training.augment, flip=0.0)))
    found = marks_found(PoseDataset([marked], config, augmented=True)[Draw(0, seed)], config.crop)
    assert len(found) >= 8
    assert sum(found.values()) >= len(found) - 1


def test_mirrored_crops_mirror_places_and_swap_left_and_right(marked):
    still = AugmentConfig(rotation_deg=0, scale=0, flip=0, half_body=0)
    straight, mirrored = (
        PoseDataset(
            [marked],
            replace(CONFIG, training=replace(CONFIG.training, augment=replace(still, flip=flip))),
            augmented=True,
        )[0]
        for flip in (0.0, 1.0)
    )
    assert (straight.crop.flip(1).int() - mirrored.crop.int()).abs().max() <= 1
    width = CONFIG.crop.heatmap_shape_hw[1]
    swapped = mirrored.keypoints_xy[:, torch.from_numpy(COCO17.flip_indices)]
    labelled = straight.labelled
    torch.testing.assert_close(swapped[labelled][:, 0], width - 1 - straight.keypoints_xy[labelled][:, 0])
    torch.testing.assert_close(swapped[labelled][:, 1], straight.keypoints_xy[labelled][:, 1])
    assert mirrored.labelled[0, 4] == straight.labelled[0, 3] == False  # noqa: E712 left ear is not labelled


def test_the_target_comes_first_and_people_without_labels_are_left_out(marked):
    dataset = PoseDataset([marked], CONFIG, augmented=False)
    assert len(dataset) == 2
    first, second = dataset[0], dataset[1]
    assert first.labelled.any(1).tolist() == second.labelled.any(1).tolist() == [True, True, False]
    assert first.labelled[0].sum() == second.labelled[1].sum() == 16


WHOLE = replace(CONFIG, crop=replace(CONFIG.crop, padding=4.0))


def outside(box_xywh, shape_hw):
    """(h, w) false in the pixels of a box, which is given in image pixels, in the crop of person 1 of WHOLE."""
    centre, scale = np.array([120.0, 120.0]), 192 / (4.0 * 135.0)
    low, high = ((np.array(corner) - centre) * scale / 4 + np.array(shape_hw[::-1]) / 2 - 0.5 for corner in box_xywh)
    mask = np.ones(shape_hw, bool)
    (left, top), (right, bottom) = np.floor(low).astype(int), np.ceil(high).astype(int)
    mask[top : bottom + 1, left : right + 1] = False
    return mask


def test_nobody_is_background_where_a_keypoint_may_be_unlabelled(marked):
    background = PoseDataset([marked], WHOLE, augmented=False)[0].background.numpy()
    first, third = (((60, 30), (180, 210)), ((250, 20), (300, 110)))
    unlabelled = outside(third, background.shape[1:])
    for keypoint in range(17):
        own = outside(first, background.shape[1:]) if keypoint == 3 else True  # the keypoint that person 1 lacks
        np.testing.assert_array_equal(background[keypoint], unlabelled & own)


def test_where_not_everyone_is_labelled_nothing_is_background(marked):
    assert not PoseDataset([replace(marked, everyone_labelled=False)], WHOLE, augmented=False)[0].background.any()


def test_mirrored_crops_mirror_what_is_background(marked):
    still = AugmentConfig(rotation_deg=0, scale=0, flip=0, half_body=0)
    straight, mirrored = (
        PoseDataset(
            [marked], replace(WHOLE, training=replace(CONFIG.training, augment=replace(still, flip=flip))), True
        )[0].background
        for flip in (0.0, 1.0)
    )
    assert torch.equal(mirrored, straight[torch.from_numpy(COCO17.flip_indices)].flip(2))


def test_people_beyond_the_most_that_a_crop_labels_are_no_background(marked):
    one = replace(WHOLE, training=replace(CONFIG.training, max_people=1))
    background = PoseDataset([marked], one, augmented=False)[0].background
    second = outside(((140, 40), (240, 210)), background.shape[1:])
    assert not background[:, torch.from_numpy(~second)].any()


def test_keypoints_that_a_data_set_lacks_are_not_labelled(marked):
    config = replace(CONFIG, model=replace(CONFIG.model, skeleton="people19"))
    sample = PoseDataset([marked], config, augmented=False)[0]
    assert sample.labelled.shape == (3, len(PEOPLE19))
    assert not sample.labelled[:, 17:].any()
    assert not sample.background[17:].any() and sample.background[:17].any(2).any(1).all()
    assert sample.labelled[0, :17].sum() == 16


def test_the_same_draw_is_the_same_crop(marked):
    dataset = PoseDataset([marked], CONFIG, augmented=True)
    once, again, other = dataset[Draw(0, 5)], dataset[Draw(0, 5)], dataset[Draw(0, 6)]
    assert torch.equal(once.crop, again.crop)
    assert torch.equal(once.keypoints_xy, again.keypoints_xy)
    assert not torch.equal(once.crop, other.crop)


def test_samples_stack_into_batches(marked):
    dataset = PoseDataset([marked], CONFIG, augmented=False)
    batch = Sample.stack([dataset[0], dataset[1]])
    assert batch.crop.shape == (2, 256, 192, 3)
    assert torch.equal(batch.keypoints_xy[1], dataset[1].keypoints_xy)


def test_data_without_people_to_train_on_are_an_error(marked):
    with pytest.raises(AnnotationError, match=r"people\.json.*18 labelled"):
        PoseDataset([marked], replace(CONFIG, training=replace(CONFIG.training, min_keypoints=18)), augmented=True)
