"""Keep the heatmaps of another project's network, to learn from them: any OpenVINO model that yields COCO-17 heatmaps.

    pip install openvino scipy
    python examples/teacher_maps.py tinypose_256_192_fp16.xml completed.json pictures/ maps.safetensors
    rsgnet train nano --data completed.json:pictures,taught=maps.safetensors --set training.loss.taught=1 --out run

A heatmap is the mean over a crop and its mirror image, 52 kB a person. nano's Gaussians are wider than this teacher's
(3 of its pixels to 2), so its peaks are widened.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from teacher_labels import OpenVinoTeacher

from rsgnet.data.annotations import Annotations, read_annotations
from rsgnet.data.taught_maps import PersonMaps, write_taught_maps
from rsgnet.geometry import compose_affine, crop_affine, crop_region
from rsgnet.heatmaps import heatmap_affine
from rsgnet.pictures import read_picture, warp
from rsgnet.skeletons import COCO17
from rsgnet.terminal import progress

OWN_SIGMA, WANTED_SIGMA = 2.0, 3.0  # of a peak, in the teacher's heatmap pixels
GROWTH = (WANTED_SIGMA / OWN_SIGMA) ** 2  # a peak that is widened so is lower by this


def people_maps(teacher: OpenVinoTeacher, truth: Annotations, pictures: Path) -> Iterator[PersonMaps]:
    """Heatmaps of everyone who has labelled keypoints."""
    crop = teacher.config.crop
    to_map = heatmap_affine(crop.stride, crop.pixel_centre)
    blur = (WANTED_SIGMA**2 - OWN_SIGMA**2) ** 0.5
    with progress(len(truth.pictures), pictures) as report:
        for picture in truth.pictures:
            photo = read_picture(pictures / picture.file_name)
            for person in picture.people:
                if person.is_crowd or not person.labelled or (person.box_xywh[2:] <= 1).any():
                    continue
                centre, region = crop_region(person.box_xywh, crop.size_wh, crop.padding)
                affine = crop_affine(centre, region, crop.size_wh, pixel_centre=crop.pixel_centre)
                shown = warp(photo, affine, crop.size_wh)
                straight, mirrored = teacher(np.stack([shown, shown[:, ::-1]]))
                heatmaps = (straight + mirrored[list(COCO17.flip_indices), :, ::-1]) / 2
                widened = GROWTH * gaussian_filter(heatmaps.clip(min=0), (0, blur, blur))
                yield PersonMaps(person.id, widened, compose_affine(to_map, affine))
            report(picture, None)


def main(model: Path, annotations: Path, pictures: Path, out: Path) -> None:
    """Writes the teacher's heatmaps of the annotated people."""
    people = people_maps(OpenVinoTeacher(model), read_annotations(annotations), pictures)
    write_taught_maps(out, people, COCO17.keypoints)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
