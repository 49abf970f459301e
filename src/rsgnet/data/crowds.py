"""A simple crowd simulator: pictures of made-up people, with every keypoint and who hides whom known exactly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsgnet.data.annotations import Person
from rsgnet.data.backdrops import backdrop, cast_shadows
from rsgnet.data.bodies import Body, pose, random_stance
from rsgnet.data.canvas import Camera, Canvas
from rsgnet.data.crowd_index import crowd_index
from rsgnet.data.wardrobe import clothe, random_outfit, stool
from rsgnet.errors import RSGNetError
from rsgnet.files import replacing, write_text
from rsgnet.geometry import Floats
from rsgnet.skeletons import COCO17

_SUPERSAMPLE = 2
_LEAST_SIDE, _MOST_PEOPLE = 48, 200
_NEAR, _FAR = 3.6, 11.0  # metres
_GROWN = 0.82  # the size below which a body is a child's
_ELBOW_ROOM = 0.5  # metres between two people's places

# How far below a body's surface each keypoint may lie, in metres of a 1.72 m person: deeper, and it is hidden.
_SKIN_DEEP = (
    0.04, 0.03, 0.03, 0.05, 0.05, 0.12, 0.12, 0.09, 0.09, 0.08, 0.08, 0.17, 0.17, 0.12, 0.12, 0.10, 0.10,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class CrowdScene:
    """One made-up picture and the truth about it.

    Attributes:
        picture: (H, W, 3) RGB.
        annotations: A COCO dict of one image, with its `crowdIndex`, and of its people in the order of their distance,
            nearest first: COCO17 `keypoints` in pixel indices (2 visible, 1 hidden by anyone, themselves included, 0
            outside the picture), `bbox` and `area` of what is seen of them. Those of whom nothing is seen are left out.
        owners: (H, W) the annotation id of the person seen at each pixel's centre, 0 where nobody is.
    """

    picture: NDArray[np.uint8]
    annotations: dict[str, Any]
    owners: NDArray[np.int32]


def simulate_crowd(seed: int, size_wh: tuple[int, int] = (640, 480), people: int = 8) -> CrowdScene:
    """Draws a crowd. The same arguments give the same bytes.

    Args:
        seed: Whatever is random follows from it.
        size_wh: Width and height in pixels, each at least 48.
        people: How many, up to 200.

    Raises:
        RSGNetError: The size or the number of people is out of range.
    """
    if min(size_wh) < _LEAST_SIDE or not 1 <= people <= _MOST_PEOPLE:
        raise RSGNetError(
            f"a crowd needs a picture of at least {_LEAST_SIDE}x{_LEAST_SIDE} pixels and 1 to {_MOST_PEOPLE} people, "
            f"not {size_wh[0]}x{size_wh[1]} and {people}"
        )
    random = np.random.default_rng(seed)
    camera = _random_camera(random, size_wh)
    bodies = _random_bodies(random, camera, size_wh, people)
    canvas = _draw(random, camera.scaled(_SUPERSAMPLE), size_wh, bodies)
    large = Image.fromarray((canvas.colours * 255).clip(0, 255).round().astype(np.uint8))
    owners = canvas.owners[1::_SUPERSAMPLE, 1::_SUPERSAMPLE].copy()
    truths = [truth for index, body in enumerate(bodies, 1) if (truth := _truth(canvas, body, index, owners == index))]
    people_seen = [Person(0, np.array(t["bbox"]), np.array(t["keypoints"]).reshape(-1, 3), t["area"]) for t in truths]
    image = {"id": 1, "file_name": f"crowd_{seed}.png", "width": size_wh[0], "height": size_wh[1]}
    image["crowdIndex"] = round(crowd_index(people_seen, COCO17), 4)
    return CrowdScene(
        picture=np.asarray(large.resize(size_wh, Image.Resampling.BOX)),
        annotations={"images": [image], "annotations": truths, "categories": [_category()]},
        owners=owners,
    )


def write_crowds(out: Path, scenes: int, seed: int, size_wh: tuple[int, int] = (640, 480), people: int = 8) -> Path:
    """Writes made-up pictures to `out/images` and what is true of them all to `out/annotations.json`.

    Args:
        out: Folder to write to; made where it is missing.
        scenes: How many pictures.
        seed: Whatever is random follows from it.
        size_wh: Width and height in pixels.
        people: How many in each picture.

    Returns:
        The path of the annotations.

    Raises:
        RSGNetError: As `simulate_crowd`.
    """
    merged: dict[str, Any] = {"images": [], "annotations": [], "categories": [_category()]}
    for index, scene_seed in enumerate(np.random.SeedSequence(seed).generate_state(scenes), 1):
        scene = simulate_crowd(int(scene_seed), size_wh, people)
        name = f"{index:06d}.png"
        with replacing(out / "images" / name) as beside:
            Image.fromarray(scene.picture).save(beside)
        merged["images"].append({**scene.annotations["images"][0], "id": index, "file_name": name})
        for truth in scene.annotations["annotations"]:
            merged["annotations"].append({**truth, "id": len(merged["annotations"]) + 1, "image_id": index})
    write_text(out / "annotations.json", json.dumps(merged))
    return out / "annotations.json"


def _random_camera(random: np.random.Generator, size_wh: tuple[int, int]) -> Camera:
    width, height = size_wh
    focal = 1.55 * height * random.uniform(0.9, 1.1)
    return Camera(focal, width / 2, height * random.uniform(0.16, 0.3), random.uniform(1.8, 2.3))


def _random_bodies(random: np.random.Generator, camera: Camera, size_wh: tuple[int, int], people: int) -> list[Body]:
    """People in loose groups, nearest first, nobody standing in another."""
    places: list[Floats] = []
    groups = _random_places(random, camera, size_wh, max(people // 4, 1))
    room = _ELBOW_ROOM
    while len(places) < people:
        group = groups[int(random.integers(len(groups)))]
        place = group + random.normal(0, 1, 2) * (0.55, 0.8)
        if random.uniform() < 0.35:
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
    """(count, 2) x and distance of places in view, as many to a picture row near as far."""
    distance = 1 / random.uniform(1 / _FAR, 1 / _NEAR, count)
    sideways = random.uniform(-0.5, 0.5, count) * size_wh[0] * 0.86 / camera.focal_px * distance
    return np.stack([sideways, distance], -1)


def _draw(random: np.random.Generator, camera: Camera, size_wh: tuple[int, int], bodies: list[Body]) -> Canvas:
    scene = backdrop(random, camera, (size_wh[0] * _SUPERSAMPLE, size_wh[1] * _SUPERSAMPLE))
    places = np.array([body.points["pelvis"][[0, 2]] for body in bodies])
    canvas = Canvas(cast_shadows(scene, camera, places, np.array([body.size for body in bodies])), camera)
    for index, body in enumerate(bodies, 1):
        for tube in stool(body) if body.seated else []:
            canvas.draw(tube, 0)
        for tube in clothe(body, random_outfit(random, child=body.size < _GROWN)):
            canvas.draw(tube, index)
    return canvas


def _truth(canvas: Canvas, body: Body, index: int, mask: NDArray[np.bool_]) -> dict[str, Any] | None:
    """The COCO annotation of a person by the (H, W) pixels where they are seen, None where they are at none."""
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return None
    places = canvas.camera.project([body.points[name] for name in COCO17.keypoints])
    keypoints = np.zeros((len(COCO17), 3))
    for row, (x, y, distance) in enumerate(places):
        if not (0 <= x < canvas.owners.shape[1] and 0 <= y < canvas.owners.shape[0]):
            continue
        pixel_row, pixel_column = int(y), int(x)
        slack = _SKIN_DEEP[row] * body.size if canvas.owners[pixel_row, pixel_column] == index else 0.0
        hidden = canvas.depths[pixel_row, pixel_column] < distance - slack
        keypoints[row] = x / _SUPERSAMPLE - 0.5, y / _SUPERSAMPLE - 0.5, 1 if hidden else 2
    left, top, right, bottom = np.min(columns), np.min(rows), np.max(columns) + 1, np.max(rows) + 1
    return {
        "id": index,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
        "area": float(len(rows)),
        "keypoints": [round(float(value), 2) for value in keypoints.ravel()],
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
    }


def _category() -> dict[str, Any]:
    edges = [[first + 1, second + 1] for first, second in COCO17.edges]
    return {"id": 1, "name": "person", "keypoints": list(COCO17.keypoints), "skeleton": edges}
