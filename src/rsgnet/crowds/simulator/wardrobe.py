"""What made-up people look like: skin, hair and clothes, as tubes about a body."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rsgnet.crowds.simulator.bodies import Body
from rsgnet.crowds.simulator.canvas import Colour, Tube
from rsgnet.geometry import Floats

_Piece = tuple[Floats, Floats, tuple[float, ...], Colour]

_SKINS = ((0.96, 0.80, 0.69), (0.90, 0.70, 0.56), (0.78, 0.57, 0.42), (0.60, 0.41, 0.29), (0.42, 0.28, 0.20))
_HAIRS = ((0.10, 0.08, 0.07), (0.24, 0.15, 0.09), (0.42, 0.27, 0.14), (0.76, 0.58, 0.30), (0.60, 0.58, 0.56))
_CUTS = ("short", "short", "short", "long", "long", "bun", "cap", "bald")
_TROUSERS = ((0.16, 0.20, 0.32), (0.24, 0.32, 0.48), (0.14, 0.14, 0.16), (0.55, 0.47, 0.36), (0.36, 0.38, 0.40))
_SHOES = ((0.12, 0.11, 0.12), (0.88, 0.87, 0.84), (0.38, 0.24, 0.16), (0.70, 0.22, 0.20))


@dataclass(frozen=True)
class Outfit:
    """How one person looks.

    Attributes:
        skin: RGB in 0..1, as all colours here.
        hair: Colour of the hair.
        hair_cut: "short", "long", "bun", "cap" or "bald".
        top: Colour of what is worn above.
        second: Colour of its bands, and of the backpack.
        bands: How many bands cross it.
        sleeves: "long", "short" or "none".
        bottom: Colour of what is worn below.
        legwear: "trousers", "shorts" or "skirt".
        shoes: Their colour.
        backpack: Whether one is worn.
        build: Breadth over that of an average body.
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


def random_outfit(random: np.random.Generator, child: bool = False) -> Outfit:
    """An outfit drawn at random; a child's hair is neither grey nor gone."""
    hairs, cuts = (_HAIRS[:-1], ("short", "long", "bun", "cap")) if child else (_HAIRS, _CUTS)

    def one_of(colours: tuple[Colour, ...]) -> Colour:
        return colours[int(random.integers(len(colours)))]

    def cloth() -> Colour:
        return colorsys.hsv_to_rgb(random.uniform(), random.uniform(0.15, 0.75), random.uniform(0.45, 0.95))

    return Outfit(
        skin=one_of(_SKINS),
        hair=one_of(hairs),
        hair_cut=str(random.choice(cuts)),
        top=cloth(),
        second=cloth(),
        bands=int(random.choice((0, 4, 6), p=(0.72, 0.16, 0.12))),
        sleeves=str(random.choice(("long", "short", "none"), p=(0.45, 0.45, 0.1))),
        bottom=one_of(_TROUSERS) if random.uniform() < 0.75 else cloth(),
        legwear=str(random.choice(("trousers", "shorts", "skirt"), p=(0.66, 0.2, 0.14))),
        shoes=one_of(_SHOES),
        backpack=bool(random.uniform() < 0.2),
        build=float(random.uniform(0.9, 1.16)),
    )


def clothe(body: Body, outfit: Outfit) -> list[Tube]:
    """Everything that is seen of a dressed body."""
    parts = [*_torso(body, outfit), *_head(body, outfit)]
    for side in ("left", "right"):
        parts += [*_arm(body, outfit, side), *_leg(body, outfit, side)]
    return parts


def stool(body: Body) -> list[Tube]:
    """What a seated body sits on: it hides and is hidden, but is nobody's."""
    seat = body.points["pelvis"] - [0, 0.15 * body.size, 0]
    wood, steel = (0.50, 0.36, 0.24), (0.30, 0.31, 0.33)
    rim = np.array([0.13 * body.size, 0, 0])
    ground = np.array([seat[0], 0.02, seat[2]])
    return [Tube(seat - rim, seat + rim, (0.035,), wood, flatness=4), Tube(seat, ground, (0.025, 0.025, 0.06), steel)]


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (first + share * (second - first) for first, second in zip(colour, other, strict=True))
    return red, green, blue


