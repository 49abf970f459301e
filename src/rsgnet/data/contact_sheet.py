"""Many scenes on one image, with the truth over them, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from rsgnet.data.scenes import CrowdScene
from rsgnet.draw import draw_poses, person_colour

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
