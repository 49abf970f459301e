"""A Hugging Face Space: everyone's pose in an image, in the browser. Run here: `python space/app.py`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsgnet import PoseEstimator
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.defaults import DEFAULT_WEIGHTS
from rsgnet.inference.weights import list_shipped_weights

COLOURS = ("person", "side", "owned")
MAX_PIXELS = 25_000_000


@lru_cache
def open_estimator(weights: str) -> PoseEstimator:
    """Opens shipped weights once."""
    return PoseEstimator(weights)


def find_poses(
    image: NDArray[np.uint8] | None, weights: str, min_score: float, colour_by: str, rivals: bool
) -> tuple[Image.Image | None, str, list[dict[str, Any]]]:
    """Returns the drawn image, one line about it, and the people as COCO results."""
    if image is None:
        return None, "Choose an image first.", []
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        return None, f"The image has more than {MAX_PIXELS // 1_000_000} million pixels: scale it down.", []
    poses = open_estimator(weights)(image)
    poses = poses[poses.pose_scores >= min_score]
    drawn = poses.draw(colour_by=colour_by, rivals=rivals, labels=True)  # type: ignore[arg-type]
    return drawn, repr(poses), poses.to_coco()


def make_app() -> Any:
    """Returns the Gradio app."""
    import gradio

    return gradio.Interface(
        find_poses,
        [
            gradio.Image(type="numpy", label="Image"),
            gradio.Dropdown(list_shipped_weights(), value=DEFAULT_WEIGHTS, label="Network"),
            gradio.Slider(0, 1, 0.2, label="People from this score"),
            gradio.Radio(list(COLOURS), value="person", label="Colours"),
            gradio.Checkbox(label="Show who else may own a keypoint"),
        ],
        [gradio.Image(label="Poses"), gradio.Textbox(label="Found"), gradio.JSON(label="COCO results")],
        title="RSGNet: everyone's pose in crowded images",
        examples=[[simulate_crowd(3, (960, 540), 10).image, DEFAULT_WEIGHTS, 0.2, "person", False]],
        cache_examples=False,
        flagging_mode="never",
    )


if __name__ == "__main__":
    make_app().launch()
