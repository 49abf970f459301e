"""Draws the images of docs/method.md: `python docs/method_images.py [FOLDER]`, by default docs/images.

One person of a drawn crowd, and what the shipped `nano` makes of their crop, step by step. Needs rsgnet[train].
"""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rsgnet import Boxes, LoadedImage, PoseEstimator
from rsgnet.checkpoint import load_model
from rsgnet.config import CropConfig, PoseConfig
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.draw import person_colour
from rsgnet.geometry import Floats, apply_affine, invert_affine, xywh_to_xyxy
from rsgnet.heatmaps import heatmap_affine
from rsgnet.images import RGBImage
from rsgnet.inference.crops import cut
from rsgnet.inference.weights import SHIPPED
from rsgnet.model.layers import normalise
from rsgnet.model.rsgnet import ModelOutput, RSGNet

SEED, PERSON = 2, 1  # somebody stands before this person
LARGER = 4  # by how much panels are larger than the network's crop
FAINTEST = 0.2  # pairs of candidates related less than this, the strongest pair being 1, are not joined
WHITE = (255, 255, 255)


def main() -> None:
    """Writes one image for the question, the crop, each of the network's outputs and the answer."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    folder.mkdir(parents=True, exist_ok=True)
    scene = simulate_crowd(SEED)
    boxes = xywh_to_xyxy([person["bbox"] for person in scene.annotations["annotations"]])
    output, config = outputs(scene.image, boxes[PERSON])
    panel = Image.fromarray(cut(scene.image, boxes[PERSON], larger(config.crop)).pixels)
    dim = panel.point(lambda value: value // 3)
    images = {
        "question": with_boxes(scene.image, boxes),
        "crop": panel,
        "candidates": with_maps(dim, output.candidate_heatmaps),
        "relation": with_relation(dim, output, config.crop),
        "limbs": with_maps(dim, output.limb_heatmaps),
        "target": with_maps(dim, output.target_heatmaps),
        "answer": with_poses(scene.image, boxes),
    }
    for name, image in images.items():
        image.save(folder / f"method-{name}.jpg", quality=88)


def larger(crop: CropConfig) -> CropConfig:
    """The same crop in more pixels, to look at."""
    width, height = crop.size_wh
    return CropConfig((width * LARGER, height * LARGER), padding=crop.padding, pixel_centre=crop.pixel_centre)


def outputs(image: RGBImage, box_xyxy: Floats) -> tuple[ModelOutput, PoseConfig]:
    """What the shipped network predicts for one person."""
    model, config = load_model(SHIPPED / "nano")
    assert isinstance(model, RSGNet) and isinstance(config, PoseConfig)
    crop = torch.tensor(cut(image, box_xyxy, config.crop).pixels)[None]
    with torch.inference_mode():
        output: ModelOutput = model.eval()(normalise(crop, config.crop.mean, config.crop.std))
    return output, config


def with_boxes(image: RGBImage, boxes_xyxy: Floats) -> Image.Image:
    """Everyone's box, thin, over the one that is asked about."""
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    for person, box in enumerate(boxes_xyxy.tolist()):
        pen.rectangle(box, outline=person_colour(person), width=5 if person == PERSON else 1)
    return drawn


def with_maps(panel: Image.Image, maps: torch.Tensor | None) -> Image.Image:
    """Heatmaps as light, each in a colour of its own."""
    assert maps is not None
    light = np.zeros((panel.height, panel.width, 3))
    for number, heatmap in enumerate(maps[0].clamp(0, 1).numpy()):
        shown = Image.fromarray(heatmap**2).resize(panel.size, Image.Resampling.BICUBIC)  # squared: narrower
        light = np.maximum(light, np.asarray(shown).clip(0, 1)[..., None] * person_colour(number))
    return Image.fromarray((np.asarray(panel) + light).clip(0, 255).astype(np.uint8))


def with_relation(panel: Image.Image, output: ModelOutput, crop: CropConfig) -> Image.Image:
    """Candidates as dots, the higher the larger; lines between related ones, the more the brighter."""
    assert output.relation is not None and output.candidates is not None
    image = panel.copy()
    pen = ImageDraw.Draw(image, "RGBA")
    real, relation = output.candidates.mask[0].numpy(), output.relation[0].numpy()
    places, heights = panel_places(output.candidates.xy[0].numpy(), crop), output.candidates.scores[0].numpy()
    colours = [person_colour(int(keypoint)) for keypoint in output.candidates.keypoint]
    pairs = np.triu(relation, 1) / relation.max()
    for first, second in np.argwhere(pairs > FAINTEST):
        pen.line([*places[first], *places[second]], (*WHITE, round(150 * float(pairs[first, second]))))
    for index in np.flatnonzero(real):
        pen.circle(tuple(places[index]), 3 + 6 * float(heights[index]), colours[index], WHITE)
    return image


def panel_places(heatmap_xy: NDArray[np.float32], crop: CropConfig) -> Floats:
    """Places in a heatmap as places in a panel."""
    in_crop = apply_affine(invert_affine(heatmap_affine(crop.stride, crop.pixel_centre)), heatmap_xy)
    return (in_crop + 0.5) * LARGER - 0.5


def with_poses(image: RGBImage, boxes_xyxy: Floats) -> Image.Image:
    """Everyone's pose, lines leading from contested keypoints to whoever else may own them."""
    estimator = PoseEstimator("nano", "full")
    photo = LoadedImage(image, boxes=Boxes(boxes_xyxy, np.ones(len(boxes_xyxy))))
    [(_, poses)] = estimator.stream([photo])
    return poses.draw(rivals=True)


if __name__ == "__main__":
    main()
