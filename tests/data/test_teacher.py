"""A teacher's heatmaps, resampled for crops of other positions, sizes, rotations and pixel conventions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.data.test_dataset import CONFIG

from rsgnet.config import CropConfig, ModelConfig, PoseConfig
from rsgnet.data.batches import Draw
from rsgnet.data.dataset import PoseDataset
from rsgnet.data.teacher import Teacher, TeacherHeatmaps, compute_teacher_heatmaps
from rsgnet.geometry import apply_affine, compose_affine, crop_affine, crop_region, flip_affine
from rsgnet.heatmaps import decode, encode, heatmap_affine
from rsgnet.skeletons import COCO17

BOX = np.array([50.0, 30.0, 60.0, 120.0])
MARKS = np.array([[62.0, 70.0], [97.0, 112.0]])  # of the person's right and left, who faces the camera
LEFT = np.array([name.startswith("left_") for name in COCO17.keypoints])
NOSE = COCO17.keypoints.index("nose")


def image():
    """Black, with a bright disc at each mark."""
    rows, columns = np.indices((200, 180))
    apart = [np.hypot(columns - x, rows - y) for x, y in MARKS]
    return np.repeat(((np.min(apart, axis=0) < 3) * 255).astype(np.uint8)[..., None], 3, -1)


def of_each(left, right):
    """(17, 2) where each keypoint is, if one disc is the person's left and the other their right."""
    places = np.where(LEFT[:, None], left, right)
    places[NOSE] = (left + right) / 2
    return places


class Spotter:
    """Finds the two discs: the person's left is the one further right, as if they faced the camera."""

    def __init__(self, size_wh=(192, 256), pixel_centre=0.5, sigma=2.0):
        training = replace(CONFIG.training, loss=replace(CONFIG.training.loss, sigma=sigma))
        crop = CropConfig(size_wh=size_wh, pixel_centre=pixel_centre)
        self.config = PoseConfig("spotter", crop, ModelConfig(skeleton="coco17"), training=training)
        self.shown = 0

    def __call__(self, crops):
        self.shown += len(crops)
        rows, columns = np.nonzero(crops[0, ..., 0] > 128)
        right = columns > columns.mean()
        discs = [np.array([columns[side].mean(), rows[side].mean()]) for side in (~right, right)]
        places = of_each(discs[1], discs[0])
        to_heatmap = heatmap_affine(4, self.config.crop.pixel_centre)
        size = self.config.crop.heatmap_shape_hw
        return encode(apply_affine(to_heatmap, places).astype(np.float32), size, self.config.training.loss.sigma)[None]


def student(size_wh=(192, 256), pixel_centre=0.5, sigma=2.0, skeleton="coco17"):
    training = replace(CONFIG.training, loss=replace(CONFIG.training.loss, sigma=sigma))
    crop = CropConfig(size_wh=size_wh, pixel_centre=pixel_centre)
    return replace(CONFIG, crop=crop, model=ModelConfig(skeleton=skeleton), training=training)


def heatmaps_of(network, config, folder, affine, mirrored=False, **options):
    teacher = Teacher("spotter", lambda: network, **options)
    path = compute_teacher_heatmaps(teacher, network, [(BOX, image)], folder)
    return TeacherHeatmaps(path, network.config, max(teacher.paddings), config).crop(0, BOX, affine, mirrored)


def crop_of(config, padding=1.25, rotation_deg=0.0, mirrored=False):
    centre, region = crop_region(BOX, config.crop.size_wh, padding)
    affine = crop_affine(centre, region, config.crop.size_wh, rotation_deg, config.crop.pixel_centre)
    return compose_affine(flip_affine(config.crop.size_wh[0]), affine) if mirrored else affine


