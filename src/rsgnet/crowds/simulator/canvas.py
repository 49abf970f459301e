"""A small renderer with a depth buffer, which draws round tubes as a level camera sees them.

World coordinates are metres: x to the right, y up from the ground, z away from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.geometry import Floats

Colour = tuple[float, float, float]

_LIGHT = np.array([-0.45, -0.62, 0.64], np.float32)  # direction to the light: upper left, behind the camera
_MIN_DISTANCE = 0.4  # metres; nearer tubes are not drawn


@dataclass(frozen=True)
class Camera:
    """A camera with a horizontal optical axis.

    Attributes:
        focal_px: Focal length in pixels.
        centre_x: Column of the optical axis, in continuous pixels (the left edge of the image is 0).
        horizon_y: Row of the horizon, in continuous pixels.
        height: Height above the ground in metres.
    """

    focal_px: float
    centre_x: float
    horizon_y: float
    height: float

    def project(self, points: ArrayLike) -> Floats:
        """Projects (..., 3) world points to (..., 3) x and y in continuous pixels, and distance in metres."""
        points = np.asarray(points, np.float64)
        distance = points[..., 2]
        scale = self.focal_px / np.maximum(distance, 1e-3)
        x, y = self.centre_x + scale * points[..., 0], self.horizon_y + scale * (self.height - points[..., 1])
        return np.stack([x, y, distance], -1)

    def scale(self, factor: float) -> Camera:
        """Returns the same camera for images with that factor more pixels along each side."""
        return Camera(self.focal_px * factor, self.centre_x * factor, self.horizon_y * factor, self.height)


@dataclass(frozen=True, eq=False)
class Tube:
    """A round body about a line segment: a limb, a torso, a head or an eye.

    Attributes:
        start: (3,) start of the segment.
        end: (3,) end of the segment; if it equals `start`, the tube is a ball.
        radii: Radii in metres at even steps from start to end.
        colour: RGB in 0..1.
        flatness: Thickness along the view divided by thickness across it.
        blunt: The factor by which the cap at the end is flatter than a half ball; the cap at the start is a half ball.
        bands: The number of bands of `second_colour` across the tube.
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
    """An image with the depth and the owner of each pixel.

    Attributes:
        camera: The camera.
        colours: (H, W, 3) RGB in 0..1.
        depths: (H, W) distance in metres; infinite where only the background is visible.
        owners: (H, W) number of the person at each pixel; 0 for nobody.
    """

    def __init__(self, background: NDArray[np.float32], camera: Camera) -> None:
        self.camera = camera
        self.colours = background.copy()
        self.depths: NDArray[np.float32] = np.full(background.shape[:2], np.inf, np.float32)
        self.owners: NDArray[np.int32] = np.zeros(background.shape[:2], np.int32)

    def draw(self, tube: Tube, owner: int) -> None:
        """Draws a tube of a person or, with owner 0, of an object, where nothing drawn before is nearer."""
        ends = self.camera.project([tube.start, tube.end])
        if np.min(ends[:, 2]) < _MIN_DISTANCE:
            return
        steps = np.linspace(0, 1, len(tube.radii))
        radii_px = np.asarray(tube.radii) * self.camera.focal_px / np.interp(steps, [0, 1], ends[:, 2])
        height, width = self.depths.shape
        low = np.clip(np.floor(np.min(ends[:, :2], 0) - np.max(radii_px)), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(np.max(ends[:, :2], 0) + np.max(radii_px)), 0, (width, height)).astype(int)
        if (high <= low).any():
            return
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        x = np.arange(low[0], high[0]) + 0.5 - ends[0, 0]
        y = np.arange(low[1], high[1])[:, None] + 0.5 - ends[0, 1]
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
        self.colours[window][shown] = _compute_colours(tube, along[shown]) * _compute_brightness(normals)[:, None]


def _compute_colours(tube: Tube, along: Floats) -> Floats:
    """Returns (N, 3) the colours at (N,) positions along a tube, 0 at its start and 1 at its end."""
    if not tube.bands:
        return np.broadcast_to(tube.colour, (len(along), 3))
    in_band = np.floor(along * (2 * tube.bands + 1)).astype(int) % 2 == 1
    return np.where(in_band[:, None], tube.second_colour, tube.colour)


def _compute_brightness(normals: Floats) -> Floats:
    """Computes (N,) the brightness of surfaces with (N, 3) normals: soft light, and a dark rim that separates limbs."""
    light: Floats = 0.62 + 0.46 * (normals @ _LIGHT)
    rim = np.clip(normals[:, 2] / 0.45, 0, 1)
    return light * (0.80 + 0.20 * rim)
