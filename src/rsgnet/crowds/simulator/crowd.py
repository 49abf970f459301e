"""Crowds of made-up people: bodies in three dimensions, drawn, with every keypoint and who hides it known exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsgnet.annotations.crowd_index import crowd_index as crowd_index_of
from rsgnet.annotations.people import Person
from rsgnet.crowds.scenes import CrowdScene, PersonTruth, describe_scene, reach_level
from rsgnet.crowds.simulator.backdrops import backdrop, cast_shadows
from rsgnet.crowds.simulator.bodies import Body, pose, random_stance
from rsgnet.crowds.simulator.canvas import Camera, Canvas
from rsgnet.crowds.simulator.wardrobe import Outfit, clothe, random_outfit, stool
from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats
from rsgnet.skeletons import COCO17

_SUPERSAMPLE = 2
_LEAST_SIDE, _MOST_PEOPLE = 48, 200
_LAYOUTS = 24  # of which the one nearest to the wanted crowd index is drawn
_NEAR, _FAR = 3.6, 11.0  # metres
GROWN = 0.82  # the size below which a body is a child's
_ELBOW_ROOM = 0.5  # metres between two people's places

# How far below a body's surface each keypoint may lie, in metres of a 1.72 m person: deeper, and it is hidden.
_SKIN_DEEP = (
    0.04, 0.03, 0.03, 0.05, 0.05, 0.12, 0.12, 0.09, 0.09, 0.08, 0.08, 0.17, 0.17, 0.12, 0.12, 0.10, 0.10,
)  # fmt: skip


def simulate_crowd(seed: int, size_wh: tuple[int, int] = (640, 480), people: int = 8) -> CrowdScene:
    """Draws a crowd of made-up people. The same arguments give the same bytes.

    Args:
        seed: Whatever is random follows from it.
        size_wh: Width and height in pixels, each at least 48.
        people: How many, up to 200.

    Raises:
        RSGNetError: The size or the number of people is out of range.
    """
    check_crowd(size_wh, people)
    random = np.random.default_rng(seed)
    camera = random_camera(random, size_wh)
    return _scene(random, camera, size_wh, _random_bodies(random, camera, size_wh, people), f"crowd_{seed}.png")


def rendered_crowd(seed: int, crowd_index: float, size_wh: tuple[int, int] | None = None) -> CrowdScene:
    """Draws a crowd of made-up people whose crowd index is within 0.05 of that given.

    Args:
        seed: Whatever is random follows from it; the same arguments give the same bytes.
        crowd_index: CrowdPose's index.
        size_wh: Width and height in pixels, each at least 48; None is 640x480.

    Raises:
        RSGNetError: The size is out of range, or no crowd reaches that index.
    """
    size = size_wh or (640, 480)
    check_crowd(size, 1)

    def make(number: int, aim: float) -> CrowdScene:
        random = np.random.default_rng((seed, number))
        camera = random_camera(random, size)
        layouts = [
            _random_bodies(random, camera, size, int(random.integers(3, 13)), float(random.uniform(0.5, 2.5)))
            for _ in range(_LAYOUTS)
        ]
        best = min(layouts, key=lambda bodies: abs(_expected_index(bodies, camera, size) - aim))
        return _scene(random, camera, size, best, f"crowd_{seed}.png")

    return reach_level(make, crowd_index)


def check_crowd(size_wh: tuple[int, int], people: int) -> None:
    """Refuses what cannot be drawn.

    Raises:
        RSGNetError: The size or the number of people is out of range.
    """
    if min(size_wh) < _LEAST_SIDE or not 1 <= people <= _MOST_PEOPLE:
        raise RSGNetError(
            f"a crowd needs an image of at least {_LEAST_SIDE}x{_LEAST_SIDE} pixels and 1 to {_MOST_PEOPLE} people, "
            f"not {size_wh[0]}x{size_wh[1]} and {people}"
        )


def _scene(
    random: np.random.Generator, camera: Camera, size_wh: tuple[int, int], bodies: list[Body], name: str
) -> CrowdScene:
    place = empty_place(random, camera, size_wh)
    outfits = [random_outfit(random, child=body.size < GROWN) for body in bodies]
    return draw_crowd(place, camera, bodies, outfits, name)


def empty_place(random: np.random.Generator, camera: Camera, size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """A backdrop as `draw_crowd` takes it."""
    size = size_wh[0] * _SUPERSAMPLE, size_wh[1] * _SUPERSAMPLE
    return backdrop(random, camera.scaled(_SUPERSAMPLE), size)


def draw_crowd(
    place: NDArray[np.float32], camera: Camera, bodies: Sequence[Body], outfits: Sequence[Outfit], name: str
) -> CrowdScene:
    """Draws people in a place; in the annotations each is called by its number in `bodies`, from 1."""
    canvas = _draw(place, camera.scaled(_SUPERSAMPLE), bodies, outfits)
    size_wh = place.shape[1] // _SUPERSAMPLE, place.shape[0] // _SUPERSAMPLE
    large = Image.fromarray((canvas.colours * 255).clip(0, 255).round().astype(np.uint8))
    owners = canvas.owners[1::_SUPERSAMPLE, 1::_SUPERSAMPLE].copy()
    truths = [_truth(canvas, body, index) for index, body in enumerate(bodies, 1)]
    return describe_scene(np.asarray(large.resize(size_wh, Image.Resampling.BOX)), owners, truths, COCO17, name)


def _expected_index(bodies: list[Body], camera: Camera, size_wh: tuple[int, int]) -> float:
    """The crowd index if nobody were hidden."""
    people = []
    for number, body in enumerate(bodies):
        places = camera.project(np.array([*body.points.values()]))[:, :2]
        margin = 0.07 * body.size * camera.focal_px / body.points["pelvis"][2]
        low, high = (places.min(0) - margin).clip(0, size_wh), (places.max(0) + margin).clip(0, size_wh)
        keypoints = np.ones((len(COCO17), 3))
        keypoints[:, :2] = camera.project([body.points[name] for name in COCO17.keypoints])[:, :2]
        keypoints[((keypoints[:, :2] < 0) | (keypoints[:, :2] >= size_wh)).any(-1)] = 0
        people.append(Person(number, np.concatenate([low, high - low]), keypoints, 1.0))
    return float(crowd_index_of(people, COCO17))


def random_camera(random: np.random.Generator, size_wh: tuple[int, int]) -> Camera:
    """A camera as a grown person holds it, or somewhat higher."""
    width, height = size_wh
    focal = 1.55 * height * random.uniform(0.9, 1.1)
    return Camera(focal, width / 2, height * random.uniform(0.16, 0.3), random.uniform(1.8, 2.3))


def _random_bodies(
    random: np.random.Generator, camera: Camera, size_wh: tuple[int, int], people: int, looseness: float = 1.0
) -> list[Body]:
    """People in loose groups, nearest first, nobody standing in another."""
    places: list[Floats] = []
    groups = _random_places(random, camera, size_wh, max(people // 4, 1))
    room = _ELBOW_ROOM
    while len(places) < people:
        group = groups[int(random.integers(len(groups)))]
        place = group + random.normal(0, looseness, 2) * (0.55, 0.8)
        if random.uniform() < 0.35 * looseness:
            place = _random_places(random, camera, size_wh, 1)[0]
        room *= 0.995  # where there is no room left, people stand closer
        if place[1] > _NEAR * 0.85 and all(np.hypot(*(place - other)) > room for other in places):
            places.append(place)
    places.sort(key=lambda place: float(place[1]))
    bodies = []
    for place in places:
        child = random.uniform() < 0.12
        size = random.uniform(0.66, 0.8) if child else random.normal(1.0, 0.045)
        bodies.append(pose(random_stance(random), (place[0], place[1]), size, 1.18 if child else 1.0))
    return bodies


def _random_places(random: np.random.Generator, camera: Camera, size_wh: tuple[int, int], count: int) -> Floats:
    """(count, 2) x and distance of places in view, as many to an image row near as far."""
    distance = 1 / random.uniform(1 / _FAR, 1 / _NEAR, count)
    sideways = random.uniform(-0.5, 0.5, count) * size_wh[0] * 0.86 / camera.focal_px * distance
    return np.stack([sideways, distance], -1)


def _draw(place: NDArray[np.float32], camera: Camera, bodies: Sequence[Body], outfits: Sequence[Outfit]) -> Canvas:
    places = np.array([body.points["pelvis"][[0, 2]] for body in bodies])
    canvas = Canvas(cast_shadows(place, camera, places, np.array([body.size for body in bodies])), camera)
    for index, (body, outfit) in enumerate(zip(bodies, outfits, strict=True), 1):
        for tube in stool(body) if body.seated else []:
            canvas.draw(tube, 0)
        for tube in clothe(body, outfit):
            canvas.draw(tube, index)
    return canvas


def _truth(canvas: Canvas, body: Body, index: int) -> PersonTruth:
    """What is true of the body of that number."""
    places = canvas.camera.project([body.points[name] for name in COCO17.keypoints])
    keypoints, hidden_by = np.zeros((len(COCO17), 3)), np.zeros(len(COCO17), np.int64)
    for row, (x, y, distance) in enumerate(places):
        if not (0 <= x < canvas.owners.shape[1] and 0 <= y < canvas.owners.shape[0]):
            continue
        owner = int(canvas.owners[int(y), int(x)])
        slack = _SKIN_DEEP[row] * body.size if owner == index else 0.0
        hidden = canvas.depths[int(y), int(x)] < distance - slack
        keypoints[row] = x / _SUPERSAMPLE - 0.5, y / _SUPERSAMPLE - 0.5, 1 if hidden else 2
        hidden_by[row] = owner if hidden else 0
    return PersonTruth(keypoints, hidden_by)
