"""Draws images of docs/method.md: `python docs/method_images.py [FOLDER]`, by default docs/images.

They show one person of a drawn crowd and the outputs of the shipped `nano` for their crop. Needs rsgnet[train].
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from rsgnet import Boxes, LoadedImage, PoseEstimator
from rsgnet.checkpoint import load_model
from rsgnet.config import CropConfig, PoseConfig
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.draw import person_colour
from rsgnet.geometry import Floats, xywh_to_xyxy
from rsgnet.images import RGBImage
from rsgnet.inference.crops import cut_crop
from rsgnet.inference.weights import SHIPPED
from rsgnet.model.layers import normalise
from rsgnet.model.rsgnet import ModelOutput, RSGNet

SEED, PERSON = 2, 1  # somebody stands before this person
PANEL_SCALE = 4  # size of a panel over that of the network's crop


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


def draw_all_poses(image: RGBImage, boxes_xyxy: Floats) -> Image.Image:
    """Returns the image with everyone's pose and lines from contested keypoints to their rivals."""
    estimator = PoseEstimator("nano", "full")
    photo = LoadedImage(image, boxes=Boxes(boxes_xyxy, np.ones(len(boxes_xyxy))))
    [(_, poses)] = estimator.stream([photo])
    return poses.draw(rivals=True)


if __name__ == "__main__":
    main()
