"""Moving crowds: people who walk along straight paths that cross in view, as frames and as a data set of clips."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsgnet.crowds.data_sets import CROWDS_FILE, save_scene
from rsgnet.crowds.scenes import CrowdScene
from rsgnet.crowds.simulator.bodies import Arm, Body, Leg, Stance, pose_body, sample_stance
from rsgnet.crowds.simulator.crowd import (
    ADULT_SIZE,
    DEFAULT_SIZE_WH,
    check_crowd_arguments,
    draw_crowd,
    draw_supersampled_backdrop,
    sample_camera,
    sample_size,
)
from rsgnet.crowds.simulator.outfits import sample_outfit
from rsgnet.errors import RSGNetError
from rsgnet.files import write_text
from rsgnet.geometry import Floats

FRAME_RATE = 25

_STRIDE_LENGTH = 1.4  # metres of two steps of a 1.72 m person
_STANDING_SHARE = 0.2  # the share of people who stand still
_DEPTH_RANGE = (3.8, 9.0)  # distances from the camera in metres
_MIN_SPACING = 0.45  # metres between two paths at any time
_TRIES_PER_SPACING = 40  # after so many attempts the spacing is reduced


@dataclass(frozen=True, eq=False)
class Walker:
    """One person of a moving crowd.

    Attributes:
        start_xz: (2,) position at time 0: metres to the right and away from the camera.
        velocity_xz: (2,) metres per second; 0 for a person who stands still.
        phase: Phase of the stride at time 0, in 0..1.
        stance: The stance; for a person who walks, arms and legs are replaced by those of the stride.
        size: Size relative to a person of 1.72 m.
        head_size: Size of the head relative to the rest of the body.
    """

    start_xz: Floats
    velocity_xz: Floats
    phase: float
    stance: Stance
    size: float
    head_size: float

    def compute_position_xz(self, time_s: float) -> Floats:
        """Returns (2,) the walker's position at a time in seconds."""
        position: Floats = self.start_xz + self.velocity_xz * time_s
        return position

    def compute_body(self, time_s: float) -> Body:
        """Returns the walker's body at a time in seconds."""
        x, z = self.compute_position_xz(time_s).tolist()
        speed = float(np.hypot(*self.velocity_xz))
        stance = self.stance
        if speed:
            stance = apply_stride(stance, self.phase + speed * time_s / (_STRIDE_LENGTH * self.size))
        return pose_body(stance, (x, z), self.size, self.head_size)


def apply_stride(stance: Stance, phase: float) -> Stance:
    """Returns a stance with the arms and legs of a person who walks.

    Args:
        stance: The stance whose facing, head and torso are kept.
        phase: Phase of the stride, with period 1: at 0.25 the left leg is foremost, at 0.75 the right one.
    """
    angles = 2 * np.pi * (phase + np.array([0.0, 0.5]))
    left, right = (
        Leg(swing=24 * sin, spread=2, bend=8 + 6 * (1 - sin) + 36 * max(cos, 0.0) ** 2)
        for sin, cos in zip(np.sin(angles).tolist(), np.cos(angles).tolist(), strict=True)
    )
    left_arm, right_arm = (
        Arm(raise_deg=-0.9 * leg.swing, spread=7, bend=22 - 0.4 * leg.swing, turn=-4) for leg in (left, right)
    )
    return replace(stance, left_arm=left_arm, right_arm=right_arm, left_leg=left, right_leg=right, seated=False)


def sample_walkers(random: np.random.Generator, count: int, duration_s: float, half_width: float) -> list[Walker]:
    """Samples people whose paths cross before the camera, mostly from side to side, without running into each other.

    Args:
        random: The source of randomness.
        count: The number of people.
        duration_s: The duration of the clip in seconds; each person is near the centre of the view at some time of it.
        half_width: Half the width of the view in metres at a distance of one metre.
    """
    walkers: list[Walker] = []
    spacing, tries = _MIN_SPACING, 0
    while len(walkers) < count:
        walker = _sample_walker(random, duration_s, half_width)
        tries += 1
        if tries % _TRIES_PER_SPACING == 0:
            spacing *= 0.8  # people pass closer where no free path is found
        if all(_compute_closest_distance(walker, other, duration_s) > spacing for other in walkers):
            walkers.append(walker)
    return walkers


