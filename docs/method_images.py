"""Draws the images of docs/method.md: `python docs/method_images.py [FOLDER]`, by default docs/images.

They show one person of a drawn crowd and the outputs of the shipped `nano` for their crop. Needs rsgnet[train].
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
from rsgnet.inference.crops import cut_crop
from rsgnet.inference.weights import SHIPPED
from rsgnet.model.layers import normalise
from rsgnet.model.rsgnet import ModelOutput, RSGNet

SEED, PERSON = 2, 1  # somebody stands before this person
PANEL_SCALE = 4  # size of a panel over that of the network's crop
MIN_RELATION = 0.2  # pairs related less than this share of the strongest pair are not joined
WHITE = (255, 255, 255)


def main() -> None:
    """Writes images of the boxes, the crop, each of the network's outputs and the poses."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    folder.mkdir(parents=True, exist_ok=True)
    scene = simulate_crowd(SEED)
    boxes = xywh_to_xyxy([person["bbox"] for person in scene.annotations["annotations"]])
    output, config = run_network(scene.image, boxes[PERSON])
    panel = Image.fromarray(cut_crop(scene.image, boxes[PERSON], panel_crop(config.crop)).pixels)
    dim = panel.point(lambda value: value // 3)
    images = {
        "question": draw_boxes(scene.image, boxes),
        "crop": panel,
        "candidates": draw_maps(dim, output.candidate_heatmaps),
        "relation": draw_relation(dim, output, config.crop),
        "limbs": draw_maps(dim, output.limb_heatmaps),
        "target": draw_maps(dim, output.target_heatmaps),
        "answer": draw_all_poses(scene.image, boxes),
    }
    for name, image in images.items():
        image.save(folder / f"method-{name}.jpg", quality=88)


def panel_crop(crop: CropConfig) -> CropConfig:
    """Returns the same crop at the size of a panel."""
    width, height = crop.size_wh
    return CropConfig((width * PANEL_SCALE, height * PANEL_SCALE), padding=crop.padding, pixel_centre=crop.pixel_centre)


def run_network(image: RGBImage, box_xyxy: Floats) -> tuple[ModelOutput, PoseConfig]:
    """Returns the shipped network's outputs for one person, and its config."""
    model, config = load_model(SHIPPED / "nano")
    assert isinstance(model, RSGNet) and isinstance(config, PoseConfig)
    crop = torch.tensor(cut_crop(image, box_xyxy, config.crop).pixels)[None]
    with torch.inference_mode():
        output: ModelOutput = model.eval()(normalise(crop, config.crop.mean, config.crop.std))
    return output, config


def draw_boxes(image: RGBImage, boxes_xyxy: Floats) -> Image.Image:
    """Returns the image with everyone's box; the box of PERSON is thick."""
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    for person, box in enumerate(boxes_xyxy.tolist()):
        pen.rectangle(box, outline=person_colour(person), width=5 if person == PERSON else 1)
    return drawn


def draw_maps(panel: Image.Image, maps: torch.Tensor | None) -> Image.Image:
    """Returns a panel with heatmaps added as light, each in its own colour."""
    assert maps is not None
    light = np.zeros((panel.height, panel.width, 3))
    for number, heatmap in enumerate(maps[0].clamp(0, 1).numpy()):
        shown = Image.fromarray(heatmap**2).resize(panel.size, Image.Resampling.BICUBIC)  # squared: narrower
        light = np.maximum(light, np.asarray(shown).clip(0, 1)[..., None] * person_colour(number))
    return Image.fromarray((np.asarray(panel) + light).clip(0, 255).astype(np.uint8))


def draw_relation(panel: Image.Image, output: ModelOutput, crop: CropConfig) -> Image.Image:
    """Returns a panel with candidates as dots (size: height) and lines between related ones (brightness: relation)."""
    assert output.relation is not None and output.candidates is not None
    image = panel.copy()
    pen = ImageDraw.Draw(image, "RGBA")
    real, relation = output.candidates.mask[0].numpy(), output.relation[0].numpy()
    places, heights = heatmap_to_panel(output.candidates.xy[0].numpy(), crop), output.candidates.scores[0].numpy()
    colours = [person_colour(int(keypoint)) for keypoint in output.candidates.keypoint]
    pairs = np.triu(relation, 1) / relation.max()
    for first, second in np.argwhere(pairs > MIN_RELATION):
        pen.line([*places[first], *places[second]], (*WHITE, round(150 * float(pairs[first, second]))))
    for index in np.flatnonzero(real):
        pen.circle(tuple(places[index]), 3 + 6 * float(heights[index]), colours[index], WHITE)
    return image


def heatmap_to_panel(heatmap_xy: NDArray[np.float32], crop: CropConfig) -> Floats:
    """Converts places from heatmap pixels to panel pixels."""
    in_crop = apply_affine(invert_affine(heatmap_affine(crop.stride, crop.pixel_centre)), heatmap_xy)
    return (in_crop + 0.5) * PANEL_SCALE - 0.5


def draw_all_poses(image: RGBImage, boxes_xyxy: Floats) -> Image.Image:
    """Returns the image with everyone's pose and lines from contested keypoints to their rivals."""
    estimator = PoseEstimator("nano", "full")
    photo = LoadedImage(image, boxes=Boxes(boxes_xyxy, np.ones(len(boxes_xyxy))))
    [(_, poses)] = estimator.stream([photo])
    return poses.draw(rivals=True)


if __name__ == "__main__":
    main()
