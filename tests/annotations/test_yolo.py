import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.readers import find_images_folder, read_annotations
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17

YAML = "path: .\ntrain: images/train\nval: images/val\nkpt_shape: [17, 3]\nflip_idx: [0]\nnames:\n  0: person\n"
LINE = "0 0.5 0.5 0.2 0.4 " + " ".join(["0.25 0.5 2"] * 16 + ["0 0 0"])


@pytest.fixture
def folder(tmp_path):
    """Two images of 200x100 for training, one with a person in it; one for validation."""
    for name in ("train/a.png", "train/b.png", "val/c.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (200, 100)).save(path)
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "labels/train/a.txt").write_text(LINE + "\n\n")
    (tmp_path / "data.yaml").write_text(YAML)
    return tmp_path


def test_relative_coordinates_become_pixels(folder):
    found = read_annotations(f"{folder}/data.yaml#train")
    assert found.skeleton is COCO17 and str(found.path).endswith("data.yaml#train")
    assert [(image.file_name, image.size_wh, len(image.people)) for image in found.images] == [
        ("images/train/a.png", (200, 100), 1),
        ("images/train/b.png", (200, 100), 0),
    ]
    (person,) = found.images[0].people
    np.testing.assert_allclose(person.box_xywh, [80, 30, 40, 40])
    np.testing.assert_allclose(person.keypoints, [[50, 50, 2]] * 16 + [[0, 0, 0]])
    assert find_images_folder(f"{folder}/data.yaml#train") / "images/train/a.png" == folder / "images/train/a.png"


def test_exif_orientation_is_applied_to_sizes(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(folder / "images/train/a.png", exif=exif)
    assert read_annotations(f"{folder}/data.yaml#train").images[0].size_wh == (100, 200)


@pytest.mark.parametrize(
    "yaml",
    [
        YAML.replace("images/train", "../images/train").replace("images/val", "../images/val"),  # Roboflow
        YAML.replace("path: .", "path: ../elsewhere"),  # moved
        YAML.replace("path: .\n", ""),
        YAML.replace("train: images/train", "train: train.txt"),
        YAML.replace("train: images/train", "train: [images/train]"),
        YAML.replace("  0: person", "  - person"),
    ],
)
def test_variants_of_data_yaml(folder, yaml):
    (folder / "train.txt").write_text("./images/train/a.png\nimages/train/b.png\n")
    (folder / "data.yaml").write_text(yaml)
    assert [len(image.people) for image in read_annotations(f"{folder}/data.yaml#train").images] == [1, 0]


def test_keypoints_without_visibility(folder):
    (folder / "data.yaml").write_text(
        YAML.replace("[17, 3]", "[3, 2]") + "kpt_names: {0: [top, left_foot, right_foot]}\n"
    )
    (folder / "labels/train/a.txt").write_text("0 0.5 0.5 0.2 0.4 0.25 0.5 0 0 0 0.5")
    found = read_annotations(f"{folder}/data.yaml#train")
    assert found.skeleton.keypoints == ("top", "left_foot", "right_foot")
    np.testing.assert_allclose(found.images[0].people[0].keypoints, [[50, 50, 2], [0, 0, 0], [0, 50, 2]])


def test_other_classes_are_left_out(folder):
    (folder / "data.yaml").write_text(YAML + "  1: dog\n")
    (folder / "labels/train/a.txt").write_text(f"{LINE}\n1{LINE[1:]}\n")
    assert len(read_annotations(f"{folder}/data.yaml#train").images[0].people) == 1


@pytest.mark.parametrize(
    ("yaml", "line", "message"),
    [
        (YAML, "0 0.5 0.5", "labels/train/a.txt line 1: expected a class, 4 box and 17x3 keypoint numbers, got 3"),
        (YAML, LINE.replace("0.25", "left"), "a.txt line 1: ValueError"),
        (YAML, LINE.replace("0.25", "nan"), "a.txt line 1: expected"),
        (YAML.replace("kpt_shape: [17, 3]\n", ""), LINE, "is this a pose data set"),
        (YAML.replace("17, 3", "15, 3"), LINE, "15 keypoints fit no known skeleton"),
        (YAML.replace("images/train", "images/nowhere"), LINE, "images/nowhere"),
        (YAML.replace("images/train", "../../images/train"), LINE, "leads out of the image folder"),
        (YAML.replace("train: images/train", "train: train.txt"), LINE, "leads out of the image folder"),
        (YAML.replace("images/train", "i" * 300), LINE, "cannot be read: File name too long"),
        (YAML.replace("path: .", f"path: {'p' * 300}"), LINE, "cannot be read: File name too long"),
        ("[1, 2", LINE, "not valid YAML"),
        ("7", LINE, "not a YOLO data set"),
        ("!!python/object/apply:os.system ['true']", LINE, "not valid YAML"),
    ],
)
def test_the_message_names_the_file_and_the_line(folder, yaml, line, message):
    (folder / "train.txt").write_text("../outside.png")
    (folder / "data.yaml").write_text(yaml)
    (folder / "labels/train/a.txt").write_text(line)
    with pytest.raises(AnnotationError, match=message) as caught:
        read_annotations(f"{folder}/data.yaml#train")
    assert "data.yaml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("split", "message"), [("", "has several splits; name one: data.yaml#train"), ("#new", "no split 'new'")]
)
def test_one_of_several_splits_must_be_named(folder, split, message):
    with pytest.raises(AnnotationError, match=message):
        read_annotations(f"{folder}/data.yaml{split}")


def test_a_broken_image_is_named(folder):
    (folder / "images/train/b.png").write_bytes(b"no")
    with pytest.raises(AnnotationError, match=r"b\.png: not an image"):
        read_annotations(f"{folder}/data.yaml#train")