def simulate_moving_crowd(
    seed: int, frames: int, size_wh: tuple[int, int] = DEFAULT_SIZE_WH, people: int = 8
) -> Iterator[CrowdScene]:
    """Draws the frames of a clip of simulated people who walk, at 25 frames per second.

    The same arguments give the same bytes. A person has the same annotation id in all frames and is left out of frames
    in which no pixel of them is visible.

    Args:
        seed: The seed of all randomness.
        frames: The number of frames.
        size_wh: Width and height in pixels, each at least 48.
        people: The number of people who walk or stand, up to 200; not all need to be in view at the same time.

    Raises:
        RSGNetError: The size or the number of people is out of range.
    """
    check_crowd_arguments(size_wh, people)
    random = np.random.default_rng(seed)
    camera = sample_camera(random, size_wh)
    backdrop = draw_supersampled_backdrop(random, camera, size_wh)
    walkers = sample_walkers(random, people, frames / FRAME_RATE, size_wh[0] / 2 / camera.focal_px)
    outfits = [sample_outfit(random, is_child=walker.size < ADULT_SIZE) for walker in walkers]
    for frame in range(frames):
        bodies = [walker.compute_body(frame / FRAME_RATE) for walker in walkers]
        yield draw_crowd(backdrop, camera, bodies, outfits, f"crowd_{seed}_{frame:06d}.png")


def write_moving_crowds(
    out: str | Path,
    clips: int,
    frames: int,
    seed: int,
    size_wh: tuple[int, int] | None = None,
    people: int = 8,
    on_scene: Callable[[CrowdScene], None] = lambda _: None,
) -> Path:
    """Writes the frames of moving crowds to `out/images/000001/` and so on, and their labels to `out/crowds.json`.

    The file is a COCO file with these additions: `videos`, each with its `file_name`; `video_id` and `frame_id` (from
    0) for each image; and `track_id` for each person, the same in all frames of a clip.

    Args:
        out: The folder to write to; it is created where it is missing.
        clips: The number of clips.
        frames: The number of frames of each clip.
        seed: The seed of all randomness, together with a clip's number: the same seed gives the same files.
        size_wh: Width and height in pixels; default: 640x480.
        people: The number of people of each clip.
        on_scene: Called with each frame after it is written.

    Returns:
        The path of the COCO file.

    Raises:
        RSGNetError: An argument is out of range.
    """
    out = Path(out)
    if clips < 1 or frames < 1 or seed < 0:
        raise RSGNetError(
            f"moving crowds need 1 clip, 1 frame and a seed of 0 or more, not {clips}, {frames} and {seed}"
        )
    content: dict[str, Any] = {"videos": [], "images": [], "annotations": [], "categories": []}
    for clip in range(1, clips + 1):
        content["videos"].append({"id": clip, "file_name": format_clip_name(clip)})
        clip_seed = int(np.random.default_rng((seed, clip)).integers(2**31))
        for frame, scene in enumerate(simulate_moving_crowd(clip_seed, frames, size_wh or DEFAULT_SIZE_WH, people)):
            scene.annotations["images"][0].update(video_id=clip, frame_id=frame)
            for person in scene.annotations["annotations"]:
                person["track_id"] = person["id"]
            name = f"{clip:06d}/{frame:06d}.png"
            save_scene(scene, out / "images", name, content, image_id=len(content["images"]) + 1)
            on_scene(scene)
    write_text(out / CROWDS_FILE, json.dumps(content))
    return out / CROWDS_FILE


def format_clip_name(clip: int) -> str:
    """Returns the file name that the labels give to the clip of that number."""
    return f"{clip:06d}.mp4"


def _sample_walker(random: np.random.Generator, duration_s: float, half_width: float) -> Walker:
    size, head_size = sample_size(random)
    depth = float(random.uniform(*_DEPTH_RANGE))
    crossing_xz = np.array([random.uniform(-0.6, 0.6) * half_width * depth, depth])
    stance = sample_stance(random)
    velocity_xz = np.zeros(2)
    if random.uniform() >= _STANDING_SHARE or stance.seated:
        heading = float(random.choice((90.0, -90.0)) + random.normal(0, 14))
        turn = np.deg2rad(heading)
        velocity_xz = random.uniform(0.8, 1.7) * size * np.array([np.sin(turn), -np.cos(turn)])
        stance = replace(stance, facing=heading, lean=float(random.uniform(2, 7)), seated=False)
    crossing_time_s = float(random.uniform(0.15, 0.85)) * duration_s
    phase = float(random.uniform())
    return Walker(crossing_xz - velocity_xz * crossing_time_s, velocity_xz, phase, stance, size, head_size)


def _compute_closest_distance(one: Walker, two: Walker, duration_s: float) -> float:
    """Computes the smallest distance between two walkers during the clip, in metres."""
    offset, velocity = one.start_xz - two.start_xz, one.velocity_xz - two.velocity_xz
    time_s = np.clip(-float(offset @ velocity) / max(float(velocity @ velocity), 1e-9), 0, duration_s)
    return float(np.hypot(*(offset + velocity * time_s)))
