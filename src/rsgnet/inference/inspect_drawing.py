"""A look at one person, drawn: a page of everything, and an image of each thing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rsgnet.draw import dimmed, draw_dots, draw_lines, draw_poses, heat_over, matrix, person_colour, sheet
from rsgnet.geometry import Floats, apply_affine, invert_affine
from rsgnet.heatmaps import heatmap_affine
from rsgnet.inference.inspect_person import PersonInspection
from rsgnet.skeletons import skeleton_named

_TALL, _SMALL = 480, 224  # heights of tiles, pixels
_LINES = 80  # as many of the strongest relations are drawn; more hide each other
_COLUMNS = 7
_NOTHING = 1e-6


def draw_inspection(look: PersonInspection) -> dict[str, Image.Image]:
    """Images by name: sheet, and of crop, everyone, limbs, own, relation, result what the network gives.

    Heat runs from dark (0) to bright (1). Candidates are dots in a colour a keypoint; their heights are the heat.
    """
    skeleton, maps = skeleton_named(look.config.model.skeleton), look.maps
    drawn = {"crop": Image.fromarray(look.crop.pixels).resize(_size(look, _TALL), Image.Resampling.BICUBIC)}
    page = [("the crop, as the network gets it", drawn["crop"])]
    for name, told, heat, titles in (
        ("everyone", "everyone's keypoints (candidate heatmaps)", maps.candidate_heatmaps, skeleton.keypoints),
        ("limbs", "the box's person's limbs", maps.limb_heatmaps, _limb_names(look)),
        ("own", "the box's person's keypoints (target heatmaps)", maps.target_heatmaps, skeleton.keypoints),
    ):
        if heat is not None:
            page.append((f"{told}, highest of all", heat_over(look.crop.pixels, heat.max(0), _size(look, _TALL))))
            small = _size(look, _SMALL)
            tiles = [
                (f"{title} {one.max():.2f}", heat_over(look.crop.pixels, one, small))
                for title, one in zip(titles, heat, strict=True)
            ]
            drawn[name] = sheet(tiles, _COLUMNS, f"{told}; the number is the highest value")
    if maps.relation is not None and maps.candidates is not None:
        tiles = _relation_tiles(look, maps.candidates, maps.relation)
        page[2:2] = tiles
        drawn["relation"] = sheet(tiles, 2, "the relation map: are two candidates both the box's person's?")
    drawn["result"] = _result(look)
    page.append(("the result, in the crop", _result_in_crop(look)))
    title = f"{look.poses.file_name}, person {look.person}, weights {look.config.name}"
    return {"sheet": sheet(page, 4, title), **drawn}


def _size(look: PersonInspection, height: int) -> tuple[int, int]:
    width_px, height_px = look.config.crop.size_wh
    return round(height * width_px / height_px), height


def _limb_names(look: PersonInspection) -> list[str]:
    skeleton = skeleton_named(look.config.model.skeleton)
    return [" - ".join(_short(skeleton.keypoints[end]) for end in limb) for limb in skeleton.limbs]


def _short(name: str) -> str:
    return name.replace("left_", "l. ").replace("right_", "r. ")


def _relation_tiles(
    look: PersonInspection, table: NDArray[np.float32], relation: NDArray[np.float32]
) -> list[tuple[str, Image.Image]]:
    """The strongest relations as lines over the crop, and all as a matrix; padding is left out."""
    names = skeleton_named(look.config.model.skeleton).keypoints
    peaks = table.shape[1]
    rows = np.flatnonzero(table.reshape(-1, 4)[:, 2] > 0)
    related = relation[np.ix_(rows, rows)]
    keypoint, mean = rows // peaks, (related + related.T) / 2
    places = _on_tile(look, table.reshape(-1, 4)[rows, :2], _TALL)
    first, second = np.triu_indices(len(rows), 1)
    # Candidates of one keypoint exclude each other: what joins them is no limb.
    strengths = np.where(keypoint[first] != keypoint[second], mean[first, second], 0.0)
    strongest = np.argsort(-strengths, kind="stable")[:_LINES]
    strongest = strongest[strengths[strongest] > 0]
    ends = np.stack([places[first[strongest]], places[second[strongest]]], 1)
    brightest, highest = float(strengths.max(initial=0.0)), float(related.max(initial=0.0))
    tile = dimmed(look.crop.pixels, _size(look, _TALL))
    tile = draw_lines(tile, ends, strengths[strongest] / max(brightest, _NOTHING))
    tile = draw_dots(tile, places, [person_colour(int(index)) for index in keypoint], 5)
    cells = matrix(related / max(highest, _NOTHING), [_short(names[index]) for index in keypoint], _TALL)
    return [
        (f"{len(strongest)} strongest relations, up to {brightest:.2f}", tile),
        (f"relation map of {len(rows)} candidates; brightest: {highest:.2f}", cells),
    ]


def _on_tile(look: PersonInspection, places_xy: Floats | NDArray[np.float32], height: int) -> Floats:
    """(N, 2) places in heatmap pixels, in pixels of a tile of that height."""
    crop = look.config.crop
    in_crop = apply_affine(invert_affine(heatmap_affine(crop.stride, crop.pixel_centre)), places_xy)
    return _scaled(in_crop, height / crop.size_wh[1])


def _scaled(places: Floats, factor: float) -> Floats:
    return (places + 0.5) * factor - 0.5


def _result_in_crop(look: PersonInspection) -> Image.Image:
    one, size = look.poses[[look.person]], _size(look, _TALL)
    places = _scaled(apply_affine(look.crop.affine, one.keypoints_xy), _TALL / look.config.crop.size_wh[1])
    under = Image.fromarray(look.crop.pixels).resize(size, Image.Resampling.BICUBIC)
    threshold = look.config.decode.keypoint_threshold
    return draw_poses(np.asarray(under), places, one.scores, one.skeleton.edges, threshold, one.owned)


def _result(look: PersonInspection) -> Image.Image:
    """The whole image with everyone's pose and the box."""
    drawn = look.poses.draw(threshold=look.config.decode.keypoint_threshold)
    box = look.poses.boxes_xyxy[look.person].tolist()
    ImageDraw.Draw(drawn).rectangle(box, None, (255, 255, 255), max(1, max(drawn.size) // 400))
    return drawn
