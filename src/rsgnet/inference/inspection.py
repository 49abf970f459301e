"""What the network sees of one person: their crop, the maps behind the pose, and drawings of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rsgnet.config import PoseConfig
from rsgnet.config_files import WEIGHTS_FILE
from rsgnet.draw import (
    arrange_tiles,
    dim_image,
    draw_dots,
    draw_heatmap,
    draw_lines,
    draw_matrix,
    person_colour,
)
from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats, apply_affine, invert_affine, xywh_to_xyxy
from rsgnet.heatmaps import crop_to_heatmap
from rsgnet.images import read_image
from rsgnet.inference.crops import Crop, cut_crop
from rsgnet.inference.detectors.detector import Boxes, LoadedImage
from rsgnet.inference.estimator import PoseEstimator
from rsgnet.inference.runtime.outputs import InnerMaps
from rsgnet.inference.weights import find_weights
from rsgnet.overlays import OverlayStyle, draw_poses
from rsgnet.poses import Poses
from rsgnet.skeletons import Skeleton, get_skeleton

_LARGE_TILE_PX, _SMALL_TILE_PX = 480, 224  # heights
_COLUMNS = 7
_MAX_LINES = 80  # the number of strongest relations that are drawn; more hide each other
_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class PersonInspection:
    """One person as the network sees them.

    Attributes:
        poses: Everyone in the image, or the one person of a box; with the image.
        person: The index in `poses` of the person who is inspected.
        crop: The crop that the network was given.
        maps: The maps that the network computed for the crop, without the flip test.
        config: What the network was built with.
    """

    poses: Poses
    person: int
    crop: Crop
    maps: InnerMaps
    config: PoseConfig

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the network."""
        return get_skeleton(self.config.model.skeleton)

    def tile_size_wh(self, height: int) -> tuple[int, int]:
        """Returns width and height of a drawing of the crop with that height."""
        width_px, height_px = self.config.crop.size_wh
        return round(height * width_px / height_px), height


def inspect_person(
    estimator: PoseEstimator, path: str | Path, person: int = 0, box_xywh: Sequence[float] | None = None
) -> PersonInspection:
    """Runs the pipeline on an image, and the network once more on the crop of one person.

    Args:
        estimator: The pipeline.
        path: The image.
        person: The index of a result, counted from 0 as in poses.json, where no box is given.
        box_xywh: (4,) left, top, width, height in image pixels: the person's box.

    Raises:
        RSGNetError: The image cannot be read, there is no such person, the box is empty, or the network shows no inner
            maps.
    """
    path = Path(path)
    if not estimator.network.capabilities.shows_inner_maps:
        raise RSGNetError("this network's file decodes inside and shows no maps; export it without --with-decoding")
    image = LoadedImage(read_image(path, estimator.max_pixels), path.name, path)
    if box_xywh is not None:
        image = replace(image, boxes=Boxes(xywh_to_xyxy(np.asarray(box_xywh, np.float64)[None]), np.ones(1)))
        person = 0
    poses = estimator(image)
    if not 0 <= person < len(poses):
        found = f"{len(poses)} people were found" if box_xywh is None else "the box holds nothing of the image"
        raise RSGNetError(f"{path}: no person {person}: {found}; name one from 0 on, or a box")
    crop = cut_crop(image.pixels, poses.boxes_xyxy[person], estimator.config.crop)
    return PersonInspection(poses, person, crop, estimator.network.inspect(crop.pixels), estimator.config)


def choose_inspection_backend(weights: str) -> str:
    """Returns the back end that shows most of some weights: "torch" where PyTorch and its weights are here, or "onnx".

    Files for ONNX Runtime hold neither the relation nor the limbs.
    """
    directory = find_weights(weights).directory
    has_torch_weights = directory is not None and (directory / WEIGHTS_FILE).is_file()
    return "torch" if has_torch_weights and find_spec("torch") is not None else "onnx"


def draw_inspection(inspection: PersonInspection) -> dict[str, Image.Image]:
    """Draws what an inspection holds.

    Heatmaps are drawn over the crop from dark (0) to bright (1). Candidates are dots, one colour for each keypoint.

    Returns:
        Images by name: "sheet" with everything, "crop", "result", and those of "everyone", "limbs", "own" and
        "relation" that the network gives.
    """
    maps, crop, keypoints = inspection.maps, inspection.crop.pixels, inspection.skeleton.keypoints
    large, small = inspection.tile_size_wh(_LARGE_TILE_PX), inspection.tile_size_wh(_SMALL_TILE_PX)
    drawings = {"crop": Image.fromarray(crop).resize(large, Image.Resampling.BICUBIC)}
    page = [("the crop, as the network gets it", drawings["crop"])]
    for name, title, heatmaps, channel_names in (
        ("everyone", "everyone's keypoints (candidate heatmaps)", maps.candidate_heatmaps, keypoints),
        ("limbs", "the box's person's limbs", maps.limb_heatmaps, _limb_names(inspection.skeleton)),
        ("own", "the box's person's keypoints (target heatmaps)", maps.target_heatmaps, keypoints),
    ):
        if heatmaps is not None:
            page.append((f"{title}, highest of all", draw_heatmap(crop, heatmaps.max(0), large)))
            tiles = [
                (f"{channel} {heatmap.max():.2f}", draw_heatmap(crop, heatmap, small))
                for channel, heatmap in zip(channel_names, heatmaps, strict=True)
            ]
            drawings[name] = arrange_tiles(tiles, _COLUMNS, f"{title}; the number is the highest value")
    if maps.relation is not None and maps.candidates is not None:
        tiles = _relation_tiles(inspection, maps.candidates, maps.relation)
        page[2:2] = tiles
        drawings["relation"] = arrange_tiles(tiles, 2, "the relation map: are two candidates both the box's person's?")
    drawings["result"] = _draw_result(inspection)
    page.append(("the result, in the crop", _draw_result_in_crop(inspection)))
    title = f"{inspection.poses.file_name}, person {inspection.person}, weights {inspection.config.name}"
    return {"sheet": arrange_tiles(page, 4, title), **drawings}


