"""Measures how many labelled training crops per second one core makes, compared with a conventional pipeline.

`python benchmarks/training_samples.py LABELS IMAGES_DIR [--crops 256]`

The conventional pipeline makes one sample at a time: it decodes the image, warps the crop and draws each Gaussian and
limb with NumPy. Ours keeps decoded images, warps only the visible part, and makes the labels of a whole batch on the
device of the training. Both make the labels of RSGNet W32 at 256x192 with the paper's augmentation, on one thread; ours
is measured in the first pass over the images and with images in memory.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from measurement import Measurement, Spread, at_least, make_parser, report, set_up
from PIL import Image

from rsgnet.annotations.people import AnnotatedImage, Person
from rsgnet.annotations.readers import read_annotations
from rsgnet.config import PoseConfig
from rsgnet.data.augment import training_affine
from rsgnet.data.batches import Draw
from rsgnet.data.dataset import PoseDataset, Sample
from rsgnet.geometry import apply_affine, invert_affine
from rsgnet.presets import preset_named
from rsgnet.skeletons import Skeleton, get_skeleton
from rsgnet.training.labels import make_labels
from rsgnet.training.sources import parse_source

PRESET = "rsgnet-w32-256x192-coco"
BATCH = 32


def gaussian(shape_hw: tuple[int, int], keypoint_xy: np.ndarray, sigma: float) -> np.ndarray:
    """Returns the heatmap of one keypoint."""
    rows, columns = np.arange(shape_hw[0])[:, None], np.arange(shape_hw[1])
    return np.exp(-((columns - keypoint_xy[0]) ** 2 + (rows - keypoint_xy[1]) ** 2) / (2 * sigma**2))


def limb(shape_hw: tuple[int, int], start: np.ndarray, end: np.ndarray, width: float) -> np.ndarray:
    """Returns a map that is 1 on a limb."""
    rows, columns = np.mgrid[: shape_hw[0], : shape_hw[1]]
    along = end - start
    share = ((columns - start[0]) * along[0] + (rows - start[1]) * along[1]) / max(float(along @ along), 1e-6)
    share = share.clip(0, 1)
    distance2 = (columns - start[0] - share * along[0]) ** 2 + (rows - start[1] - share * along[1]) ** 2
    return (distance2 <= (width / 2) ** 2).astype(np.float32)


def conventional_sample(
    path: Path, image: AnnotatedImage, person: Person, skeleton: Skeleton, config: PoseConfig, seed: int
) -> tuple[np.ndarray, ...]:
    """Returns crop, target heatmaps, candidate heatmaps and limb maps of one sample."""
    random, crop, loss = np.random.default_rng(seed), config.crop, config.training.loss
    augment = config.training.augment
    affine, flip = training_affine(person.box_xywh, person.keypoints, skeleton, crop, augment, random)
    opened = Image.open(path).convert("RGB")
    back = invert_affine(affine).ravel().tolist()
    pixels = opened.transform(crop.size_wh, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
    values = (np.asarray(pixels, np.float32) / 255 - crop.mean) / crop.std
    people = [person, *(other for other in image.people if other is not person and other.num_labelled)]
    target = np.zeros((len(skeleton), *crop.heatmap_shape_hw), np.float32)
    candidates = np.zeros_like(target)
    limbs = np.zeros((len(skeleton.limbs), *crop.heatmap_shape_hw), np.float32)
    for row, each in enumerate(people[: config.training.max_people]):
        keypoints_xy = apply_affine(affine, each.keypoints[:, :2]) / crop.stride
        order = skeleton.flip_indices if flip else np.arange(len(skeleton))
        keypoints_xy, labelled = keypoints_xy[order], each.keypoints[order, 2] > 0
        for keypoint in np.flatnonzero(labelled):
            heatmap = gaussian(crop.heatmap_shape_hw, keypoints_xy[keypoint], loss.sigma)
            candidates[keypoint] = np.maximum(candidates[keypoint], heatmap)
            if row == 0:
                target[keypoint] = heatmap
        if row == 0:
            for index, (start, end) in enumerate(skeleton.limbs):
                if labelled[start] and labelled[end]:
                    limbs[index] = limb(crop.heatmap_shape_hw, keypoints_xy[start], keypoints_xy[end], loss.limb_width)
    return values.transpose(2, 0, 1), target, candidates, limbs


def conventional_rate(labels: Path, images: Path, config: PoseConfig, crops: int, seed: int) -> float:
    annotations = read_annotations(labels)
    people = [(image, person) for image in annotations.images for person in image.people if person.num_labelled]
    chosen = np.random.default_rng(seed).permutation(len(people))[:crops]
    start = time.perf_counter()
    for index in chosen:
        image, person = people[index]
        conventional_sample(images / image.file_name, image, person, annotations.skeleton, config, int(index))
    return len(chosen) / (time.perf_counter() - start)


def our_rate(dataset: PoseDataset, crops: int, seed: int, turn: int) -> float:
    config = dataset.config
    skeleton = get_skeleton(config.model.skeleton)
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:crops]
    start = time.perf_counter()
    for first in range(0, len(chosen), BATCH):
        batch = [dataset[Draw(int(index), turn)] for index in chosen[first : first + BATCH]]
        make_labels(Sample.stack(batch), skeleton, config.training.loss)
    return len(chosen) / (time.perf_counter() - start)


def main() -> None:
    parser = make_parser(__doc__, threads=1, rounds=5)
    parser.add_argument("labels", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--crops", type=int, default=256)
    arguments: argparse.Namespace = parser.parse_args()
    set_up(1)
    config = preset_named(PRESET)
    assert isinstance(config, PoseConfig)
    rates: dict[str, list[float]] = {"conventional pipeline": [], "ours, first pass": [], "ours, from memory": []}
    conventional, first_pass, from_memory = rates.values()
    for turn in range(arguments.rounds):
        dataset = PoseDataset([parse_source(f"{arguments.labels}:{arguments.images}")], config, augmented=True)
        conventional.append(conventional_rate(arguments.labels, arguments.images, config, arguments.crops, turn))
        first_pass.append(our_rate(dataset, arguments.crops, turn, 0))
        from_memory.append(our_rate(dataset, arguments.crops, turn, 1))
    prefix = "training crops per second and core"
    measurements = [Measurement(f"{prefix}, {name}", Spread.of(*values)) for name, values in rates.items()]
    for name, values in (("first pass", first_pass), ("from memory", from_memory)):
        ratio = Spread.of(*(ours / other for ours, other in zip(values, conventional, strict=True)))
        title = f"{prefix}, ours over the conventional pipeline, {name}"
        measurements.append(at_least(title, ratio, 3.0) if name == "from memory" else Measurement(title, ratio))
    report("training_samples", measurements, arguments)


if __name__ == "__main__":
    main()
