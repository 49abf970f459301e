"""Writing simulated crowds as a data set: images and one COCO file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from rsgnet.crowds.scenes import CROWD_INDEX_TOLERANCE, CrowdMaker, CrowdScene
from rsgnet.crowds.simulator.crowd import render_crowd
from rsgnet.draw import person_colour
from rsgnet.errors import RSGNetError
from rsgnet.files import replace_atomically, write_text
from rsgnet.overlays import OverlayStyle, draw_poses
from rsgnet.skeletons import DEFAULT_SIGMA, Skeleton, find_flip_pairs

CROWDS_FILE, SHEET_FILE = "crowds.json", "sheet.png"
_SCENES_ON_SHEET, _SHEET_COLUMNS, _TILE_WH = 24, 4, (448, 336)
_HIDDEN_SCORE, _VISIBLE_SCORE = 0.1, 0.5  # scores with which keypoints are drawn on the sheet; they set the opacity


def write_crowds(
    out: str | Path,
    scenes: int,
    seed: int,
    crowd_index: tuple[float, float] = (0.0, 1.0),
    size_wh: tuple[int, int] | None = None,
    make: CrowdMaker = render_crowd,
    sheet: bool = False,
    on_scene: Callable[[CrowdScene], None] = lambda _: None,
) -> Path:
    """Writes images of crowds to `out/images` and their ground truth to `out/crowds.json`.

    Each scene depends only on the seed and its own number. The requested crowd index is uniformly distributed in the
    interval; a scene's index differs from it by at most 0.05, and lies in the interval if this is wide enough.

    Args:
        out: The folder to write to; it is created where it is missing.
        scenes: The number of images.
        seed: The seed of all randomness: the same seed gives the same files.
        crowd_index: The smallest and the largest crowd index (CrowdPose's rule).
        size_wh: Width and height in pixels; None leaves them to the maker.
        make: Makes one crowd: `render_crowd`, or the `RealCrowds` of a data set.
        sheet: Whether to write `out/sheet.png`, which shows the first scenes with their ground truth.
        on_scene: Called with each scene after it is written.

    Returns:
        The path of the COCO file.

    Raises:
        RSGNetError: An argument is out of range, or no crowd with a requested index is found.
    """
    out = Path(out)
    low, high = crowd_index
    if scenes < 1 or seed < 0 or not 0 <= low <= high:
        raise RSGNetError(
            "crowds need 1 scene or more, a seed of 0 or more and a crowd index of 0 <= LOW <= HIGH, "
            f"not {scenes}, {seed} and {low} {high}"
        )
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    sheet_scenes: list[CrowdScene] = []
    for number in range(1, scenes + 1):
        random = np.random.default_rng((seed, number))
        margin = min(CROWD_INDEX_TOLERANCE, (high - low) / 2)
        scene = make(int(random.integers(2**31)), float(random.uniform(low + margin, high - margin)), size_wh)
        save_scene(scene, out / "images", f"{number:06d}.png", content, number)
        if sheet and len(sheet_scenes) < _SCENES_ON_SHEET:
            sheet_scenes.append(scene)
        on_scene(scene)
    if sheet:
        with replace_atomically(out / SHEET_FILE) as temporary:
            _draw_sheet(sheet_scenes).save(temporary)
    write_text(out / CROWDS_FILE, json.dumps(content))
    return out / CROWDS_FILE


def save_scene(scene: CrowdScene, images: Path, name: str, content: dict[str, Any], image_id: int) -> None:
    """Saves the image of a scene and adds its annotations to a COCO dict.

    Args:
        scene: The scene; its people get consecutive new ids.
        images: The folder of the images.
        name: The file name of the image.
        content: The COCO dict, with the lists `images` and `annotations`; it is modified.
        image_id: The id of the image.
    """
    with replace_atomically(images / name) as temporary:
        Image.fromarray(scene.image).save(temporary)
    people = scene.annotations["annotations"]
    ids = {0: 0, **{person["id"]: len(content["annotations"]) + index for index, person in enumerate(people, 1)}}
    content["images"].append({**scene.annotations["images"][0], "id": image_id, "file_name": name})
    content["categories"] = scene.annotations["categories"]
    for person in people:
        hidden_by = [ids[hider] for hider in person["hidden_by"]]
        content["annotations"].append({**person, "id": ids[person["id"]], "image_id": image_id, "hidden_by": hidden_by})


def _draw_sheet(scenes: Sequence[CrowdScene]) -> Image.Image:
    """Draws scenes side by side, each with its number and its crowd index."""
    columns, rows = min(len(scenes), _SHEET_COLUMNS), -(-len(scenes) // _SHEET_COLUMNS)
    sheet = Image.new("RGB", (columns * _TILE_WH[0], rows * _TILE_WH[1]))
    for index, scene in enumerate(scenes):
        tile = _draw_truth(scene)
        tile.thumbnail(_TILE_WH)
        left, top = index % _SHEET_COLUMNS * _TILE_WH[0], index // _SHEET_COLUMNS * _TILE_WH[1]
        sheet.paste(tile, (left, top))
        caption = f"{index + 1}: {scene.crowd_index:.2f}"
        ImageDraw.Draw(sheet).text((left + 4, top + 4), caption, "white", stroke_width=1, stroke_fill="black")
    return sheet


def _draw_truth(scene: CrowdScene) -> Image.Image:
    """Draws the outline and the keypoints of each person in one colour, hidden keypoints paler."""
    people, owners = scene.annotations["annotations"], scene.owners
    image = scene.image.copy()
    outline = np.zeros(owners.shape, np.bool_)
    outline[:, 1:] |= owners[:, 1:] != owners[:, :-1]
    outline[1:] |= owners[1:] != owners[:-1]
    for index, person in enumerate(people):
        image[outline & (owners == person["id"])] = person_colour(index)
    keypoints = np.array([person["keypoints"] for person in people]).reshape(len(people), -1, 3)
    visibility = keypoints[..., 2]
    scores = np.select([visibility == 2, visibility == 1], [_VISIBLE_SCORE, _HIDDEN_SCORE], 0.0)
    return draw_poses(image, keypoints[..., :2], scores, _get_skeleton(scene), OverlayStyle(_HIDDEN_SCORE))


def _get_skeleton(scene: CrowdScene) -> Skeleton:
    category = scene.annotations["categories"][0]
    edges = tuple((first - 1, second - 1) for first, second in category["skeleton"])
    keypoints = tuple(category["keypoints"])
    return Skeleton("scene", keypoints, edges, edges, find_flip_pairs(keypoints), (DEFAULT_SIGMA,) * len(keypoints))
