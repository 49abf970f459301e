"""How many labelled training crops a core makes, beside the pipeline that pose projects usually have.

`python benchmarks/training_samples.py LABELS IMAGES_DIR [--crops 256]`

The usual pipeline makes one sample at a time: it decodes the image, warps the crop and draws each Gaussian and limb
with numpy. Ours keeps decoded images, warps only what a crop shows, and makes the labels of a batch at once, on the
device of the training. Both make the labels of RSGNet W32 at 256x192 with the paper's augmentation, on one thread; from
the first pass over the images, and with images in memory.
"""

import argparse
import time
from pathlib import Path

import measuring
import numpy as np
from PIL import Image

from rsgnet.annotations.readers import AnnotatedImage, Person, read_annotations
from rsgnet.config import PoseConfig
from rsgnet.data.augment import training_affine
from rsgnet.data.batches import Draw
from rsgnet.data.dataset import PoseDataset, Sample
from rsgnet.geometry import apply_affine, invert_affine
from rsgnet.presets import preset_named
from rsgnet.skeletons import Skeleton, skeleton_named
from rsgnet.training.labels import make_labels
from rsgnet.training.sources import parse_source

PRESET = "rsgnet-w32-256x192-coco"
BATCH = 32


def gaussian(shape_hw: tuple[int, int], place: np.ndarray, sigma: float) -> np.ndarray:
    """A heatmap of one keypoint."""
    rows, columns = np.arange(shape_hw[0])[:, None], np.arange(shape_hw[1])
    return np.exp(-((columns - place[0]) ** 2 + (rows - place[1]) ** 2) / (2 * sigma**2))


def limb(shape_hw: tuple[int, int], start: np.ndarray, end: np.ndarray, width: float) -> np.ndarray:
    """1 where a pixel lies on a limb."""
    rows, columns = np.mgrid[: shape_hw[0], : shape_hw[1]]
    along = end - start
    share = ((columns - start[0]) * along[0] + (rows - start[1]) * along[1]) / max(float(along @ along), 1e-6)
    share = share.clip(0, 1)
    distance2 = (columns - start[0] - share * along[0]) ** 2 + (rows - start[1] - share * along[1]) ** 2
    return (distance2 <= (width / 2) ** 2).astype(np.float32)


def usual_sample(
    path: Path, image: AnnotatedImage, person: Person, skeleton: Skeleton, config: PoseConfig, seed: int
) -> tuple[np.ndarray, ...]:
    """One sample, as a script would make it."""
    random, crop, loss = np.random.default_rng(seed), config.crop, config.training.loss
    augment = config.training.augment
    affine, flip = training_affine(person.box_xywh, person.keypoints, skeleton, crop, augment, random)
    opened = Image.open(path).convert("RGB")
    back = invert_affine(affine).ravel().tolist()
    pixels = opened.transform(crop.size_wh, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
    values = (np.asarray(pixels, np.float32) / 255 - crop.mean) / crop.std
    people = [person, *(other for other in image.people if other is not person and other.labelled)]
    target = np.zeros((len(skeleton), *crop.heatmap_shape_hw), np.float32)
    everyone = np.zeros_like(target)
    limbs = np.zeros((len(skeleton.limbs), *crop.heatmap_shape_hw), np.float32)
    for row, someone in enumerate(people[: config.training.max_people]):
        places = apply_affine(affine, someone.keypoints[:, :2]) / crop.stride
        order = skeleton.flip_indices if flip else np.arange(len(skeleton))
        places, labelled = places[order], someone.keypoints[order, 2] > 0
        for keypoint in np.flatnonzero(labelled):
            heatmap = gaussian(crop.heatmap_shape_hw, places[keypoint], loss.sigma)
            everyone[keypoint] = np.maximum(everyone[keypoint], heatmap)
            if row == 0:
                target[keypoint] = heatmap
        if row == 0:
            for index, (start, end) in enumerate(skeleton.limbs):
                if labelled[start] and labelled[end]:
                    limbs[index] = limb(crop.heatmap_shape_hw, places[start], places[end], loss.limb_width)
    return values.transpose(2, 0, 1), target, everyone, limbs


def usual_rate(labels: Path, images: Path, config: PoseConfig, crops: int, seed: int) -> float:
    annotations = read_annotations(labels)
    people = [(image, person) for image in annotations.images for person in image.people if person.labelled]
    chosen = np.random.default_rng(seed).permutation(len(people))[:crops]
    start = time.perf_counter()
    for index in chosen:
        image, person = people[index]
        usual_sample(images / image.file_name, image, person, annotations.skeleton, config, int(index))
    return len(chosen) / (time.perf_counter() - start)


def our_rate(dataset: PoseDataset, crops: int, seed: int, turn: int) -> float:
    config = dataset.config
    skeleton = skeleton_named(config.model.skeleton)
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:crops]
    start = time.perf_counter()
    for first in range(0, len(chosen), BATCH):
        batch = [dataset[Draw(int(index), turn)] for index in chosen[first : first + BATCH]]
        make_labels(Sample.stack(batch), skeleton, config.training.loss)
    return len(chosen) / (time.perf_counter() - start)


def main() -> None:
    parser = measuring.arguments_of(__doc__, threads=1, rounds=5)
    parser.add_argument("labels", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--crops", type=int, default=256)
    arguments: argparse.Namespace = parser.parse_args()
    measuring.use_threads(1)
    measuring.print_machine(1)
    config = preset_named(PRESET)
    assert isinstance(config, PoseConfig)
    rates: dict[str, list[float]] = {"usual": [], "first pass": [], "from memory": []}
    for turn in range(arguments.rounds):
        dataset = PoseDataset([parse_source(f"{arguments.labels}:{arguments.images}")], config, augmented=True)
        rates["usual"].append(usual_rate(arguments.labels, arguments.images, config, arguments.crops, turn))
        rates["first pass"].append(our_rate(dataset, arguments.crops, turn, 0))
        rates["from memory"].append(our_rate(dataset, arguments.crops, turn, 1))
    figures = [
        measuring.Figure(f"training crops a second and core, {name}", measuring.Spread.of(values))
        for name, values in rates.items()
    ]
    for name in ("first pass", "from memory"):
        ratio = [ours / usual for ours, usual in zip(rates[name], rates["usual"], strict=True)]
        what = f"training crops a second and core, ours over the usual pipeline, {name}"
        judged = measuring.at_least(what, measuring.Spread.of(ratio), 3.0)
        figures.append(judged if name == "from memory" else measuring.Figure(what, judged.value))
    measuring.report("training_samples", figures, arguments)


if __name__ == "__main__":
    main()
