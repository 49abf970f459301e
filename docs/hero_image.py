"""Draws the image at the head of the README: `python docs/hero_image.py [FILE]`, by default docs/images/crowd.jpg.

It shows a drawn crowd with the poses that the default weights find in its people's boxes.
"""

import sys
from pathlib import Path

import numpy as np

from rsgnet import Boxes, LoadedImage, PoseEstimator
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.poses import Poses

SEED, SIZE_WH, PEOPLE = 3, (1200, 675), 12


def main() -> None:
    """Writes the image."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images" / "crowd.jpg"
    find_poses().draw().save(path, quality=88)


def find_poses() -> Poses:
    """Returns the poses of the crowd's people."""
    scene = simulate_crowd(SEED, SIZE_WH, PEOPLE)
    boxes = xywh_to_xyxy([person["bbox"] for person in scene.annotations["annotations"]])
    photo = LoadedImage(scene.image, boxes=Boxes(boxes, np.ones(len(boxes))))
    [(_, poses)] = PoseEstimator(detector="full").stream([photo])
    assert isinstance(poses, Poses)
    return poses


if __name__ == "__main__":
    main()