@pytest.mark.parametrize("paddings", [(1.25,), (1.15, 1.4)])
@pytest.mark.parametrize("theirs", [0.0, 0.5])
@pytest.mark.parametrize(
    ("own", "size_wh"), [(0.0, (192, 256)), (0.5, (192, 256)), (0.5, (96, 128)), (0.5, (288, 384))]
)
def test_peaks_lie_at_the_same_image_pixels_for_all_sizes_and_pixel_centres(tmp_path, theirs, own, size_wh, paddings):
    config = student(size_wh, own)
    affine = crop_of(config)
    found = heatmaps_of(Spotter(pixel_centre=theirs), config, tmp_path, affine, paddings=paddings)
    places, _ = decode(found.nan_to_num().numpy(), "taylor")
    expected = apply_affine(compose_affine(heatmap_affine(4, own), affine), MARKS)
    # Discs are found to a third of a pixel of the teacher's crop, and resampled twice.
    assert np.abs(places - of_each(expected[1], expected[0])).max() < 0.15


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation_deg", [0.0, 25.0])
def test_rotated_and_mirrored_crops_keep_left_and_right(tmp_path, mirrored, rotation_deg):
    config = student()
    affine = crop_of(config, 1.1, rotation_deg, mirrored)
    found = heatmaps_of(Spotter(), config, tmp_path, affine, mirrored)
    places, _ = decode(found.nan_to_num().numpy(), "taylor")
    expected = apply_affine(compose_affine(heatmap_affine(4, 0.5), affine), MARKS)
    left, right = (0, 1) if mirrored else (1, 0)  # in a mirror the right hand is a left one
    assert np.abs(places - of_each(expected[left], expected[right])).max() < 0.2


def test_peaks_are_widened_to_the_students_and_keep_their_height(tmp_path):
    config = student((96, 128), sigma=2.0)
    found = heatmaps_of(Spotter(), config, tmp_path, crop_of(config)).nan_to_num().numpy()
    places, heights = decode(found, "taylor")
    assert heights.min() > 0.95
    np.testing.assert_allclose(found, encode(places.astype(np.float32), (32, 24), 2.0), atol=0.04)


def test_heatmaps_are_unknown_outside_the_teachers_crops(tmp_path):
    config = student()
    found = heatmaps_of(Spotter(), config, tmp_path, crop_of(config, padding=2.0), paddings=(1.0, 1.25)).numpy()
    known = np.isfinite(found[0])
    assert known[32, 24] and not known[:10].any() and not known[:, :6].any()
    assert abs(known.mean() - (1.25 / 2.0) ** 2) < 0.05


def test_keypoints_are_matched_by_name_and_unknown_ones_are_left_out(tmp_path):
    config = student(skeleton="people19")
    found = heatmaps_of(Spotter(), config, tmp_path, crop_of(config, padding=1.0))
    assert found.isfinite().flatten(1).all(1).tolist() == [True] * 17 + [False] * 2


def test_heatmaps_are_computed_once_and_from_mirrored_crops_if_configured(tmp_path):
    network, config = Spotter(), student()
    for _ in range(2):
        heatmaps_of(network, config, tmp_path, crop_of(config), paddings=(1.1, 1.3))
    assert network.shown == 4
    heatmaps_of(network, config, tmp_path, crop_of(config), paddings=(1.1, 1.3), mirrored_crops=False)
    assert network.shown == 6


def test_samples_contain_teacher_heatmaps_and_are_otherwise_unchanged(marked, tmp_path):
    dataset = PoseDataset([marked], CONFIG, augmented=True)
    without = dataset[Draw(0, 1)]
    assert without.teacher_heatmaps.numel() == 0
    dataset.add_teacher_heatmaps(Teacher("still", Still), tmp_path)
    sample = dataset[Draw(0, 1)]
    assert sample.teacher_heatmaps.shape == (17, *CONFIG.crop.heatmap_shape_hw)
    assert torch.equal(without.crop, sample.crop)


class Still(Spotter):
    """Sees every keypoint at one place."""

    def __call__(self, crops):
        return encode(np.full((17, 2), 20, np.float32), self.config.crop.heatmap_shape_hw, 2.0)[None]
