"""A few people, drawn as the network sees them."""

import numpy as np
import torch

from rsgnet.data.dataset import Sample
from rsgnet.model import ModelOutput
from rsgnet.presets import rsgnet_light
from rsgnet.skeletons import get_skeleton
from rsgnet.training.callbacks import draw_samples

CONFIG = rsgnet_light()
COUNT = len(get_skeleton(CONFIG.model.skeleton))


def batch(people=2):
    (width, height), (rows, columns) = CONFIG.crop.size_wh, CONFIG.crop.heatmap_shape_hw
    labelled = torch.zeros(people, 3, COUNT, dtype=torch.bool)
    labelled[:, 0] = True
    return Sample(
        crop=torch.full((people, height, width, 3), 90, dtype=torch.uint8),
        keypoints_xy=torch.rand(people, 3, COUNT, 2) * torch.tensor([columns, rows]),
        labelled=labelled,
        background=torch.ones(people, COUNT, rows, columns, dtype=torch.bool),
        box_area=torch.ones(people),
    )


def heatmaps(people=2, peak=0.0):
    maps = torch.zeros(people, COUNT, *CONFIG.crop.heatmap_shape_hw)
    maps[:, :, 16, 12] = peak
    return maps


def test_each_person_has_a_row_and_candidate_heatmaps_have_a_tile_if_predicted():
    plain = draw_samples(batch(), ModelOutput(heatmaps()), CONFIG)
    full = draw_samples(batch(), ModelOutput(heatmaps(), heatmaps()), CONFIG)
    assert full.width > plain.width and full.height == plain.height
    assert draw_samples(batch(3), ModelOutput(heatmaps(3)), CONFIG).height > plain.height


def test_predictions_are_drawn():
    sample = batch()
    nothing = np.asarray(draw_samples(sample, ModelOutput(heatmaps()), CONFIG), int)
    peaks = np.asarray(draw_samples(sample, ModelOutput(heatmaps(peak=0.9)), CONFIG), int)
    third = nothing.shape[1] // 3
    apart = [np.abs(peaks - nothing)[60:, start : start + third].max() for start in (0, third, 2 * third)]
    assert apart[0] == 0 and apart[1] > 50 and apart[2] > 50  # labels stay, pose and heat change
