"""A teacher's heatmaps, stored and carried into augmented crops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.data.test_dataset import CONFIG

from rsgnet.config import AugmentConfig
from rsgnet.data.annotations import read_annotations
from rsgnet.data.batches import Draw
from rsgnet.data.dataset import PoseDataset
from rsgnet.data.taught_maps import PersonMaps, TaughtMaps, write_taught_maps
from rsgnet.errors import AnnotationError
from rsgnet.geometry import compose_affine, crop_affine, crop_region
from rsgnet.heatmaps import decode, encode, heatmap_affine
from rsgnet.skeletons import COCO17, PEOPLE19

MAPS_HW = (64, 48)


@pytest.fixture
def taught(marked, tmp_path):
    """The marked people's own keypoints, as a teacher without fault would see them in their upright crops."""
    to_map, people = heatmap_affine(CONFIG.crop.stride, 0.5), []
    for picture in read_annotations(marked.annotations).pictures:
        for person in picture.people:
            centre, region = crop_region(person.box_xywh, CONFIG.crop.size_wh)
            affine = compose_affine(to_map, crop_affine(centre, region, CONFIG.crop.size_wh, pixel_centre=0.5))
            places = person.keypoints[:, :2] @ affine[:, :2].T + affine[:, 2]
            people.append(PersonMaps(person.id, encode(places.astype(np.float32), MAPS_HW, 2.0), affine))
    write_taught_maps(tmp_path / "maps.safetensors", people, COCO17.keypoints)
    return replace(marked, taught=tmp_path / "maps.safetensors")


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_peaks_follow_the_labels_through_every_change_of_the_crop(taught, flip, seed):
    augment = AugmentConfig(rotation_deg=30, scale=0.2, shift=0.05, flip=flip, half_body=0.2)
    config = replace(CONFIG, training=replace(CONFIG.training, augment=augment))
    sample = PoseDataset([taught], config, augmented=True)[Draw(0, seed)]
    places, heights = decode(sample.taught.nan_to_num().numpy(), "taylor")
    whole = np.array([whole_about(each, place) for each, place in zip(sample.taught, places, strict=True)])
    shown = sample.labelled[0].numpy() & (heights > 0.9) & whole
    assert shown.sum() >= 8
    assert np.abs(places - sample.keypoints_xy[0].numpy())[shown].max() < 0.1


def whole_about(heatmap, place):
    """Whether the teacher saw everything about a place: a peak that is cut off is not where it was."""
    x, y = place.round().astype(int)
    around = heatmap[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5]
    return around.shape == (9, 9) and bool(around.isfinite().all())


def test_nothing_is_known_beyond_what_the_teacher_saw_nor_of_keypoints_it_has_not(taught):
    maps = TaughtMaps(taught.taught, PEOPLE19)
    person = read_annotations(taught.annotations).pictures[0].people[0]
    far = maps.in_crop(person.id, np.array([[1.0, 0, 1e5], [0, 1, 0]]), (8, 6), mirrored=False)
    assert far.isnan().all()
    assert maps.in_crop(-7, np.eye(2, 3), (8, 6), mirrored=False).isnan().all()
    config = replace(CONFIG, model=replace(CONFIG.model, skeleton="people19"))
    sample = PoseDataset([taught], config, augmented=False)[0]
    named = torch.tensor([name in COCO17.keypoints for name in PEOPLE19.keypoints])
    assert (sample.taught.isfinite().flatten(1).any(1) == named).all()


def test_a_set_without_a_teacher_says_nothing_beside_one_that_has_one(marked, taught):
    sample = PoseDataset([marked, taught], CONFIG, augmented=False)[0]
    assert sample.taught.shape == (17, 64, 48)
    assert sample.taught.isnan().all()
    assert PoseDataset([marked], CONFIG, augmented=False)[0].taught.numel() == 0


@pytest.mark.parametrize("content", [b"", b"not a file of heatmaps", None])
def test_what_is_no_such_file_is_named(tmp_path, content):
    path = tmp_path / "maps.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"maps\.safetensors"):
        TaughtMaps(path, COCO17)


def test_tensors_that_do_not_fit_each_other_are_refused(tmp_path):
    person = PersonMaps(1, np.zeros((3, 8, 6), np.float32), np.eye(2, 3))
    write_taught_maps(tmp_path / "maps.safetensors", [person], COCO17.keypoints)
    with pytest.raises(AnnotationError, match="do not fit"):
        TaughtMaps(tmp_path / "maps.safetensors", COCO17)
