"""A small renderer with a depth buffer: rounded tubes in metres, seen by a level camera.

World coordinates are metres: x to the right, y up from the ground, z away from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.geometry import Floats

Colour = tuple[float, float, float]

_LIGHT = np.array([-0.45, -0.62, 0.64], np.float32)  # from the upper left, over the camera's shoulder
_NEAREST = 0.4  # metres; what comes nearer is not drawn


@dataclass(frozen=True)
class Camera:
    """A camera that looks level: upright things stay upright, the ground rises to the horizon.

    Attributes:
        focal_px: Pixels that a metre covers at a distance of a metre.
        centre_x: Column straight ahead, in continuous pixels (the image's left edge is 0).
        horizon_y: Row of the horizon, in continuous pixels.
        height: Metres above the ground.
    """

    focal_px: float
    centre_x: float
    horizon_y: float
    height: float

    def project(self, points: ArrayLike) -> Floats:
        """(..., 3) continuous pixel x and y, and distance in metres, of (..., 3) world points."""
        places = np.asarray(points, np.float64)
        distance = places[..., 2]
        scale = self.focal_px / np.maximum(distance, 1e-3)
        x, y = self.centre_x + scale * places[..., 0], self.horizon_y + scale * (self.height - places[..., 1])
        return np.stack([x, y, distance], -1)

    def scaled(self, factor: float) -> Camera:
        """The same camera with that many times the pixels."""
        return Camera(self.focal_px * factor, self.centre_x * factor, self.horizon_y * factor, self.height)


@dataclass(frozen=True, eq=False)
class Tube:
    """A round body about a line: a limb, a torso, a head, an eye.

    Attributes:
        start: (3,) where the line begins.
        end: (3,) where it ends; may be `start`, which gives a ball.
        radii: Radii in metres at even steps from start to end.
        colour: RGB in 0..1.
        flatness: Its thickness along the view over its thickness across.
        blunt: How many times flatter than a half ball its end is; its start is a half ball.
        bands: How many bands of `second_colour` cross it.
        second_colour: RGB in 0..1.
    """

    start: Floats
    end: Floats
    radii: tuple[float, ...]
    colour: Colour
    flatness: float = 1.0
    blunt: float = 1.0
    bands: int = 0
    second_colour: Colour = (0.0, 0.0, 0.0)


class Canvas:
    """An image that knows of each pixel how far away it is and whose.

    Attributes:
        camera: What it is seen with.
        colours: (H, W, 3) RGB in 0..1.
        depths: (H, W) distance in metres, infinite where only the background is.
        owners: (H, W) whose the pixel is, 0 nobody's.
    """

    def __init__(self, background: NDArray[np.float32], camera: Camera) -> None:
        self.camera = camera
        self.colours = background.copy()
        self.depths: NDArray[np.float32] = np.full(background.shape[:2], np.inf, np.float32)
        self.owners: NDArray[np.int32] = np.zeros(background.shape[:2], np.int32)

    def draw(self, tube: Tube, owner: int) -> None:
        """Draws a tube where nothing drawn before is nearer."""
        ends = self.camera.project([tube.start, tube.end])
        if np.min(ends[:, 2]) < _NEAREST:
            return
        steps = np.linspace(0, 1, len(tube.radii))
        radii_px = np.asarray(tube.radii) * self.camera.focal_px / np.interp(steps, [0, 1], ends[:, 2])
        height, width = self.depths.shape
        low = np.clip(np.floor(np.min(ends[:, :2], 0) - np.max(radii_px)), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(np.max(ends[:, :2], 0) + np.max(radii_px)), 0, (width, height)).astype(int)
        if (high <= low).any():
            return
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        x, y = np.arange(low[0], high[0]) + 0.5 - ends[0, 0], np.arange(low[1], high[1])[:, None] + 0.5 - ends[0, 1]
        axis = ends[1] - ends[0]
        along = (x * axis[0] + y * axis[1]) / max(axis[0] ** 2 + axis[1] ** 2, 1e-9)
        beyond = np.maximum(along - 1, 0) * (tube.blunt - 1)
        along = along.clip(0, 1)
        radius = np.interp(along, steps, radii_px)
        across_x, across_y = (x + (beyond - along) * axis[0]) / radius, (y + (beyond - along) * axis[1]) / radius
        towards = np.sqrt(np.maximum(1 - across_x**2 - across_y**2, 0))
        thickness = tube.flatness * np.interp(along, steps, tube.radii)
        depth = ends[0, 2] + along * axis[2] - thickness * towards
        shown = (towards > 0) & (depth < self.depths[window])
        normals = np.stack([across_x[shown], across_y[shown], towards[shown]], -1)
        self.depths[window][shown] = depth[shown]
        self.owners[window][shown] = owner
        self.colours[window][shown] = _paint(tube, along[shown]) * _shade(normals)[:, None]


def _paint(tube: Tube, along: Floats) -> Floats:
    """(n, 3) the colours of places that far along a tube."""
    banded = np.floor(along * (2 * tube.bands + 1)).astype(int) % 2 == 1 if tube.bands else np.zeros(len(along), bool)
    return np.where(banded[:, None], tube.second_colour, tube.colour)


def _shade(normals: Floats) -> Floats:
    """(n,) how bright surfaces with those (n, 3) normals are: soft light, and a dark rim that tells limbs apart."""
    light: Floats = 0.62 + 0.46 * (normals @ _LIGHT)
    rim = np.clip(normals[:, 2] / 0.45, 0, 1)
    return light * (0.80 + 0.20 * rim)
