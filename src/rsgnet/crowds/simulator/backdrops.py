"""Drawn backgrounds for simulated crowds: sky, houses or trees, and a ground that reaches to the horizon."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from rsgnet.crowds.simulator.canvas import Camera
from rsgnet.geometry import Floats

_SKIES = (
    ((0.42, 0.62, 0.86), (0.86, 0.91, 0.95)),
    ((0.66, 0.70, 0.76), (0.87, 0.88, 0.88)),
    ((0.55, 0.52, 0.70), (0.98, 0.80, 0.62)),
)
_WALLS = (
    (0.66, 0.42, 0.33), (0.84, 0.77, 0.64), (0.55, 0.57, 0.60),
    (0.74, 0.62, 0.45), (0.48, 0.53, 0.58), (0.80, 0.70, 0.66),
)  # fmt: skip
_PAVINGS = ((0.66, 0.64, 0.60), (0.56, 0.56, 0.58), (0.70, 0.62, 0.53))
_GRASS = (0.46, 0.56, 0.33)
_HAZE = (0.83, 0.86, 0.88)


def draw_backdrop(random: np.random.Generator, camera: Camera, size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """Draws a place without people.

    Args:
        random: The source of randomness.
        camera: The camera that sees it.
        size_wh: Width and height in pixels.

    Returns:
        (H, W, 3) RGB in 0..1.
    """
    width, height = size_wh
    top, bottom = (np.array(colour) for colour in _SKIES[int(random.integers(len(_SKIES)))])
    share_down = np.clip(np.arange(height) / max(camera.horizon_y, 1), 0, 1)[:, None, None]
    scene = np.broadcast_to(top + (bottom - top) * share_down, (height, width, 3)).copy()
    horizon = int(np.clip(camera.horizon_y, 0, height))
    is_park = random.uniform() < 0.4
    if horizon:
        draw_skyline = _draw_trees if is_park else _draw_houses
        scene[:horizon] = draw_skyline(random, scene[:horizon])
    ground = np.array(_GRASS) if is_park else np.array(_PAVINGS[int(random.integers(len(_PAVINGS)))])
    scene[horizon:] = _draw_ground(random, camera, (width, height), ground, is_tiled=not is_park)
    backdrop: NDArray[np.float32] = scene.astype(np.float32)
    return backdrop


def draw_shadows(scene: NDArray[np.float32], camera: Camera, ground_xz: Floats, sizes: Floats) -> NDArray[np.float32]:
    """Draws a soft shadow on the ground for each person.

    Args:
        scene: (H, W, 3) RGB in 0..1.
        camera: The camera that sees it.
        ground_xz: (N, 2) where people stand, x and z in metres.
        sizes: (N,) their sizes relative to a person of 1.72 m.
    """
    height, width = scene.shape[:2]
    mask = Image.new("L", (width, height))
    pen = ImageDraw.Draw(mask)
    for (x, z), size in zip(ground_xz, sizes, strict=True):
        left, right = camera.project([[x - 0.26 * size, 0, z], [x + 0.46 * size, 0, z]])[:, 0]
        bottom, top = camera.project([[x, 0, z - 0.22], [x, 0, z + 0.26]])[:, 1]
        pen.ellipse((left, top, right, bottom), fill=150)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(height / 110)), np.float32)[..., None] / 255
    shaded: NDArray[np.float32] = (scene * (1 - 0.75 * soft)).astype(np.float32)
    return shaded


def _draw_houses(random: np.random.Generator, sky: Floats) -> Floats:
    """Draws rows of houses over a sky, nearer ones in front of farther and hazier ones."""
    height, width = sky.shape[:2]
    image = _to_pil(sky)
    pen = ImageDraw.Draw(image)
    for haze in (0.55, 0.25):
        x = -int(random.integers(0, max(width // 8, 1)))
        while x < width:
            house_width = int(width * random.uniform(0.1, 0.24)) + 2
            roof = int(height * random.uniform(0.02, 0.6))
            wall = _add_haze(_WALLS[int(random.integers(len(_WALLS)))], haze)
            pen.rectangle((x, roof, x + house_width, height), fill=wall)
            pane = house_width / max(round(random.uniform(3, 6)), 1)
            glass = _add_haze((0.30, 0.36, 0.42), haze)
            for row in np.arange(roof + 0.4 * pane, height - 0.7 * pane, pane * 1.25).tolist():
                for column in np.arange(x + 0.25 * pane, x + house_width - 0.6 * pane, pane).tolist():
                    pen.rectangle((column, row, column + 0.5 * pane, row + 0.7 * pane), fill=glass)
            x += house_width + int(random.integers(0, max(width // 40, 1)))
    return _to_floats(image.filter(ImageFilter.GaussianBlur(height / 90)))


def _draw_trees(random: np.random.Generator, sky: Floats) -> Floats:
    """Draws rows of trees over a sky, nearer ones in front of farther and hazier ones."""
    height, width = sky.shape[:2]
    image = _to_pil(sky)
    pen = ImageDraw.Draw(image)
    for haze in (0.55, 0.35, 0.1):
        for x in np.linspace(0, width, 10) + random.normal(0, width / 30, 10):
            crown, top = height * random.uniform(0.16, 0.3), height * random.uniform(0.2, 0.6)
            pen.rectangle((x - crown / 12, top, x + crown / 12, height), fill=_add_haze((0.30, 0.23, 0.17), haze))
            for _ in range(22):
                leaf = np.array([0.27, 0.42, 0.20]) * random.uniform(0.75, 1.3)
                dx, dy = random.normal(0, crown * 0.45, 2)
                radius = crown * random.uniform(0.25, 0.5)
                box = (x + dx - radius, top + dy - radius, x + dx + radius, top + dy + radius)
                pen.ellipse(box, fill=_add_haze(tuple(leaf), haze))
        pen.rectangle((0, height * 0.93, width, height), fill=_add_haze((0.30, 0.44, 0.22), haze))
    return _to_floats(image.filter(ImageFilter.GaussianBlur(height / 90)))


def _draw_ground(
    random: np.random.Generator, camera: Camera, size_wh: tuple[int, int], colour: Floats, is_tiled: bool
) -> Floats:
    """Draws (rows below the horizon, W, 3) ground with the texture of tiles or of grass, fading into haze."""
    width, height = size_wh
    rows = np.arange(int(np.clip(camera.horizon_y, 0, height)), height)[:, None] + 0.5
    z = camera.focal_px * camera.height / np.maximum(rows - camera.horizon_y, 0.5)
    x = (np.arange(width) + 0.5 - camera.centre_x) * z / camera.focal_px
    texture = 1 + random.normal(0, 0.035 if is_tiled else 0.07, x.shape)
    if is_tiled:
        tile, pixel = 0.9, z / camera.focal_px  # the sides of a tile and of an image pixel, in metres
        # Joints run along z and along x. Where they are narrower than a pixel they are blurred and finally fade out.
        for position, pixel_size in ((x + 0.3, pixel), (np.broadcast_to(z, x.shape), pixel * z / camera.height)):
            distance = np.abs((position / tile + 0.5) % 1 - 0.5) * tile
            joint = np.clip(1.2 - distance / np.maximum(0.012, pixel_size), 0, 1)
            texture -= 0.22 * joint * np.clip(1.5 - pixel_size / 0.25, 0, 1)
    haze = np.clip((z - 10) / 130, 0, 0.45)[..., None]
    ground: Floats = colour * texture[..., None] * (1 - haze) + np.array(_HAZE) * haze
    return ground


def _add_haze(colour: tuple[float, ...], haze: float) -> tuple[int, int, int]:
    """Mixes an RGB colour in 0..1 with a share of haze; returns it in 0..255."""
    mixed = (channel * (1 - haze) + far * haze for channel, far in zip(colour, _HAZE, strict=True))
    red, green, blue = (round(255 * min(max(channel, 0), 1)) for channel in mixed)
    return red, green, blue


def _to_pil(scene: Floats) -> Image.Image:
    return Image.fromarray((scene * 255).clip(0, 255).round().astype(np.uint8))


def _to_floats(image: Image.Image) -> Floats:
    return np.asarray(image, np.float64) / 255
