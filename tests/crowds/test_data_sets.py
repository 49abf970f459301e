import hashlib

import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.masks import decode_segmentation
from rsgnet.annotations.readers import load_json, read_annotations
from rsgnet.crowds.data_sets import write_crowds
from rsgnet.crowds.real_people.compositing import RealCrowds
from rsgnet.errors import RSGNetError
from rsgnet.skeletons import COCO17

SMALL = (160, 120)


def compute_digest(folder):
    files = sorted(folder.rglob("*.*"))
    return [file.name for file in files], hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def test_a_written_data_set_reads_back(tmp_path):
    path = write_crowds(tmp_path / "crowds", scenes=3, seed=5, crowd_index=(0.2, 0.6), size_wh=SMALL)
    found = read_annotations(path)
    assert found.skeleton is COCO17
    assert [image.file_name for image in found.images] == ["000001.png", "000002.png", "000003.png"]
    assert [image.id for image in found.images] == [1, 2, 3]
    identifiers = [person.id for image in found.images for person in image.people]
    assert identifiers == list(range(1, len(identifiers) + 1))
    images = [np.asarray(Image.open(path.parent / "images" / one.file_name)) for one in found.images]
    assert [image.shape for image in images] == [(120, 160, 3)] * 3
    assert (images[0] != images[1]).mean() > 0.5
    assert all(0.2 <= image.crowd_index <= 0.6 for image in found.images)


def test_the_same_seed_writes_the_same_files_for_any_number_of_scenes(tmp_path):
    for name, seed, scenes in (("a", 5, 2), ("b", 5, 2), ("c", 6, 2), ("d", 5, 1)):
        write_crowds(tmp_path / name, scenes, seed, size_wh=SMALL)
    assert compute_digest(tmp_path / "a") == compute_digest(tmp_path / "b")
    assert compute_digest(tmp_path / "a")[1] != compute_digest(tmp_path / "c")[1]
    assert compute_digest(tmp_path / "a")[0] == ["crowds.json", "000001.png", "000002.png"]
    first, alone = (tmp_path / name / "images" / "000001.png" for name in ("a", "d"))
    assert first.read_bytes() == alone.read_bytes()


@pytest.mark.parametrize("real", [False, True])
def test_hidden_by_holds_annotation_ids_of_the_file(tmp_path, people_set, real):
    make = {"make": RealCrowds(*people_set)} if real else {"size_wh": (320, 240)}
    content = load_json(write_crowds(tmp_path / "crowds", 4, 1, (0.5, 1.0), **make))
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    people = {each["id"]: each for each in content["annotations"]}
    hidden = 0
    for each in people.values():
        for (x, y, visibility), hider in zip(np.reshape(each["keypoints"], (-1, 3)), each["hidden_by"], strict=True):
            if hider:
                assert visibility == 1
                assert people[hider]["image_id"] == each["image_id"]
            if hider not in (0, each["id"]):
                mask = decode_segmentation(people[hider]["segmentation"], sizes[each["image_id"]])
                row, column = np.clip(round(y), 0, mask.shape[0] - 1), np.clip(round(x), 0, mask.shape[1] - 1)
                hidden += mask[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].any()
                assert mask[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].any()
    assert hidden > 10


def test_a_sheet_shows_the_first_scenes(tmp_path):
    write_crowds(tmp_path, 5, 0, size_wh=SMALL, sheet=True)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 448, 2 * 336)
        assert np.asarray(sheet).any()


@pytest.mark.parametrize(
    ("scenes", "seed", "crowd_index"), [(0, 0, (0, 1)), (1, -1, (0, 1)), (1, 0, (0.5, 0.2)), (1, 0, (-0.1, 0.2))]
)
def test_arguments_out_of_range_are_refused(tmp_path, scenes, seed, crowd_index):
    with pytest.raises(RSGNetError, match="crowds need 1 scene or more"):
        write_crowds(tmp_path, scenes, seed, crowd_index)
    assert not list(tmp_path.iterdir())
