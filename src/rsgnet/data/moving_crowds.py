"""Moving crowds: clips of made-up people who walk, cross and hide each other, with who is where in every frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rsgnet.data.crowd_sets import CROWDS_FILE, add_scene
from rsgnet.data.crowds import GROWN, check_crowd, draw_crowd, empty_place, random_camera
from rsgnet.data.scenes import CrowdScene
from rsgnet.data.walks import random_walkers
from rsgnet.data.wardrobe import random_outfit
from rsgnet.errors import RSGNetError
from rsgnet.files import replacing, write_text

FRAME_RATE = 25


def moving_crowd(
    seed: int, frames: int, size_wh: tuple[int, int] = (640, 480), people: int = 8
) -> Iterator[CrowdScene]:
    """Draws the frames of a clip, 25 a second, of made-up people who walk. The same arguments give the same bytes.

    Annotations are as in any `CrowdScene`, but a person's id is the same in every frame. Whoever is not seen in a frame
    is left out of it.

    Args:
        seed: Whatever is random follows from it.
        frames: How many.
        size_wh: Width and height in pixels, each at least 48.
        people: How many walk or stand about, up to 200; not all need be in view at once.

    Raises:
        RSGNetError: The size or the number of people is out of range.
    """
    check_crowd(size_wh, people)
    random = np.random.default_rng(seed)
    camera = random_camera(random, size_wh)
    place = empty_place(random, camera, size_wh)
    walkers = random_walkers(random, people, frames / FRAME_RATE, size_wh[0] / 2 / camera.focal_px)
    outfits = [random_outfit(random, child=walker.size < GROWN) for walker in walkers]
    for frame in range(frames):
        bodies = [walker.body(frame / FRAME_RATE) for walker in walkers]
        yield draw_crowd(place, camera, bodies, outfits, f"crowd_{seed}_{frame:06d}.png")


def write_moving_crowds(
    out: Path,
    clips: int,
    frames: int,
    seed: int,
    size_wh: tuple[int, int] | None = None,
    people: int = 8,
    report: Callable[[CrowdScene], None] = lambda _: None,
) -> Path:
    """Writes the frames of moving crowds to `out/images/000001/` and on, and the truth about all to `out/crowds.json`.

    The file is COCO's with additions: `videos`, each with its `file_name`; `video_id` and `frame_id` (from 0) of each
    image; and `track_id` of each person, the same through their clip.

    Args:
        out: Folder to write to; made where it is missing.
        clips: How many clips.
        frames: How many frames each.
        seed: Whatever is random follows from it and a clip's number: the same seed gives the same files.
        size_wh: Width and height in pixels; 640x480 where None.
        people: How many people each clip has.
        report: Told of each frame once it is written.

    Returns:
        The path of the COCO file.

    Raises:
        RSGNetError: An argument is out of range.
    """
    if clips < 1 or frames < 1 or seed < 0:
        raise RSGNetError(
            f"moving crowds need 1 clip, 1 frame and a seed of 0 or more, not {clips}, {frames} and {seed}"
        )
    merged: dict[str, Any] = {"videos": [], "images": [], "annotations": [], "categories": []}
    for clip in range(1, clips + 1):
        merged["videos"].append({"id": clip, "file_name": clip_name(clip)})
        clip_seed = int(np.random.default_rng((seed, clip)).integers(2**31))
        for frame, scene in enumerate(moving_crowd(clip_seed, frames, size_wh or (640, 480), people)):
            name = f"{clip:06d}/{frame:06d}.png"
            with replacing(out / "images" / name) as beside:
                Image.fromarray(scene.image).save(beside)
            _tell_who(scene, clip, frame)
            add_scene(merged, scene, len(merged["images"]) + 1, name)
            report(scene)
    write_text(out / CROWDS_FILE, json.dumps(merged))
    return out / CROWDS_FILE


def clip_name(clip: int) -> str:
    """What the truth calls a clip's file."""
    return f"{clip:06d}.mp4"


def _tell_who(scene: CrowdScene, clip: int, frame: int) -> None:
    """Adds to a scene's annotations what is known of it as a frame of a clip."""
    scene.annotations["images"][0].update(video_id=clip, frame_id=frame)
    for truth in scene.annotations["annotations"]:
        truth["track_id"] = truth["id"]
