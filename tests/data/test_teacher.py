"""A teacher looks at the crops that a student is given, and answers in the student's heatmaps."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.data.test_dataset import CONFIG

from rsgnet.config import CropConfig, ModelConfig, PoseConfig
from rsgnet.data.batches import Draw
from rsgnet.data.dataset import PoseDataset
from rsgnet.data.teacher import Teacher
from rsgnet.heatmaps import decode, encode

PLACE = (29.25, 40.5)  # in the teacher's heatmap pixels


class Onlooker:
    """Keeps what it is shown, and sees every keypoint at one place."""

    def __init__(self, size_wh=(192, 256), pixel_centre=0.5, sigma=2.0):
        crop = CropConfig(size_wh=size_wh, pixel_centre=pixel_centre)
        self.config = PoseConfig("onlooker", crop, ModelConfig(skeleton="coco17"))
        self.config = replace(
            self.config, training=replace(CONFIG.training, loss=replace(CONFIG.training.loss, sigma=sigma))
        )
        self.shown = []

    def __call__(self, crops):
        self.shown.extend(crops)
        places = np.tile(np.float32(PLACE), (17, 1))
        return encode(places, self.config.crop.heatmap_shape_hw, self.config.training.loss.sigma)[None]


def student(size_wh=(192, 256), pixel_centre=0.5, sigma=2.0, skeleton="coco17"):
    crop = CropConfig(size_wh=size_wh, pixel_centre=pixel_centre)
    loss = replace(CONFIG.training.loss, sigma=sigma)
    training = replace(CONFIG.training, loss=loss)
    return replace(CONFIG, crop=crop, model=ModelConfig(skeleton=skeleton), training=training)


@pytest.mark.parametrize("theirs", [0.0, 0.5])
@pytest.mark.parametrize(
    ("own", "size_wh"), [(0.0, (192, 256)), (0.5, (192, 256)), (0.5, (96, 128)), (0.5, (288, 384))]
)
def test_places_are_the_same_pixels_of_the_crop_whatever_sizes_and_conventions(theirs, own, size_wh):
    teacher = Teacher(lambda: Onlooker(pixel_centre=theirs), student(size_wh, own))
    taught = teacher(np.zeros((size_wh[1], size_wh[0], 3), np.uint8))
    # A heatmap pixel of theirs is a point of their crop, which is stretched from ours edge to edge.
    in_theirs = (np.array(PLACE) + theirs) * 4 - theirs
    in_ours = (in_theirs + 0.5) * size_wh[0] / 192 - 0.5
    expected = (in_ours + own) / 4 - own
    places, _ = decode(taught.nan_to_num().numpy(), "taylor")
    assert np.abs(places - expected).max() < 0.05  # of bilinear resampling


def test_peaks_are_widened_where_the_students_are_wider_and_keep_their_height():
    taught = Teacher(Onlooker, student((96, 128), sigma=1.5))(np.zeros((128, 96, 3), np.uint8))
    expected = encode(np.tile(np.float32((np.array(PLACE) - 0.5) / 2), (17, 1)), (32, 24), 1.5)
    known = taught.isfinite()
    assert known.float().mean() > 0.9
    assert np.abs(taught.numpy() - expected)[known.numpy()].max() < 0.03


def test_narrower_peaks_are_left_as_they_are():
    taught = Teacher(Onlooker, student(sigma=1.0))(np.zeros((256, 192, 3), np.uint8))
    np.testing.assert_allclose(taught[0].numpy(), encode(np.float32([PLACE]), (64, 48), 2.0)[0], atol=1e-5)


def test_keypoints_are_matched_by_name_and_unknown_ones_are_not_taught():
    taught = Teacher(Onlooker, student(skeleton="people19"))(np.zeros((256, 192, 3), np.uint8))
    assert taught.shape == (19, 64, 48)
    assert taught.isfinite().flatten(1).all(1).tolist() == [True] * 17 + [False] * 2


@pytest.mark.parametrize("seed", range(3))
def test_it_sees_what_the_student_sees(marked, seed):
    augment = replace(CONFIG.training.augment, rotation_deg=30, colour=0.4)
    config = replace(CONFIG, training=replace(CONFIG.training, augment=augment))
    onlooker = Onlooker()
    sample = PoseDataset([marked], config, augmented=True, teacher=Teacher(lambda: onlooker, config))[Draw(0, seed)]
    assert np.array_equal(onlooker.shown[0], sample.crop.numpy())
    assert sample.taught.shape == (17, 64, 48)
    without = PoseDataset([marked], config, augmented=True)[Draw(0, seed)]
    assert torch.equal(without.crop, sample.crop)
    assert without.taught.numel() == 0


def test_its_network_is_opened_where_crops_are_cut_and_once():
    opened = []

    def open_it():
        opened.append(1)
        return Onlooker()

    teacher = Teacher(open_it, student())
    assert not opened
    for _ in range(2):
        teacher(np.zeros((256, 192, 3), np.uint8))
    assert len(opened) == 1
    assert pickle.loads(pickle.dumps(Teacher(Onlooker, student())))(np.zeros((256, 192, 3), np.uint8)).shape[0] == 17
