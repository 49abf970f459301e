"""How made-up people walk: a gait, straight ways that cross in view, and where everyone is at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rsgnet.data.bodies import Arm, Body, Leg, Stance, pose, random_stance
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
