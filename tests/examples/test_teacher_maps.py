"""Everyone's heatmaps are kept, of the crop and its mirror image, widened to the learner's Gaussians."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rsgnet.data.annotations import read_annotations
from rsgnet.data.crowd_sets import write_crowds
from rsgnet.data.taught_maps import TaughtMaps
from rsgnet.geometry import compose_affine, crop_affine, crop_region
from rsgnet.heatmaps import decode, heatmap_affine
from rsgnet.skeletons import COCO17

openvino = pytest.importorskip("openvino", reason="the teacher is an OpenVINO model: pip install 'rsgnet[openvino]'")
EXAMPLE = Path(__file__).parents[2] / "examples" / "teacher_maps.py"
PEAK_XY = (40, 20)  # on the teacher's maps


@pytest.fixture
def teacher(tmp_path):
    """A model that sees the same Gaussian of sigma 2, whatever it is shown."""
    from openvino import opset13 as ops

    rows, columns = np.mgrid[:64, :48]
    peak = np.exp(-((columns - PEAK_XY[0]) ** 2 + (rows - PEAK_XY[1]) ** 2) / 8).astype(np.float32)
    image = ops.parameter([1, 3, 256, 192], np.float32, name="image")
    nothing = ops.multiply(ops.reduce_mean(image, [1, 2, 3], keep_dims=True), np.float32(0))
    maps = ops.add(nothing, np.broadcast_to(peak, (1, 17, 64, 48)))
    openvino.save_model(openvino.Model([maps], [image]), tmp_path / "teacher.xml")
    return tmp_path / "teacher.xml"


def test_everyones_heatmaps_are_kept(teacher, tmp_path):
    write_crowds(tmp_path / "crowd", scenes=1, crowd_index=(0.0, 0.2), seed=0)
    labels, out = tmp_path / "crowd" / "crowds.json", tmp_path / "maps.safetensors"
    command = [sys.executable, EXAMPLE, teacher, labels, tmp_path / "crowd" / "images", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept, people = TaughtMaps(out, COCO17), read_annotations(labels).pictures[0].people
    labelled = [person for person in people if person.labelled]
    assert labelled
    for person in labelled:
        centre, region = crop_region(person.box_xywh, (192, 256))
        to_map = compose_affine(heatmap_affine(4, 0.5), crop_affine(centre, region, (192, 256), pixel_centre=0.5))
        maps = kept.in_crop(person.id, to_map, (64, 48), mirrored=False).numpy()
        # It does not move with the mirrored crop, so it is seen twice, at half its height.
        assert maps.max() == pytest.approx(0.5, abs=0.02)
        right = maps[:, :, 24:]
        places, heights = decode(right, "taylor")
        assert np.abs(places - (PEAK_XY[0] - 24, PEAK_XY[1])).max() < 0.05
        beside = right[:, PEAK_XY[1], PEAK_XY[0] - 24 + 3]
        assert beside / heights == pytest.approx(np.exp(-9 / 18), abs=0.03)  # sigma 3
