"""Crowds of simulated people: posed bodies, drawn with exact labels of every keypoint and of who hides it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsgnet.annotations.crowd_index import compute_crowd_index
from rsgnet.annotations.people import Person
from rsgnet.crowds.scenes import CrowdScene, PersonTruth, build_scene, search_crowd
from rsgnet.crowds.simulator.backdrops import draw_backdrop, draw_shadows
from rsgnet.crowds.simulator.bodies import Body, pose_body, sample_stance
from rsgnet.crowds.simulator.canvas import Camera, Canvas
from rsgnet.crowds.simulator.outfits import Outfit, build_stool, dress_body, sample_outfit
from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats
from rsgnet.skeletons import COCO17

ADULT_SIZE = 0.82  # a smaller body is that of a child
DEFAULT_SIZE_WH = (640, 480)

_SUPERSAMPLING = 2
_MIN_SIDE_PX, _MAX_PEOPLE = 48, 200
_LAYOUTS = 24  # random layouts, of which the one nearest to the requested crowd index is drawn
_NEAR, _FAR = 3.6, 11.0  # the range of distances from the camera in metres
_MIN_SPACING = 0.5  # metres between two people

# The depth below the body's surface, in metres for a 1.72 m person, beyond which a keypoint counts as hidden by the
# person's own body.
_MAX_DEPTH_IN_BODY = (
    0.04, 0.03, 0.03, 0.05, 0.05, 0.12, 0.12, 0.09, 0.09, 0.08, 0.08, 0.17, 0.17, 0.12, 0.12, 0.10, 0.10,
)  # fmt: skip


def simulate_crowd(seed: int, size_wh: tuple[int, int] = DEFAULT_SIZE_WH, people: int = 8) -> CrowdScene:
    """Draws a crowd of simulated people. The same arguments give the same bytes.

    Args:
        seed: The seed of all randomness.
        size_wh: Width and height in pixels, each at least 48.
        people: The number of people, up to 200.

    Raises:
        RSGNetError: The size or the number of people is out of range.
    """
    check_crowd_arguments(size_wh, people)
    random = np.random.default_rng(seed)
    camera = sample_camera(random, size_wh)
    return _draw_scene(random, camera, size_wh, _sample_bodies(random, camera, size_wh, people), f"crowd_{seed}.png")


def render_crowd(seed: int, crowd_index: float, size_wh: tuple[int, int] | None = None) -> CrowdScene:
    """Draws a crowd of simulated people whose crowd index is within 0.05 of the requested one.

    Args:
        seed: The seed of all randomness; the same arguments give the same bytes.
        crowd_index: The requested crowd index (CrowdPose's rule).
        size_wh: Width and height in pixels, each at least 48; default: 640x480.

    Raises:
        RSGNetError: The size is out of range, or no crowd with that index is found.
    """
    size = size_wh or DEFAULT_SIZE_WH
    check_crowd_arguments(size, 1)

    def make(attempt: int, target: float) -> CrowdScene:
        random = np.random.default_rng((seed, attempt))
        camera = sample_camera(random, size)
        layouts = [
            _sample_bodies(random, camera, size, int(random.integers(3, 13)), float(random.uniform(0.5, 2.5)))
            for _ in range(_LAYOUTS)
        ]
        best = min(layouts, key=lambda bodies: abs(_estimate_crowd_index(bodies, camera, size) - target))
        return _draw_scene(random, camera, size, best, f"crowd_{seed}.png")

    return search_crowd(make, crowd_index)


def check_crowd_arguments(size_wh: tuple[int, int], people: int) -> None:
    """Checks the arguments of a simulated crowd.

    Raises:
        RSGNetError: The size or the number of people is out of range.
    """
    if min(size_wh) < _MIN_SIDE_PX or not 1 <= people <= _MAX_PEOPLE:
        raise RSGNetError(
            f"a crowd needs an image of at least {_MIN_SIDE_PX}x{_MIN_SIDE_PX} pixels and 1 to {_MAX_PEOPLE} people, "
            f"not {size_wh[0]}x{size_wh[1]} and {people}"
        )


def draw_supersampled_backdrop(
    random: np.random.Generator, camera: Camera, size_wh: tuple[int, int]
) -> NDArray[np.float32]:
    """Draws the background for `draw_crowd`, at twice the size of the final image."""
    size = size_wh[0] * _SUPERSAMPLING, size_wh[1] * _SUPERSAMPLING
    return draw_backdrop(random, camera.scale(_SUPERSAMPLING), size)


def draw_crowd(
    backdrop: NDArray[np.float32], camera: Camera, bodies: Sequence[Body], outfits: Sequence[Outfit], name: str
) -> CrowdScene:
    """Draws people before a background.

    Args:
        backdrop: (2H, 2W, 3) the supersampled background.
        camera: The camera of the final (H, W) image.
        bodies: The people; a person's annotation id is the number in this list, from 1.
        outfits: Their outfits.
        name: The file name of the image.
    """
    canvas = _draw_people(backdrop, camera.scale(_SUPERSAMPLING), bodies, outfits)
    size_wh = backdrop.shape[1] // _SUPERSAMPLING, backdrop.shape[0] // _SUPERSAMPLING
    supersampled = Image.fromarray((canvas.colours * 255).clip(0, 255).round().astype(np.uint8))
    image = np.asarray(supersampled.resize(size_wh, Image.Resampling.BOX))
    owners = canvas.owners[1::_SUPERSAMPLING, 1::_SUPERSAMPLING].copy()
    truths = [_compute_truth(canvas, body, number) for number, body in enumerate(bodies, 1)]
    return build_scene(image, owners, truths, COCO17, name)


def sample_camera(random: np.random.Generator, size_wh: tuple[int, int]) -> Camera:
    """Samples a random camera, at the eye level of an adult or somewhat higher."""
    width, height = size_wh
    focal = 1.55 * height * random.uniform(0.9, 1.1)
    return Camera(focal, width / 2, height * random.uniform(0.16, 0.3), random.uniform(1.8, 2.3))


def sample_size(random: np.random.Generator) -> tuple[float, float]:
    """Samples the size of a person relative to 1.72 m, and of the head relative to the body; 12 % are children."""
    is_child = random.uniform() < 0.12
    size = float(random.uniform(0.66, 0.8) if is_child else random.normal(1.0, 0.045))
    return size, 1.18 if is_child else 1.0


def _sample_bodies(
    random: np.random.Generator, camera: Camera, size_wh: tuple[int, int], people: int, spread: float = 1.0
) -> list[Body]:
    """Samples people in loose groups, nearest first, who keep apart from each other."""
    positions: list[Floats] = []
    groups = _sample_positions(random, camera, size_wh, max(people // 4, 1))
    spacing = _MIN_SPACING
    while len(positions) < people:
        group = groups[int(random.integers(len(groups)))]
        position = group + random.normal(0, spread, 2) * (0.55, 0.8)
        if random.uniform() < 0.35 * spread:
            position = _sample_positions(random, camera, size_wh, 1)[0]
        spacing *= 0.995  # people stand closer where no free position is found
        if position[1] > _NEAR * 0.85 and all(np.hypot(*(position - other)) > spacing for other in positions):
            positions.append(position)
    positions.sort(key=lambda position: float(position[1]))
    bodies = []
    for x, z in positions:
        size, head_size = sample_size(random)
        bodies.append(pose_body(sample_stance(random), (x, z), size, head_size))
    return bodies


def _sample_positions(random: np.random.Generator, camera: Camera, size_wh: tuple[int, int], count: int) -> Floats:
    """Samples (count, 2) positions in view, x and z in metres, that are evenly spread over the rows of the image."""
    z = 1 / random.uniform(1 / _FAR, 1 / _NEAR, count)
    x = random.uniform(-0.5, 0.5, count) * size_wh[0] * 0.86 / camera.focal_px * z
    return np.stack([x, z], -1)


def _estimate_crowd_index(bodies: list[Body], camera: Camera, size_wh: tuple[int, int]) -> float:
    """Computes the crowd index that the image would have if nobody were hidden."""
    people = []
    for number, body in enumerate(bodies):
        points_xy = camera.project(np.array([*body.points.values()]))[:, :2]
        margin = 0.07 * body.size * camera.focal_px / body.points["pelvis"][2]
        low, high = (points_xy.min(0) - margin).clip(0, size_wh), (points_xy.max(0) + margin).clip(0, size_wh)
        keypoints = np.ones((len(COCO17), 3))
        keypoints[:, :2] = camera.project([body.points[name] for name in COCO17.keypoints])[:, :2]
        keypoints[((keypoints[:, :2] < 0) | (keypoints[:, :2] >= size_wh)).any(-1)] = 0
        people.append(Person(number, np.concatenate([low, high - low]), keypoints, 1.0))
    return compute_crowd_index(people, COCO17)


def _draw_scene(
    random: np.random.Generator, camera: Camera, size_wh: tuple[int, int], bodies: list[Body], name: str
) -> CrowdScene:
    backdrop = draw_supersampled_backdrop(random, camera, size_wh)
    outfits = [sample_outfit(random, is_child=body.size < ADULT_SIZE) for body in bodies]
    return draw_crowd(backdrop, camera, bodies, outfits, name)


def _draw_people(
    backdrop: NDArray[np.float32], camera: Camera, bodies: Sequence[Body], outfits: Sequence[Outfit]
) -> Canvas:
    ground_xz = np.array([body.points["pelvis"][[0, 2]] for body in bodies])
    canvas = Canvas(draw_shadows(backdrop, camera, ground_xz, np.array([body.size for body in bodies])), camera)
    for number, (body, outfit) in enumerate(zip(bodies, outfits, strict=True), 1):
        for tube in build_stool(body) if body.seated else []:
            canvas.draw(tube, 0)
        for tube in dress_body(body, outfit):
            canvas.draw(tube, number)
    return canvas


def _compute_truth(canvas: Canvas, body: Body, number: int) -> PersonTruth:
    """Computes the ground truth of the body with that number by comparing its keypoints with the depth buffer."""
    projected = canvas.camera.project([body.points[name] for name in COCO17.keypoints])
    keypoints, hidden_by = np.zeros((len(COCO17), 3)), np.zeros(len(COCO17), np.int64)
    for row, (x, y, distance) in enumerate(projected):
        if not (0 <= x < canvas.owners.shape[1] and 0 <= y < canvas.owners.shape[0]):
            continue
        owner = int(canvas.owners[int(y), int(x)])
        tolerance = _MAX_DEPTH_IN_BODY[row] * body.size if owner == number else 0.0
        is_hidden = canvas.depths[int(y), int(x)] < distance - tolerance
        keypoints[row] = x / _SUPERSAMPLING - 0.5, y / _SUPERSAMPLING - 0.5, 1 if is_hidden else 2
        hidden_by[row] = owner if is_hidden else 0
    return PersonTruth(keypoints, hidden_by)
