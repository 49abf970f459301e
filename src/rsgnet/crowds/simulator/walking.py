"""How made-up people walk: a gait, straight ways that cross in view, and where everyone is at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rsgnet.crowds.data_sets import CROWDS_FILE, add_scene
from rsgnet.crowds.scenes import CrowdScene
from rsgnet.crowds.simulator.bodies import Arm, Body, Leg, Stance, pose, random_stance
from rsgnet.crowds.simulator.crowd import GROWN, check_crowd, draw_crowd, empty_place, random_camera
from rsgnet.crowds.simulator.wardrobe import random_outfit
from rsgnet.errors import RSGNetError
from rsgnet.files import replacing, write_text
from rsgnet.geometry import Floats

_STRIDE = 1.4  # metres of two steps, of a 1.72 m person
_STANDING = 0.2  # the share of people who stay where they are
_DEPTHS = (3.8, 9.0)  # metres
_ROOM, _TRIES = 0.45, 40  # metres that people keep apart, if that many tries find a way


@dataclass(frozen=True, eq=False)
class Walker:
    """One person of a moving crowd.

    Attributes:
        start_xz: (2,) metres to the right and away, at time 0.
        velocity_xz: (2,) metres a second; 0 of who stands.
        phase: Of the stride at time 0, in 0..1.
        stance: Where the head looks; of who stands, all of it.
        size: Over that of a person of 1.72 m.
        head_size: The head's.
    """

    start_xz: Floats
    velocity_xz: Floats
    phase: float
    stance: Stance
    size: float
    head_size: float

    def place(self, time_s: float) -> Floats:
        """(2,) where the walker is."""
        place: Floats = self.start_xz + self.velocity_xz * time_s
        return place

    def body(self, time_s: float) -> Body:
        """The walker's body at a time in seconds."""
        x, z = self.place(time_s).tolist()
        speed = float(np.hypot(*self.velocity_xz))
        stance = stride(self.stance, self.phase + speed * time_s / (_STRIDE * self.size)) if speed else self.stance
        return pose(stance, (x, z), self.size, self.head_size)


def stride(stance: Stance, phase: float) -> Stance:
    """A stance with the arms and legs of somebody who walks.

    Args:
        stance: Facing, head and torso are kept.
        phase: Of the stride: at 0.25 the left leg is foremost, at 0.75 the right one; whole numbers are alike.
    """
    angles = 2 * np.pi * (phase + np.array([0.0, 0.5]))
    left, right = (
        Leg(swing=24 * sin, spread=2, bend=8 + 6 * (1 - sin) + 36 * max(cos, 0.0) ** 2)
        for sin, cos in zip(np.sin(angles).tolist(), np.cos(angles).tolist(), strict=True)
    )
    arms = (Arm(raise_deg=-0.9 * leg.swing, spread=7, bend=22 - 0.4 * leg.swing, turn=-4) for leg in (left, right))
    left_arm, right_arm = arms
    return replace(stance, left_arm=left_arm, right_arm=right_arm, left_leg=left, right_leg=right, seated=False)


def random_walkers(random: np.random.Generator, count: int, seconds: float, spread: float) -> list[Walker]:
    """People whose ways cross before the camera, most of them from side to side, nobody through another.

    Args:
        random: What is random follows from it.
        count: How many.
        seconds: How long they walk; each is in the middle of the view at some time of it.
        spread: Metres to either side, a metre away from the camera, that are in view.
    """
    walkers: list[Walker] = []
    room, tries = _ROOM, 0
    while len(walkers) < count:
        walker = _random_walker(random, seconds, spread)
        tries += 1
        if tries % _TRIES == 0:
            room *= 0.8  # where there is no room left, people pass closer
        if all(_nearest(walker, other, seconds) > room for other in walkers):
            walkers.append(walker)
    return walkers


def _random_walker(random: np.random.Generator, seconds: float, spread: float) -> Walker:
    child = random.uniform() < 0.12
    size = float(random.uniform(0.66, 0.8) if child else random.normal(1.0, 0.045))
    depth = float(random.uniform(*_DEPTHS))
    crossing = np.array([random.uniform(-0.6, 0.6) * spread * depth, depth])
    stance = random_stance(random)
    velocity = np.zeros(2)
    if random.uniform() >= _STANDING or stance.seated:
        heading = float(random.choice((90.0, -90.0)) + random.normal(0, 14))
        turn = np.deg2rad(heading)
        velocity = random.uniform(0.8, 1.7) * size * np.array([np.sin(turn), -np.cos(turn)])
        stance = replace(stance, facing=heading, lean=float(random.uniform(2, 7)), seated=False)
    when = float(random.uniform(0.15, 0.85)) * seconds
    return Walker(crossing - velocity * when, velocity, float(random.uniform()), stance, size, 1.18 if child else 1.0)


def _nearest(one: Walker, other: Walker, seconds: float) -> float:
    """How near two walkers come, in metres."""
    apart, drift = one.start_xz - other.start_xz, one.velocity_xz - other.velocity_xz
    when = np.clip(-float(apart @ drift) / max(float(drift @ drift), 1e-9), 0, seconds)
    return float(np.hypot(*(apart + drift * when)))


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
