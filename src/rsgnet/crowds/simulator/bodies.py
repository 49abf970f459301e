"""Made-up people: how they stand, what they wear, and where their keypoints then are.

A body is built from joint angles in metres, in `canvas`'s world; `tubes` clothes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rsgnet.geometry import Floats

# Metres, of a person 1.72 m tall.
THIGH, SHIN, ANKLE_HEIGHT = 0.43, 0.42, 0.08
HIP_HALF, SHOULDER_HALF = 0.09, 0.17
SPINE, SHOULDER_RISE = 0.50, 0.455
UPPER_ARM, FOREARM = 0.285, 0.25
NECK = 0.185  # from the spine's top to the head's centre

# (left, up, forward) from the head's centre.
_FACE = {
    "nose": (0.0, -0.016, 0.104),
    "left_eye": (0.033, 0.024, 0.074),
    "right_eye": (-0.033, 0.024, 0.074),
    "left_ear": (0.083, 0.0, -0.008),
    "right_ear": (-0.083, 0.0, -0.008),
}

# Ranges of joint angles in degrees: of an `Arm` raise, spread, bend, turn, of a `Leg` swing, spread, bend.
_Span = tuple[float, float]
_ARMS: dict[str, tuple[_Span, _Span, _Span, _Span]] = {
    "hanging": ((-12, 14), (4, 14), (6, 32), (-12, 4)),
    "swung back": ((-30, -14), (4, 12), (12, 34), (-12, 4)),
    "swung forward": ((14, 30), (4, 12), (16, 44), (-12, 4)),
    "gesturing": ((15, 55), (2, 24), (55, 125), (-12, 4)),
    "on the hip": ((-22, -8), (38, 48), (14, 24), (-92, -76)),
    "up": ((-12, 25), (115, 165), (-25, 5), (0, 45)),
    "in the lap": ((18, 42), (4, 14), (20, 65), (-12, 4)),
}
_LEGS: dict[str, tuple[_Span, _Span, _Span]] = {
    "standing": ((-4, 8), (1, 7), (0, 10)),
    "stepping": ((14, 28), (1, 3), (2, 10)),
    "trailing": ((-22, -11), (1, 3), (14, 34)),
    "seated": ((78, 88), (4, 14), (70, 95)),
}
# Two arms, two legs of the same order of sides, and the range of the torso's lean.
_STANCES: tuple[tuple[tuple[str, str], tuple[str, str], _Span], ...] = (
    (("hanging", "hanging"), ("standing", "standing"), (-2, 8)),
    (("swung back", "swung forward"), ("stepping", "trailing"), (2, 8)),
    (("gesturing", "hanging"), ("standing", "standing"), (-2, 8)),
    (("gesturing", "on the hip"), ("standing", "standing"), (-2, 8)),
    (("up", "up"), ("standing", "standing"), (-2, 8)),
    (("up", "hanging"), ("standing", "standing"), (-2, 8)),
    (("in the lap", "in the lap"), ("seated", "seated"), (-4, 14)),
)
_STANCE_SHARES = (0.28, 0.27, 0.11, 0.08, 0.08, 0.06, 0.12)


@dataclass(frozen=True)
class Arm:
    """Joint angles of one arm in degrees; all 0 hangs straight down.

    Attributes:
        raise_deg: The upper arm forwards and up.
        spread: The upper arm out to the side.
        bend: The elbow.
        turn: The forearm further out to the side; negative brings the hand inwards.
    """

    raise_deg: float = 0.0
    spread: float = 8.0
    bend: float = 10.0
    turn: float = 0.0


@dataclass(frozen=True)
class Leg:
    """Joint angles of one leg in degrees; all 0 stands straight.

    Attributes:
        swing: The thigh forwards.
        spread: The leg out to the side.
        bend: The knee.
    """

    swing: float = 0.0
    spread: float = 3.0
    bend: float = 3.0


@dataclass(frozen=True)
class Stance:
    """The joint angles of a body in degrees.

    Attributes:
        facing: Which way it faces: 0 to the camera, 90 to the image's right, 180 away.
        lean: The torso forwards.
        sway: The torso to its left.
        look: The head to its left.
        nod: The head forwards.
        left_arm: As named.
        right_arm: As named.
        left_leg: As named.
        right_leg: As named.
        seated: Whether it sits, on a stool that is drawn too.
    """

    facing: float = 0.0
    lean: float = 2.0
    sway: float = 0.0
    look: float = 0.0
    nod: float = 4.0
    left_arm: Arm = field(default_factory=Arm)
    right_arm: Arm = field(default_factory=Arm)
    left_leg: Leg = field(default_factory=Leg)
    right_leg: Leg = field(default_factory=Leg)
    seated: bool = False


@dataclass(frozen=True, eq=False)
class Body:
    """A posed body.

    Attributes:
        points: (3,) world points of the COCO17 keypoints, and of `pelvis`, `neck`, `head` (its centre) and the toes.
        torso_axes: (3, 3) rows left, up and forward of the torso.
        head_axes: (3, 3) the same of the head.
        size: Its size over that of a person of 1.72 m.
        head_size: The head's.
        seated: Whether it sits.
    """

    points: dict[str, Floats]
    torso_axes: Floats
    head_axes: Floats
    size: float
    head_size: float
    seated: bool


def pose(stance: Stance, ground_xz: tuple[float, float], size: float = 1.0, head_size: float = 1.0) -> Body:
    """Puts a body of that size, in that stance, on that place of the ground."""
    hips = _axes(stance.facing, 0.0, 0.0)
    torso = _axes(stance.facing, stance.lean, stance.sway)
    head = _axes(stance.facing + stance.look, stance.lean + stance.nod, stance.sway * 0.5)
    pelvis = np.zeros(3)
    points = {"pelvis": pelvis, "neck": pelvis + SPINE * torso[1]}
    for side, sign, arm, leg in (
        ("left", 1, stance.left_arm, stance.left_leg),
        ("right", -1, stance.right_arm, stance.right_leg),
    ):
        hip = pelvis + sign * HIP_HALF * hips[0]
        knee = hip + THIGH * _direction(hips, sign, leg.swing, leg.spread)
        ankle = knee + SHIN * _direction(hips, sign, leg.swing - leg.bend, leg.spread)
        shoulder = pelvis + sign * SHOULDER_HALF * torso[0] + SHOULDER_RISE * torso[1]
        elbow = shoulder + UPPER_ARM * _direction(torso, sign, arm.raise_deg, arm.spread)
        wrist = elbow + FOREARM * _direction(torso, sign, arm.raise_deg + arm.bend, arm.spread + arm.turn)
        toe = ankle + 0.17 * _direction(hips, sign, 90 + min(leg.swing - leg.bend, 0) * 0.9, 8) - [0, 0.04, 0]
        limbs = {
            "hip": hip,
            "knee": knee,
            "ankle": ankle,
            "toe": toe,
            "shoulder": shoulder,
            "elbow": elbow,
            "wrist": wrist,
        }
        points |= {f"{side}_{name}": point for name, point in limbs.items()}
    points["head"] = points["neck"] + NECK * head_size**0.5 * (0.6 * torso[1] + 0.4 * head[1])
    points |= {name: points["head"] + head_size * np.array(offset) @ head for name, offset in _FACE.items()}
    lowest = min(points["left_ankle"][1], points["right_ankle"][1]) - ANKLE_HEIGHT
    shift = np.array([ground_xz[0], -lowest * size, ground_xz[1]])
    return Body(
        {name: size * point + shift for name, point in points.items()}, torso, head, size, head_size, stance.seated
    )


def random_stance(random: np.random.Generator) -> Stance:
    """Standing, walking, gesturing, arms up or sitting, its angles drawn at random; mirrored half of the time."""
    arms, legs, lean = _STANCES[int(random.choice(len(_STANCES), p=_STANCE_SHARES))]
    first, second = (Arm(*(float(random.uniform(*span)) for span in _ARMS[name])) for name in arms)
    stepping, other = (Leg(*(float(random.uniform(*span)) for span in _LEGS[name])) for name in legs)
    if random.uniform() < 0.5:
        first, second, stepping, other = second, first, other, stepping
    return Stance(
        facing=float(random.choice((0.0, 180.0), p=(0.68, 0.32)) + random.normal(0, 45)),
        lean=float(random.uniform(*lean)),
        sway=float(random.uniform(-4, 4)),
        look=float(random.normal(0, 18)),
        nod=float(random.uniform(-4, 14)),
        left_arm=first,
        right_arm=second,
        left_leg=stepping,
        right_leg=other,
        seated=legs[0] == "seated",
    )


def _axes(facing: float, lean: float, sway: float) -> Floats:
    """(3, 3) rows left, up and forward of something turned, then leant forwards and swayed to its left; degrees."""
    turn, tilt, roll = np.deg2rad([facing, lean, sway])
    left = np.array([np.cos(turn), 0, np.sin(turn)])
    forward = np.array([np.sin(turn), 0, -np.cos(turn)])
    up = np.array([0.0, 1.0, 0.0])
    up, forward = np.cos(tilt) * up + np.sin(tilt) * forward, np.cos(tilt) * forward - np.sin(tilt) * up
    left, up = np.cos(roll) * left - np.sin(roll) * up, np.cos(roll) * up + np.sin(roll) * left
    return np.stack([left, up, forward])


def _direction(axes: Floats, sign: int, forwards: float, outwards: float) -> Floats:
    """(3,) unit vector that points down, then swung forwards and out to the left (sign 1) or right (-1); degrees."""
    swing, spread = np.deg2rad([forwards, outwards])
    left, up, forward = axes
    direction: Floats = sign * np.sin(spread) * left + np.cos(spread) * (np.sin(swing) * forward - np.cos(swing) * up)
    return direction
