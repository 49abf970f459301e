"""Simulated crowds as a data set: images and one COCO file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from rsgnet.crowds.scenes import LEVEL_TOLERANCE, CrowdMaker, CrowdScene
from rsgnet.crowds.simulator.crowd import rendered_crowd
from rsgnet.draw import draw_poses, person_colour
from rsgnet.errors import RSGNetError
from rsgnet.files import replacing, write_text

CROWDS_FILE, SHEET_FILE = "crowds.json", "sheet.png"
_ON_SHEET = 24


def write_crowds(
    out: Path,
    scenes: int,
    seed: int,
    crowd_index: tuple[float, float] = (0.0, 1.0),
    size_wh: tuple[int, int] | None = None,
    make: CrowdMaker = rendered_crowd,
    sheet: bool = False,
    report: Callable[[CrowdScene], None] = lambda _: None,
) -> Path:
    """Writes crowds to `out/images` and the truth about them all to `out/crowds.json`.

    Each scene depends on the seed and its number alone. Its crowd index is drawn evenly from the interval and met to
    0.05; where the interval is wide enough, none lies outside of it.

    Args:
        out: Folder to write to; made where it is missing.
        scenes: How many images.
        seed: Whatever is random follows from it: the same seed gives the same files.
        crowd_index: The least and the largest crowd index (CrowdPose's rule).
        size_wh: Width and height in pixels; None leaves them to the maker.
        make: Makes one crowd: `rendered_crowd`, or `RealCrowds` of a data set.
        sheet: Whether `out/sheet.png` shows the first scenes with the truth over them.
        report: Told of each scene once it is written.

    Returns:
        The path of the COCO file.

    Raises:
        RSGNetError: An argument is out of range, or no crowd of the wanted index comes out.
    """
    low, high = crowd_index
    if scenes < 1 or seed < 0 or not 0 <= low <= high:
        raise RSGNetError(
            "crowds need 1 scene or more, a seed of 0 or more and a crowd index of 0 <= LOW <= HIGH, "
            f"not {scenes}, {seed} and {low} {high}"
        )
    merged: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    shown: list[CrowdScene] = []
    for number in range(1, scenes + 1):
        random = np.random.default_rng((seed, number))
        margin = min(LEVEL_TOLERANCE, (high - low) / 2)
        scene = make(int(random.integers(2**31)), float(random.uniform(low + margin, high - margin)), size_wh)
        name = f"{number:06d}.png"
        with replacing(out / "images" / name) as beside:
            Image.fromarray(scene.image).save(beside)
        add_scene(merged, scene, number, name)
        shown += [scene] if sheet and len(shown) < _ON_SHEET else []
        report(scene)
    if sheet:
        with replacing(out / SHEET_FILE) as beside:
            contact_sheet(shown).save(beside)
    write_text(out / CROWDS_FILE, json.dumps(merged))
    return out / CROWDS_FILE


def add_scene(merged: dict[str, Any], scene: CrowdScene, number: int, name: str) -> None:
    """Adds a scene to a COCO dict as image `number` in the file `name`, its people numbered on."""
    truths = scene.annotations["annotations"]
    ids = {0: 0, **{truth["id"]: len(merged["annotations"]) + place for place, truth in enumerate(truths, 1)}}
    merged["images"].append({**scene.annotations["images"][0], "id": number, "file_name": name})
    merged["categories"] = scene.annotations["categories"]
    for truth in truths:
        hidden_by = [ids[hider] for hider in truth["hidden_by"]]
        merged["annotations"].append({**truth, "id": ids[truth["id"]], "image_id": number, "hidden_by": hidden_by})


_TILE_WH = (448, 336)
_COLUMNS = 4
_HIDDEN, _VISIBLE = 0.1, 0.5  # how opaque keypoints are drawn, as scores


def contact_sheet(scenes: Sequence[CrowdScene]) -> Image.Image:
    """Scenes side by side: everyone's pixels outlined, keypoints in the same colour, paler where they are hidden."""
    columns = min(len(scenes), _COLUMNS)
    rows = -(-len(scenes) // _COLUMNS)
    sheet = Image.new("RGB", (columns * _TILE_WH[0], rows * _TILE_WH[1]))
    for place, scene in enumerate(scenes):
        tile = _drawn(scene)
        tile.thumbnail(_TILE_WH)
        left, top = place % _COLUMNS * _TILE_WH[0], place // _COLUMNS * _TILE_WH[1]
        sheet.paste(tile, (left, top))
        caption = f"{place + 1}: {scene.crowd_index:.2f}"
        ImageDraw.Draw(sheet).text((left + 4, top + 4), caption, "white", stroke_width=1, stroke_fill="black")
    return sheet


def _drawn(scene: CrowdScene) -> Image.Image:
    truths, owners = scene.annotations["annotations"], scene.owners
    image = scene.image.copy()
    edge = np.zeros(owners.shape, np.bool_)
    edge[:, 1:] |= owners[:, 1:] != owners[:, :-1]
    edge[1:] |= owners[1:] != owners[:-1]
    for place, truth in enumerate(truths):
        image[edge & (owners == truth["id"])] = person_colour(place)
    skeleton = scene.annotations["categories"][0]
    keypoints = np.array([truth["keypoints"] for truth in truths]).reshape(len(truths), -1, 3)
    scores = np.select([keypoints[..., 2] == 2, keypoints[..., 2] == 1], [_VISIBLE, _HIDDEN], 0.0)
    edges = tuple((first - 1, second - 1) for first, second in skeleton["skeleton"])
    return draw_poses(image, keypoints[..., :2], scores, edges, threshold=_HIDDEN)
