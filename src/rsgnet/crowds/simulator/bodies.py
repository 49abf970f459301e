"""Bodies of simulated people: joint angles, and the keypoints in three dimensions that follow from them.

Points are in metres, in the world coordinates of `canvas`. `outfits` gives bodies their surface.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rsgnet.geometry import Floats

# The proportions of a person of 1.72 m, in metres.
THIGH, SHIN, ANKLE_HEIGHT = 0.43, 0.42, 0.08
HIP_HALF, SHOULDER_HALF = 0.09, 0.17
SPINE, SHOULDER_RISE = 0.50, 0.455
UPPER_ARM, FOREARM = 0.285, 0.25
NECK = 0.185  # from the top of the spine to the centre of the head

# Offsets (left, up, forward) from the centre of the head, in metres.
_FACE_OFFSETS = {
    "nose": (0.0, -0.016, 0.104),
    "left_eye": (0.033, 0.024, 0.074),
    "right_eye": (-0.033, 0.024, 0.074),
    "left_ear": (0.083, 0.0, -0.008),
    "right_ear": (-0.083, 0.0, -0.008),
}

# Ranges of joint angles in degrees, in the order of the attributes of `Arm` and of `Leg`.
_Range = tuple[float, float]
_ARM_RANGES: dict[str, tuple[_Range, _Range, _Range, _Range]] = {
    "hanging": ((-12, 14), (4, 14), (6, 32), (-12, 4)),
    "swung back": ((-30, -14), (4, 12), (12, 34), (-12, 4)),
    "swung forward": ((14, 30), (4, 12), (16, 44), (-12, 4)),
    "gesturing": ((15, 55), (2, 24), (55, 125), (-12, 4)),
    "on the hip": ((-22, -8), (38, 48), (14, 24), (-92, -76)),
    "up": ((-12, 25), (115, 165), (-25, 5), (0, 45)),
    "in the lap": ((18, 42), (4, 14), (20, 65), (-12, 4)),
}
_LEG_RANGES: dict[str, tuple[_Range, _Range, _Range]] = {
    "standing": ((-4, 8), (1, 7), (0, 10)),
    "stepping": ((14, 28), (1, 3), (2, 10)),
    "trailing": ((-22, -11), (1, 3), (14, 34)),
    "seated": ((78, 88), (4, 14), (70, 95)),
}
# The two arms, the two legs in the same order of sides, and the range of the torso's lean.
_STANCES: tuple[tuple[tuple[str, str], tuple[str, str], _Range], ...] = (
    (("hanging", "hanging"), ("standing", "standing"), (-2, 8)),
    (("swung back", "swung forward"), ("stepping", "trailing"), (2, 8)),
    (("gesturing", "hanging"), ("standing", "standing"), (-2, 8)),
    (("gesturing", "on the hip"), ("standing", "standing"), (-2, 8)),
    (("up", "up"), ("standing", "standing"), (-2, 8)),
    (("up", "hanging"), ("standing", "standing"), (-2, 8)),
    (("in the lap", "in the lap"), ("seated", "seated"), (-4, 14)),
)
_STANCE_PROBABILITIES = (0.28, 0.27, 0.11, 0.08, 0.08, 0.06, 0.12)


@dataclass(frozen=True)
class Arm:
    """The joint angles of one arm in degrees; with all at 0 it hangs straight down.

    Attributes:
        raise_deg: How far the upper arm is raised forwards.
        spread: How far the upper arm is spread to the side.
        bend: How far the elbow is bent.
        turn: How far the forearm is spread further; a negative angle brings the hand inwards.
    """

    raise_deg: float = 0.0
    spread: float = 8.0
    bend: float = 10.0
    turn: float = 0.0


@dataclass(frozen=True)
class Leg:
    """The joint angles of one leg in degrees; with all at 0 it is straight.

    Attributes:
        swing: How far the thigh is swung forwards.
        spread: How far the leg is spread to the side.
        bend: How far the knee is bent.
    """

    swing: float = 0.0
    spread: float = 3.0
    bend: float = 3.0


@dataclass(frozen=True)
class Stance:
    """The joint angles of a body in degrees.

    Attributes:
        facing: The direction it faces: 0 to the camera, 90 to the right of the image, 180 away.
        lean: How far the torso leans forwards.
        sway: How far the torso leans to its left.
        look: How far the head is turned to its left.
        nod: How far the head leans forwards.
        left_arm, right_arm: The arms.
        left_leg, right_leg: The legs.
        seated: Whether it sits, on a stool that is drawn with it.
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
        points: (3,) world points of the COCO17 keypoints and of `pelvis`, `neck`, `head` (its centre) and both toes.
        torso_axes: (3, 3) unit vectors left, up and forward of the torso, in rows.
        head_axes: (3, 3) the same of the head.
        size: Size relative to a person of 1.72 m.
        head_size: Size of the head relative to the rest of the body.
        seated: Whether it sits.
    """

    points: dict[str, Floats]
    torso_axes: Floats
    head_axes: Floats
    size: float
    head_size: float
    seated: bool


def pose_body(stance: Stance, ground_xz: tuple[float, float], size: float = 1.0, head_size: float = 1.0) -> Body:
    """Poses a body.

    Args:
        stance: Its joint angles.
        ground_xz: Where it stands, x and z in metres.
        size: Size relative to a person of 1.72 m.
        head_size: Size of the head relative to the rest of the body.
    """
    hips = _compute_axes(stance.facing, 0.0, 0.0)
    torso = _compute_axes(stance.facing, stance.lean, stance.sway)
    head = _compute_axes(stance.facing + stance.look, stance.lean + stance.nod, stance.sway * 0.5)
    pelvis = np.zeros(3)
    points = {"pelvis": pelvis, "neck": pelvis + SPINE * torso[1]}
    for side, sign, arm, leg in (
        ("left", 1, stance.left_arm, stance.left_leg),
        ("right", -1, stance.right_arm, stance.right_leg),
    ):
        hip = pelvis + sign * HIP_HALF * hips[0]
        knee = hip + THIGH * _compute_direction(hips, sign, leg.swing, leg.spread)
        ankle = knee + SHIN * _compute_direction(hips, sign, leg.swing - leg.bend, leg.spread)
        shoulder = pelvis + sign * SHOULDER_HALF * torso[0] + SHOULDER_RISE * torso[1]
        elbow = shoulder + UPPER_ARM * _compute_direction(torso, sign, arm.raise_deg, arm.spread)
        wrist = elbow + FOREARM * _compute_direction(torso, sign, arm.raise_deg + arm.bend, arm.spread + arm.turn)
        toe = ankle + 0.17 * _compute_direction(hips, sign, 90 + min(leg.swing - leg.bend, 0) * 0.9, 8) - [0, 0.04, 0]
        leg_points = {"hip": hip, "knee": knee, "ankle": ankle, "toe": toe}
        arm_points = {"shoulder": shoulder, "elbow": elbow, "wrist": wrist}
        points |= {f"{side}_{name}": point for name, point in (leg_points | arm_points).items()}
    points["head"] = points["neck"] + NECK * head_size**0.5 * (0.6 * torso[1] + 0.4 * head[1])
    points |= {name: points["head"] + head_size * np.array(offset) @ head for name, offset in _FACE_OFFSETS.items()}
    lowest = min(points["left_ankle"][1], points["right_ankle"][1]) - ANKLE_HEIGHT
    shift = np.array([ground_xz[0], -lowest * size, ground_xz[1]])
    return Body(
        {name: size * point + shift for name, point in points.items()}, torso, head, size, head_size, stance.seated
    )


def sample_stance(random: np.random.Generator) -> Stance:
    """Samples a random stance: standing, walking, gesturing, arms up or seated; mirrored with a probability of 0.5."""
    arms, legs, lean = _STANCES[int(random.choice(len(_STANCES), p=_STANCE_PROBABILITIES))]
    first, second = (Arm(*(float(random.uniform(*limits)) for limits in _ARM_RANGES[name])) for name in arms)
    stepping, other = (Leg(*(float(random.uniform(*limits)) for limits in _LEG_RANGES[name])) for name in legs)
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


def _compute_axes(facing: float, lean: float, sway: float) -> Floats:
    """Returns (3, 3) the unit vectors left, up and forward of a part that is turned, leant forwards and swayed left."""
    turn, tilt, roll = np.deg2rad([facing, lean, sway])
    left = np.array([np.cos(turn), 0, np.sin(turn)])
    forward = np.array([np.sin(turn), 0, -np.cos(turn)])
    up = np.array([0.0, 1.0, 0.0])
    up, forward = np.cos(tilt) * up + np.sin(tilt) * forward, np.cos(tilt) * forward - np.sin(tilt) * up
    left, up = np.cos(roll) * left - np.sin(roll) * up, np.cos(roll) * up + np.sin(roll) * left
    return np.stack([left, up, forward])


def _compute_direction(axes: Floats, sign: int, forwards: float, outwards: float) -> Floats:
    """Returns (3,) the downward unit vector swung forwards, and outwards to the left (sign 1) or right (-1)."""
    swing, spread = np.deg2rad([forwards, outwards])
    left, up, forward = axes
    direction: Floats = sign * np.sin(spread) * left + np.cos(spread) * (np.sin(swing) * forward - np.cos(swing) * up)
    return direction