def _limb_names(skeleton: Skeleton) -> list[str]:
    return [" - ".join(_abbreviate(skeleton.keypoints[end]) for end in limb) for limb in skeleton.limbs]


def _abbreviate(keypoint: str) -> str:
    return keypoint.replace("left_", "l. ").replace("right_", "r. ")


def _relation_tiles(
    inspection: PersonInspection, candidates: NDArray[np.float32], relation: NDArray[np.float32]
) -> list[tuple[str, Image.Image]]:
    """Draws the strongest relations as lines over the crop, and all relations as a matrix; padding is left out."""
    names, peaks = inspection.skeleton.keypoints, candidates.shape[1]
    table = candidates.reshape(-1, 4)
    rows = np.flatnonzero(table[:, 2] > 0)
    relation = relation[np.ix_(rows, rows)]
    keypoint, symmetric = rows // peaks, (relation + relation.T) / 2
    points_xy = _heatmap_to_tile(inspection, table[rows, :2], _LARGE_TILE_PX)
    first, second = np.triu_indices(len(rows), 1)
    # Candidates of one keypoint exclude each other, so a line between them would not be a limb.
    strengths = np.where(keypoint[first] != keypoint[second], symmetric[first, second], 0.0)
    strongest = np.argsort(-strengths, kind="stable")[:_MAX_LINES]
    strongest = strongest[strengths[strongest] > 0]
    ends = np.stack([points_xy[first[strongest]], points_xy[second[strongest]]], 1)
    brightest, highest = float(strengths.max(initial=0.0)), float(relation.max(initial=0.0))
    tile = dim_image(inspection.crop.pixels, inspection.tile_size_wh(_LARGE_TILE_PX))
    tile = draw_lines(tile, ends, strengths[strongest] / max(brightest, _EPSILON))
    tile = draw_dots(tile, points_xy, [person_colour(int(index)) for index in keypoint], 5)
    labels = [_abbreviate(names[index]) for index in keypoint]
    matrix = draw_matrix(relation / max(highest, _EPSILON), labels, _LARGE_TILE_PX)
    return [
        (f"{len(strongest)} strongest relations, up to {brightest:.2f}", tile),
        (f"relation map of {len(rows)} candidates; brightest: {highest:.2f}", matrix),
    ]


def _heatmap_to_tile(inspection: PersonInspection, points_xy: NDArray[np.float32], height: int) -> Floats:
    """Maps (N, 2) points from heatmap pixels to pixels of a drawing of the crop with that height."""
    crop = inspection.config.crop
    in_crop = apply_affine(invert_affine(crop_to_heatmap(crop)), points_xy)
    return _scale_points(in_crop, height / crop.size_wh[1])


def _scale_points(points_xy: Floats, factor: float) -> Floats:
    return (points_xy + 0.5) * factor - 0.5


def _draw_result_in_crop(inspection: PersonInspection) -> Image.Image:
    poses, size_wh = inspection.poses[[inspection.person]], inspection.tile_size_wh(_LARGE_TILE_PX)
    in_crop = apply_affine(inspection.crop.affine, poses.keypoints_xy)
    in_tile = _scale_points(in_crop, _LARGE_TILE_PX / inspection.config.crop.size_wh[1])
    tile = np.asarray(Image.fromarray(inspection.crop.pixels).resize(size_wh, Image.Resampling.BICUBIC))
    threshold = inspection.config.decode.keypoint_threshold
    return draw_poses(tile, in_tile, poses.scores, poses.skeleton, OverlayStyle(threshold), owned=poses.owned)


def _draw_result(inspection: PersonInspection) -> Image.Image:
    """Draws everyone's pose over the whole image, and the person's box."""
    drawing = inspection.poses.draw(threshold=inspection.config.decode.keypoint_threshold)
    box = inspection.poses.boxes_xyxy[inspection.person].tolist()
    ImageDraw.Draw(drawing).rectangle(box, None, (255, 255, 255), max(1, max(drawing.size) // 400))
    return drawing
