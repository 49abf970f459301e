"""Mosaics and people pasted into images; flat colours tell to whom each pixel belongs."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rsgnet.config import DetectorConfig, FasterRCNNConfig
from rsgnet.crowds.real_people.cutouts import PeopleLibrary
from rsgnet.data.batches import Draw
from rsgnet.data.dataset import DataSource
from rsgnet.data.detection import DetectionDataset
from rsgnet.data.mosaic import BoxedImage, make_mosaic, paste_into_image, to_box_array
from rsgnet.errors import RSGNetWarning
from rsgnet.skeletons import COCO17
from rsgnet.training_config import AugmentConfig, TrainingConfig

SKY, GREY = (110, 128, 150), (128, 128, 128)  # GREY is what people_set's people stand before
STILL = AugmentConfig(scale=0.0, flip=0.0)
CONFIG = DetectorConfig("test", size_wh=(160, 160), training=TrainingConfig(augment=STILL))


def dataset(source, augmented=True, config=CONFIG, **augment):
    training = replace(config.training, augment=replace(STILL, **augment))
    return DetectionDataset([DataSource(*source)], replace(config, training=training), augmented)


def boxes_of(sample):
    return sample.boxes_xyxy[~sample.boxes_xyxy.isnan().any(1)].numpy()


def sky(height=200, width=300, people=(), ignored=()):
    image = np.full((height, width, 3), SKY, np.uint8)
    return BoxedImage(image, to_box_array(people), to_box_array(ignored))


def coloured(image, ground):
    return np.abs(image.astype(int) - ground).max(-1) > 25


def test_the_same_draw_is_the_same_image_and_held_out_images_are_unchanged(people_set):
    heavy = dataset(people_set, paste=0.7, mosaic=0.5)
    for seed in range(6):
        once, again = heavy[Draw(0, seed)], heavy[Draw(0, seed)]
        assert torch.equal(once.image, again.image)
        assert torch.equal(once.boxes_xyxy.nan_to_num(-1), again.boxes_xyxy.nan_to_num(-1))
    asked, unasked = dataset(people_set, False, paste=1.0, mosaic=1.0)[0], dataset(people_set, False)[0]
    assert torch.equal(asked.image, unasked.image)
    assert len(boxes_of(unasked)) == 1


def test_boxes_of_pasted_people_contain_all_pasted_pixels(people_set):
    library = PeopleLibrary([people_set], COCO17)
    pasted = 0
    for seed in range(30):
        found = paste_into_image(sky(), library, np.random.default_rng(seed))
        pasted += len(found.people)
        seen, framed = coloured(found.image, SKY), np.zeros((200, 300), bool)
        for left, top, right, bottom in np.concatenate([found.people, found.ignored]).round().astype(int):
            framed[top:bottom, left:right] = True
            rows, columns = seen[top:bottom].any(1), seen[:, left:right].any(0)
            assert rows[0] or rows[1]
            assert columns[0] or columns[1]
        assert (seen & ~framed).sum() <= 0.03 * seen.sum()  # but for faint edges
    assert pasted > 60


def test_boxes_of_covered_people_shrink_to_their_visible_part(people_set):
    library = PeopleLibrary([people_set], COCO17)
    stood = [100.25, 60.5, 150.75, 190.0]
    kept, shrunk, lost = 0, 0, 0
    for seed in range(60):
        found = paste_into_image(sky(people=[stood]), library, np.random.default_rng(seed))
        inside = [
            box for box in found.people if (box[:2] >= np.array(stood)[:2]).all() and (box[2:] <= stood[2:]).all()
        ]
        exact = any(np.array_equal(box, stood) for box in inside)
        free = (~coloured(found.image, SKY))[61:190, 101:150]
        kept += exact
        shrunk += bool(inside) and not exact
        lost += not inside
        if free.all():
            assert exact
        if free.mean() < 0.2:
            assert not exact
    assert kept and shrunk and lost  # all three happen


def test_nobody_is_pasted_onto_the_padding(people_set):
    library = PeopleLibrary([people_set], COCO17)
    padded = sky()
    padded.image[:, 180:] = 0
    for seed in range(20):
        found = paste_into_image(padded, library, np.random.default_rng(seed))
        assert found.image[:, 180:].max() == 0
        assert len(found.people) == 0 or found.people[:, 2].max() <= 180


def test_a_black_image_is_left_alone(people_set):
    black = BoxedImage(np.zeros((40, 40, 3), np.uint8), to_box_array([]), to_box_array([]))
    assert paste_into_image(black, PeopleLibrary([people_set], COCO17), np.random.default_rng(0)) is black


def test_a_mosaic_joins_four_images_and_their_boxes():
    sizes = []

    def view(size_wh):
        sizes.append(size_wh)
        width, height = size_wh
        shade = np.full((height, width, 3), 50 * len(sizes), np.uint8)
        return BoxedImage(shade, to_box_array([[0, 0, width, height]]), to_box_array([[1, 2, 3, 4]]))

    mosaic = make_mosaic(view, (120, 80), np.random.default_rng(0))
    assert mosaic.image.shape == (80, 120, 3)
    assert sum(width * height for width, height in sizes) == 120 * 80
    for index, (left, top, right, bottom) in enumerate(mosaic.people.astype(int), 1):
        assert (mosaic.image[top:bottom, left:right] == 50 * index).all()
    assert np.array_equal(mosaic.ignored, mosaic.people[:, [0, 1, 0, 1]] + [1, 2, 3, 4])


def test_a_mosaic_contains_its_own_image_and_boxes_of_all_people(people_set):
    drawn = dataset(people_set, mosaic=1.0)
    alone = dataset(people_set)
    for seed in range(12):
        index = seed % 6
        sample = drawn[Draw(index, seed)]
        colour = coloured(sample.image.numpy(), GREY)
        for left, top, right, bottom in boxes_of(sample).round().astype(int):
            assert colour[top + 1 : bottom - 1, left + 1 : right - 1].mean() > 0.95
        own = alone[index].image.numpy()
        shade = np.median(own[coloured(own, GREY) & own.any(-1)], 0)
        assert (np.abs(sample.image.numpy().astype(float) - shade).max(-1) < 12).any()


def test_faster_rcnns_images_are_pasted_into_but_keep_their_size(people_set):
    sample = dataset(people_set, config=FasterRCNNConfig("test"), paste=1.0, mosaic=1.0)[Draw(0, 3)]
    assert sample.image.shape == (220, 300, 3)
    assert len(boxes_of(sample)) > 1


def test_without_masks_nobody_is_pasted(marked):
    with pytest.warns(RSGNetWarning, match="nobody to cut out"):
        images = dataset((marked.annotations, marked.images), paste=1.0)
    assert len(boxes_of(images[0])) == 3


def test_people_without_feet_are_cut_off_by_the_lower_edge(people_set):
    """A cut-out without feet ends at the lower edge, never in the air."""
    annotations = people_set[0]
    content = json.loads(annotations.read_text())
    for person in content["annotations"]:
        person["keypoints"][-6:] = [0] * 6  # the ankles
    annotations.write_text(json.dumps(content))
    library = PeopleLibrary([people_set], COCO17)
    for seed in range(20):
        found = paste_into_image(sky(), library, np.random.default_rng(seed))
        for box in found.people:
            assert box[3] >= 198 or any(other[3] > box[3] for other in found.people)
