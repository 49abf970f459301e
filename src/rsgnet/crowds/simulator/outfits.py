"""The appearance of simulated people: skin, hair and clothes, as tubes about a body."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rsgnet.crowds.simulator.bodies import Body
from rsgnet.crowds.simulator.canvas import Colour, Tube
from rsgnet.geometry import Floats

_Segment = tuple[Floats, Floats, tuple[float, ...], Colour]  # start, end, radii and colour of a tube

_SKINS = ((0.96, 0.80, 0.69), (0.90, 0.70, 0.56), (0.78, 0.57, 0.42), (0.60, 0.41, 0.29), (0.42, 0.28, 0.20))
_HAIRS = ((0.10, 0.08, 0.07), (0.24, 0.15, 0.09), (0.42, 0.27, 0.14), (0.76, 0.58, 0.30), (0.60, 0.58, 0.56))
_HAIR_CUTS = ("short", "short", "short", "long", "long", "bun", "cap", "bald")
_TROUSERS = ((0.16, 0.20, 0.32), (0.24, 0.32, 0.48), (0.14, 0.14, 0.16), (0.55, 0.47, 0.36), (0.36, 0.38, 0.40))
_SHOES = ((0.12, 0.11, 0.12), (0.88, 0.87, 0.84), (0.38, 0.24, 0.16), (0.70, 0.22, 0.20))


@dataclass(frozen=True)
class Outfit:
    """The appearance of one person. All colours are RGB in 0..1.

    Attributes:
        skin: Colour of the skin.
        hair: Colour of the hair.
        hair_cut: "short", "long", "bun", "cap" or "bald".
        top: Colour of the upper garment.
        second: Colour of its bands, of the cap and of the backpack.
        bands: The number of bands across the upper garment.
        sleeves: "long", "short" or "none".
        bottom: Colour of the lower garment.
        legwear: "trousers", "shorts" or "skirt".
        shoes: Colour of the shoes.
        backpack: Whether a backpack is worn.
        build: Breadth relative to an average body.
    """

    skin: Colour
    hair: Colour
    hair_cut: str
    top: Colour
    second: Colour
    bands: int
    sleeves: str
    bottom: Colour
    legwear: str
    shoes: Colour
    backpack: bool
    build: float


def sample_outfit(random: np.random.Generator, is_child: bool = False) -> Outfit:
    """Samples a random outfit; children are neither grey-haired nor bald."""
    hairs, cuts = (_HAIRS[:-1], ("short", "long", "bun", "cap")) if is_child else (_HAIRS, _HAIR_CUTS)

    def choose(colours: tuple[Colour, ...]) -> Colour:
        return colours[int(random.integers(len(colours)))]

    def sample_cloth_colour() -> Colour:
        return colorsys.hsv_to_rgb(random.uniform(), random.uniform(0.15, 0.75), random.uniform(0.45, 0.95))

    return Outfit(
        skin=choose(_SKINS),
        hair=choose(hairs),
        hair_cut=str(random.choice(cuts)),
        top=sample_cloth_colour(),
        second=sample_cloth_colour(),
        bands=int(random.choice((0, 4, 6), p=(0.72, 0.16, 0.12))),
        sleeves=str(random.choice(("long", "short", "none"), p=(0.45, 0.45, 0.1))),
        bottom=choose(_TROUSERS) if random.uniform() < 0.75 else sample_cloth_colour(),
        legwear=str(random.choice(("trousers", "shorts", "skirt"), p=(0.66, 0.2, 0.14))),
        shoes=choose(_SHOES),
        backpack=bool(random.uniform() < 0.2),
        build=float(random.uniform(0.9, 1.16)),
    )


def dress_body(body: Body, outfit: Outfit) -> list[Tube]:
    """Returns the tubes of a dressed body."""
    tubes = [*_build_torso(body, outfit), *_build_head(body, outfit)]
    for side in ("left", "right"):
        tubes += [*_build_arm(body, outfit, side), *_build_leg(body, outfit, side)]
    return tubes


def build_stool(body: Body) -> list[Tube]:
    """Returns the tubes of the stool of a seated body, which belongs to no person but can hide them."""
    seat = body.points["pelvis"] - [0, 0.15 * body.size, 0]
    wood, steel = (0.50, 0.36, 0.24), (0.30, 0.31, 0.33)
    rim = np.array([0.13 * body.size, 0, 0])
    ground = np.array([seat[0], 0.02, seat[2]])
    return [Tube(seat - rim, seat + rim, (0.035,), wood, flatness=4), Tube(seat, ground, (0.025, 0.025, 0.06), steel)]


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (first + share * (second - first) for first, second in zip(colour, other, strict=True))
    return red, green, blue


def _scale(radii: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(radius * factor for radius in radii)


def _build_torso(body: Body, outfit: Outfit) -> list[Tube]:
    left, up, forward = body.torso_axes
    neck, pelvis, size = body.points["neck"], body.points["pelvis"], body.size
    # A torso is broader than deep, so its visible width depends on how it is turned to the camera.
    breadth, depth = np.hypot(left[0], left[1] * 0.3), abs(forward[0])
    width = size * (float(np.hypot(breadth, 0.66 * depth)) * outfit.build)
    flatness = float(np.hypot(0.66 * breadth, depth)) / max(float(np.hypot(breadth, 0.66 * depth)), 0.5)
    top_radii = _scale((0.085, 0.158, 0.174, 0.172, 0.164, 0.154, 0.146, 0.142, 0.148, 0.160, 0.170), width)
    top_ends = neck - 0.045 * size * up, pelvis - 0.06 * size * up
    hips_end = pelvis - 0.09 * size * up
    tubes = [
        Tube(*top_ends, top_radii, outfit.top, flatness, blunt=4, bands=outfit.bands, second_colour=outfit.second),
        Tube(pelvis, hips_end, _scale((0.12, 0.152), width), outfit.bottom, flatness, blunt=2),
        Tube(neck - 0.05 * size * up, body.points["head"], _scale((0.062, 0.05, 0.05), size), outfit.skin),
    ]
    if outfit.backpack:
        start = neck - size * (0.15 * forward + 0.1 * up)
        tubes.append(Tube(start, start - 0.24 * size * up, _scale((0.105, 0.13, 0.13), size), outfit.second))
    return tubes


def _build_arm(body: Body, outfit: Outfit, side: str) -> list[Tube]:
    shoulder, elbow, wrist = (body.points[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
    hand = wrist + (wrist - elbow) * 0.24
    width = body.size * outfit.build
    tubes = [
        Tube(shoulder, elbow, _scale((0.055, 0.050, 0.043), width), outfit.skin),
        Tube(elbow, wrist, _scale((0.043, 0.041, 0.030), width), outfit.skin),
        Tube(wrist, hand, _scale((0.031, 0.041, 0.030), body.size), outfit.skin),
    ]
    if outfit.sleeves != "none":
        end = elbow if outfit.sleeves == "long" else shoulder + 0.62 * (elbow - shoulder)
        tubes.append(Tube(shoulder, end, _scale((0.060, 0.060, 0.057), width), outfit.top, blunt=1.6))
    if outfit.sleeves == "long":
        end = elbow + 0.92 * (wrist - elbow)
        tubes.append(Tube(elbow, end, _scale((0.056, 0.050, 0.042), width), outfit.top, blunt=1.6))
    return tubes


def _build_leg(body: Body, outfit: Outfit, side: str) -> list[Tube]:
    hip, knee, ankle, toe = (body.points[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "toe"))
    top = hip + 0.14 * (knee - hip)  # below the hem of the upper garment, so that no legwear covers it
    heel = ankle - [0, 0.035 * body.size, 0]
    width = body.size * outfit.build
    shoe = Tube(heel, toe, _scale((0.045, 0.046, 0.038), body.size), outfit.shoes)
    if outfit.legwear == "trousers":
        return [
            Tube(top, knee, _scale((0.088, 0.090, 0.073), width), outfit.bottom),
            Tube(knee, ankle, _scale((0.073, 0.069, 0.062), width), outfit.bottom, blunt=2),
            shoe,
        ]
    length, radii = (0.80, (0.090, 0.096, 0.092)) if outfit.legwear == "shorts" else (0.86, (0.090, 0.108, 0.125))
    return [
        Tube(top, hip + length * (knee - hip), _scale(radii, width), outfit.bottom, blunt=4),
        Tube((hip + knee) / 2, knee, _scale((0.078, 0.068, 0.058), width), outfit.skin),
        Tube(knee, ankle, _scale((0.056, 0.059, 0.048, 0.038), width), outfit.skin),
        shoe,
    ]


def _build_head(body: Body, outfit: Outfit) -> list[Tube]:
    points, axes = body.points, body.head_axes
    size = body.size * body.head_size

    def point_at(left: float, up: float, forward: float) -> Floats:
        point: Floats = points["head"] + size * np.array([left, up, forward]) @ axes
        return point

    def make_tube(start: Floats, end: Floats, radii: tuple[float, ...], colour: Colour) -> Tube:
        return Tube(start, end, _scale(radii, size), colour)

    lips, brows = _mix(outfit.skin, (0.62, 0.22, 0.22), 0.45), _mix(outfit.hair, (0.0, 0.0, 0.0), 0.65)
    tubes = [
        make_tube(point_at(0, -0.060, 0.018), point_at(0, 0.040, 0.0), (0.060, 0.074, 0.082, 0.084), outfit.skin),
        make_tube(point_at(0, 0.018, 0.082), points["nose"], (0.010, 0.017), outfit.skin),
        make_tube(point_at(-0.020, -0.062, 0.074), point_at(0.020, -0.062, 0.074), (0.007,), lips),
    ]
    for side, sign in (("left", 1), ("right", -1)):
        eye, ear = points[f"{side}_eye"], points[f"{side}_ear"]
        forward = size * axes[2]
        tubes += [
            make_tube(ear, ear, (0.022,), outfit.skin),
            make_tube(eye, eye, (0.016,), (0.97, 0.96, 0.94)),
            make_tube(eye + 0.010 * forward, eye + 0.010 * forward, (0.0095,), (0.12, 0.09, 0.08)),
            make_tube(point_at(sign * 0.018, 0.054, 0.074), point_at(sign * 0.048, 0.052, 0.064), (0.005,), brows),
        ]
    return tubes + [
        make_tube(*segment) for segment in _build_hair(outfit.hair_cut, outfit.hair, outfit.second, point_at)
    ]


def _build_hair(
    cut: str, hair: Colour, cap: Colour, point_at: Callable[[float, float, float], Floats]
) -> list[_Segment]:
    """Returns the hair and the cap of a head; `point_at` gives points by left, up and forward of its centre."""
    if cut == "bald":
        return []
    crown = point_at(0, 0.035, -0.022), point_at(0, 0.060, -0.014), (0.088, 0.086)
    back = point_at(0, -0.030, -0.030), point_at(0, 0.040, -0.020), (0.072, 0.088)
    if cut == "cap":
        peak = point_at(-0.042, 0.060, 0.092), point_at(0.042, 0.060, 0.092), (0.013,)
        nape = point_at(0, -0.01, -0.03), point_at(0, 0.03, -0.02), (0.078, 0.086)
        return [(*crown, cap), (*peak, cap), (*nape, hair)]
    extra: list[_Segment] = []
    if cut == "long":
        radii = (0.045, 0.050, 0.035)
        extra = [(point_at(x, 0.02, -0.03), point_at(1.1 * x, -0.20, -0.05), radii, hair) for x in (-0.05, 0.05)]
    elif cut == "bun":
        extra = [(point_at(0, 0.10, -0.075), point_at(0, 0.11, -0.085), (0.042,), hair)]
    return [(*crown, hair), (*back, hair), *extra]