def _scaled(radii: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(radius * factor for radius in radii)


def _part(
    body: Body,
    start: Floats,
    end: Floats,
    radii: tuple[float, ...],
    colour: Colour,
    *,
    build: float = 1.0,
    blunt: float = 1.0,
) -> Tube:
    return Tube(start, end, _scaled(radii, body.size * build), colour, blunt=blunt)


def _torso(body: Body, outfit: Outfit) -> list[Tube]:
    left, up, forward = body.torso_axes
    points, size = body.points, body.size
    # A torso is broader than deep: what is seen of it depends on how it is turned to the camera.
    breadth, depth = np.hypot(left[0], left[1] * 0.3), abs(forward[0])
    across = float(np.hypot(breadth, 0.66 * depth)) * outfit.build
    thick = float(np.hypot(0.66 * breadth, depth)) / max(float(np.hypot(breadth, 0.66 * depth)), 0.5)
    top = Tube(
        points["neck"] - 0.045 * size * up,
        points["pelvis"] - 0.06 * size * up,
        _scaled((0.085, 0.158, 0.174, 0.172, 0.164, 0.154, 0.146, 0.142, 0.148, 0.160, 0.170), size * across),
        outfit.top,
        thick,
        blunt=4,
        bands=outfit.bands,
        second_colour=outfit.second,
    )
    hips = Tube(
        points["pelvis"],
        points["pelvis"] - 0.09 * size * up,
        _scaled((0.12, 0.152), size * across),
        outfit.bottom,
        thick,
        blunt=2,
    )
    neck = _part(body, points["neck"] - 0.05 * size * up, points["head"], (0.062, 0.05, 0.05), outfit.skin)
    parts = [top, hips, neck]
    if outfit.backpack:
        back = points["neck"] - size * (0.15 * forward + 0.1 * up)
        parts.append(_part(body, back, back - 0.24 * size * up, (0.105, 0.13, 0.13), outfit.second))
    return parts


def _arm(body: Body, outfit: Outfit, side: str) -> list[Tube]:
    shoulder, elbow, wrist = (body.points[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
    upper, lower = (0.055, 0.050, 0.043), (0.043, 0.041, 0.030)
    hand = wrist + (wrist - elbow) * 0.24
    parts = [
        _part(body, shoulder, elbow, upper, outfit.skin, build=outfit.build),
        _part(body, elbow, wrist, lower, outfit.skin, build=outfit.build),
        _part(body, wrist, hand, (0.031, 0.041, 0.030), outfit.skin),
    ]
    if outfit.sleeves != "none":
        reach = elbow if outfit.sleeves == "long" else shoulder + 0.62 * (elbow - shoulder)
        parts.append(_part(body, shoulder, reach, (0.060, 0.060, 0.057), outfit.top, build=outfit.build, blunt=1.6))
    if outfit.sleeves == "long":
        parts.append(
            _part(
                body,
                elbow,
                elbow + 0.92 * (wrist - elbow),
                (0.056, 0.050, 0.042),
                outfit.top,
                build=outfit.build,
                blunt=1.6,
            )
        )
    return parts


def _leg(body: Body, outfit: Outfit, side: str) -> list[Tube]:
    hip, knee, ankle, toe = (body.points[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "toe"))
    high = hip + 0.14 * (knee - hip)  # below the hem, so that no cloth of the leg lies over it
    heel = ankle - [0, 0.035 * body.size, 0]
    shoe = _part(body, heel, toe, (0.045, 0.046, 0.038), outfit.shoes)
    if outfit.legwear == "trousers":
        return [
            _part(body, high, knee, (0.088, 0.090, 0.073), outfit.bottom, build=outfit.build),
            _part(body, knee, ankle, (0.073, 0.069, 0.062), outfit.bottom, build=outfit.build, blunt=2),
            shoe,
        ]
    reach, radii = (0.80, (0.090, 0.096, 0.092)) if outfit.legwear == "shorts" else (0.86, (0.090, 0.108, 0.125))
    return [
        _part(body, high, hip + reach * (knee - hip), radii, outfit.bottom, build=outfit.build, blunt=4),
        _part(body, (hip + knee) / 2, knee, (0.078, 0.068, 0.058), outfit.skin, build=outfit.build),
        _part(body, knee, ankle, (0.056, 0.059, 0.048, 0.038), outfit.skin, build=outfit.build),
        shoe,
    ]


def _head(body: Body, outfit: Outfit) -> list[Tube]:
    points, axes = body.points, body.head_axes
    size = body.size * body.head_size

    def at(left: float, up: float, forward: float) -> Floats:
        place: Floats = points["head"] + size * np.array([left, up, forward]) @ axes
        return place

    def piece(start: Floats, end: Floats, radii: tuple[float, ...], colour: Colour) -> Tube:
        return Tube(start, end, _scaled(radii, size), colour)

    lips, brows = _mixed(outfit.skin, (0.62, 0.22, 0.22), 0.45), _mixed(outfit.hair, (0.0, 0.0, 0.0), 0.65)
    parts = [
        piece(at(0, -0.060, 0.018), at(0, 0.040, 0.0), (0.060, 0.074, 0.082, 0.084), outfit.skin),
        piece(at(0, 0.018, 0.082), points["nose"], (0.010, 0.017), outfit.skin),
        piece(at(-0.020, -0.062, 0.074), at(0.020, -0.062, 0.074), (0.007,), lips),
    ]
    for side, sign in (("left", 1), ("right", -1)):
        eye, ear = points[f"{side}_eye"], points[f"{side}_ear"]
        forward = size * axes[2]
        parts += [
            piece(ear, ear, (0.022,), outfit.skin),
            piece(eye, eye, (0.016,), (0.97, 0.96, 0.94)),
            piece(eye + 0.010 * forward, eye + 0.010 * forward, (0.0095,), (0.12, 0.09, 0.08)),
            piece(at(sign * 0.018, 0.054, 0.074), at(sign * 0.048, 0.052, 0.064), (0.005,), brows),
        ]
    return parts + [piece(*shape) for shape in _hair(outfit.hair_cut, outfit.hair, outfit.second, at)]


def _hair(cut: str, hair: Colour, cap: Colour, at: Callable[[float, float, float], Floats]) -> list[_Piece]:
    """What covers a head, from places that `at` gives by left, up and forward of its centre."""
    crown = at(0, 0.035, -0.022), at(0, 0.060, -0.014), (0.088, 0.086)
    back = at(0, -0.030, -0.030), at(0, 0.040, -0.020), (0.072, 0.088)
    if cut == "bald":
        return []
    if cut == "cap":
        peak = at(-0.042, 0.060, 0.092), at(0.042, 0.060, 0.092), (0.013,)
        nape = at(0, -0.01, -0.03), at(0, 0.03, -0.02), (0.078, 0.086)
        return [(*crown, cap), (*peak, cap), (*nape, hair)]
    more: list[_Piece] = []
    if cut == "long":
        more = [(at(x, 0.02, -0.03), at(1.1 * x, -0.20, -0.05), (0.045, 0.050, 0.035), hair) for x in (-0.05, 0.05)]
    elif cut == "bun":
        more = [(at(0, 0.10, -0.075), at(0, 0.11, -0.085), (0.042,), hair)]
    return [(*crown, hair), (*back, hair), *more]
