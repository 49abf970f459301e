"""Places for made-up crowds to stand in: sky, houses or trees, and a ground that runs to the horizon."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from rsgnet.crowds.simulator.canvas import Camera, Colour
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


def backdrop(random: np.random.Generator, camera: Camera, size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W, 3) RGB in 0..1 of an empty place as the camera sees it."""
    width, height = size_wh
    top, bottom = (np.array(colour) for colour in _SKIES[int(random.integers(len(_SKIES)))])
    down = np.clip(np.arange(height) / max(camera.horizon_y, 1), 0, 1)[:, None, None]
    scene = np.broadcast_to(top + (bottom - top) * down, (height, width, 3)).copy()
    horizon = int(np.clip(camera.horizon_y, 0, height))
    park = random.uniform() < 0.4
    if horizon:
        skyline = _trees if park else _houses
        scene[:horizon] = skyline(random, scene[:horizon])
    ground = np.array(_GRASS) if park else np.array(_PAVINGS[int(random.integers(len(_PAVINGS)))])
    scene[horizon:] = _ground(random, camera, (width, height), ground, tiled=not park)
    finished: NDArray[np.float32] = scene.astype(np.float32)
    return finished


def cast_shadows(scene: NDArray[np.float32], camera: Camera, places: Floats, sizes: Floats) -> NDArray[np.float32]:
    """The scene with a soft shadow on the ground about each of (N, 2) places, x and distance in metres."""
    height, width = scene.shape[:2]
    mask = Image.new("L", (width, height))
    pen = ImageDraw.Draw(mask)
    for (x, z), size in zip(places, sizes, strict=True):
        left, right = camera.project([[x - 0.26 * size, 0, z], [x + 0.46 * size, 0, z]])[:, 0]
        bottom, top = camera.project([[x, 0, z - 0.22], [x, 0, z + 0.26]])[:, 1]
        pen.ellipse((left, top, right, bottom), fill=150)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(height / 110)), np.float32)[..., None] / 255
    shaded: NDArray[np.float32] = (scene * (1 - 0.75 * soft)).astype(np.float32)
    return shaded


def _houses(random: np.random.Generator, sky: Floats) -> Floats:
    """Rows of houses, nearer ones before farther and hazier ones."""
    height, width = sky.shape[:2]
    image = _as_image(sky)
    pen = ImageDraw.Draw(image)
    for haze in (0.55, 0.25):
        x = -int(random.integers(0, max(width // 8, 1)))
        while x < width:
            broad = int(width * random.uniform(0.1, 0.24)) + 2
            roof = int(height * random.uniform(0.02, 0.6))
            wall = _hazy(_WALLS[int(random.integers(len(_WALLS)))], haze)
            pen.rectangle((x, roof, x + broad, height), fill=_rgb(wall))
            pane = broad / max(round(random.uniform(3, 6)), 1)
            glass = _rgb(_hazy((0.30, 0.36, 0.42), haze))
            for row in np.arange(roof + 0.4 * pane, height - 0.7 * pane, pane * 1.25).tolist():
                for column in np.arange(x + 0.25 * pane, x + broad - 0.6 * pane, pane).tolist():
                    pen.rectangle((column, row, column + 0.5 * pane, row + 0.7 * pane), fill=glass)
            x += broad + int(random.integers(0, max(width // 40, 1)))
    return _as_floats(image.filter(ImageFilter.GaussianBlur(height / 90)))


def _trees(random: np.random.Generator, sky: Floats) -> Floats:
    """A belt of trees, nearer ones before farther and hazier ones."""
    height, width = sky.shape[:2]
    image = _as_image(sky)
    pen = ImageDraw.Draw(image)
    for haze in (0.55, 0.35, 0.1):
        for x in np.linspace(0, width, 10) + random.normal(0, width / 30, 10):
            crown, tall = height * random.uniform(0.16, 0.3), height * random.uniform(0.2, 0.6)
            pen.rectangle((x - crown / 12, tall, x + crown / 12, height), fill=_rgb(_hazy((0.30, 0.23, 0.17), haze)))
            for _ in range(22):
                leaf = np.array([0.27, 0.42, 0.20]) * random.uniform(0.75, 1.3)
                dx, dy = random.normal(0, crown * 0.45, 2)
                radius = crown * random.uniform(0.25, 0.5)
                box = (x + dx - radius, tall + dy - radius, x + dx + radius, tall + dy + radius)
                pen.ellipse(box, fill=_rgb(_hazy(tuple(leaf), haze)))
        pen.rectangle((0, height * 0.93, width, height), fill=_rgb(_hazy((0.30, 0.44, 0.22), haze)))
    return _as_floats(image.filter(ImageFilter.GaussianBlur(height / 90)))


def _ground(
    random: np.random.Generator, camera: Camera, size_wh: tuple[int, int], colour: Floats, tiled: bool
) -> Floats:
    """(rows below the horizon, W, 3) of ground, with joints between tiles or blades of grass, fading into haze."""
    width, height = size_wh
    rows = np.arange(int(np.clip(camera.horizon_y, 0, height)), height)[:, None] + 0.5
    z = camera.focal_px * camera.height / np.maximum(rows - camera.horizon_y, 0.5)
    x = (np.arange(width) + 0.5 - camera.centre_x) * z / camera.focal_px
    texture = 1 + random.normal(0, 0.035 if tiled else 0.07, x.shape)
    if tiled:
        side, pixel = 0.9, z / camera.focal_px  # of a tile and of an image's pixel, metres
        for place, reach in ((x + 0.3, pixel), (np.broadcast_to(z, x.shape), pixel * z / camera.height)):
            joint = np.abs((place / side + 0.5) % 1 - 0.5) * side
            texture -= 0.22 * np.clip(1.2 - joint / np.maximum(0.012, reach), 0, 1) * np.clip(1.5 - reach / 0.25, 0, 1)
    haze = np.clip((z - 10) / 130, 0, 0.45)[..., None]
    ground: Floats = colour * texture[..., None] * (1 - haze) + np.array(_HAZE) * haze
    return ground


def _hazy(colour: tuple[float, ...], haze: float) -> Colour:
    mixed = [channel * (1 - haze) + far * haze for channel, far in zip(colour, _HAZE, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(255 * min(max(channel, 0), 1)) for channel in colour)
    return red, green, blue


def _as_image(scene: Floats) -> Image.Image:
    return Image.fromarray((scene * 255).clip(0, 255).round().astype(np.uint8))


def _as_floats(image: Image.Image) -> Floats:
    return np.asarray(image, np.float64) / 255
