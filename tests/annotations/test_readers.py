import json

import numpy as np
import pytest

from rsgnet.annotations.readers import images_folder, load_json, read_annotations
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17, CROWDPOSE14, DEFAULT_SIGMA, PEOPLE19, Skeleton


def content(count=17, **change):
    """One image with one person, as a COCO file holds it."""
    entry = {
        "id": 5,
        "image_id": 3,
        "bbox": [10, 20, 30, 40],
        "keypoints": [1, 2, 2] * (count - 1) + [0, 0, 0],
        "area": 700,
        "iscrowd": 0,
    }
    return {
        "images": [{"id": 3, "file_name": "a/b.jpg", "width": 64, "height": 48, "crowdIndex": 0.25}],
        "annotations": [{key: value for key, value in {**entry, **change}.items() if value is not None}],
        "categories": [],
    }


@pytest.fixture
def write(tmp_path):
    def write(tree):
        path = tmp_path / "truth.json"
        path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
        return path

    return write


def test_reads_what_the_file_says(write):
    path = write(content())
    found = read_annotations(str(path))
    (image,) = found.images
    (person,) = image.people
    assert (found.path, found.skeleton) == (path, COCO17)
    assert (image.id, image.file_name, image.size_wh, image.crowd_index) == (3, "a/b.jpg", (64, 48), 0.25)
    assert (person.id, person.area, person.is_crowd, person.labelled) == (5, 700.0, False, 16)
    np.testing.assert_array_equal(person.box_xywh, [10, 20, 30, 40])
    np.testing.assert_array_equal(person.keypoints, [[1, 2, 2]] * 16 + [[0, 0, 0]])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"area": None}, {"area": 0.53 * 30 * 40}),
        ({"iscrowd": 1}, {"is_crowd": True}),
        ({"iscrowd": None}, {"is_crowd": False}),
        ({"keypoints": [1, 2, 1] * 17}, {"labelled": 17}),  # hidden, and labelled all the same
    ],
)
def test_what_may_be_missing(write, change, expected):
    person = read_annotations(write(content(**change))).images[0].people[0]
    assert {name: getattr(person, name) for name in expected} == pytest.approx(expected)


def test_images_keep_their_order_and_their_people(write):
    tree = content()
    tree["images"] = [{"id": index, "file_name": f"{index}.jpg", "width": 9, "height": 9} for index in (9, 3, 4)]
    tree["annotations"] += [{**tree["annotations"][0], "id": 6}, {**tree["annotations"][0], "id": 7, "image_id": 9}]
    found = read_annotations(write(tree)).images
    assert [(image.id, [person.id for person in image.people]) for image in found] == [
        (9, [7]),
        (3, [5, 6]),
        (4, []),
    ]
    assert found[0].crowd_index == 0.0  # computed where the file gives none


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14, PEOPLE19])
def test_the_skeleton_is_known_by_its_names_or_by_the_number_of_keypoints(write, skeleton):
    tree = content(len(skeleton))
    assert read_annotations(write(tree)).skeleton is skeleton
    tree["categories"] = [{"id": 2, "name": "dog"}, {"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}]
    assert read_annotations(write(tree)).skeleton is skeleton
    tree["annotations"][0]["keypoints"] = []  # then only the names can tell; nothing is labelled
    found = read_annotations(write(tree))
    assert found.skeleton is skeleton
    np.testing.assert_array_equal(found.images[0].people[0].keypoints, np.zeros((len(skeleton), 3)))


def test_other_names_go_by_their_number(write):
    """CrowdPose's own files name the keypoints otherwise."""
    tree = content(14)
    tree["categories"] = [{"id": 1, "keypoints": [f"point {index}" for index in range(14)]}]
    assert read_annotations(write(tree)).skeleton is CROWDPOSE14


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("", "not valid JSON"),
        ('{"images": [', "is it truncated?"),
        ("[" * 100_000, "not valid JSON"),
        ([], "expected an object with `images` and `annotations`"),
        ({"images": []}, "expected an object with `images` and `annotations`"),
        (content(16), "16 keypoints fit no known skeleton"),
        ({**content(), "categories": [{"keypoints": ["a", "b"]}]}, "annotation 5: expected 6 keypoint numbers, got 51"),
        ({**content(), "categories": [{"keypoints": "ab"}]}, "must be a list of names, not 'ab'"),
        (content(bbox=None), "annotation 5: has no bbox"),
        (content(image_id=None), "annotation 5: has no image_id"),
        (content(id=None), "annotation entry 0: has no id"),
        (content(bbox=[1, 2, 3]), "annotation 5: box and keypoints must be finite"),
        (content(bbox=[1, 2, float("nan"), 4]), "annotation 5: box and keypoints must be finite"),
        (content(keypoints=[float("inf"), 2, 2] * 17), "annotation 5: box and keypoints must be finite"),
        (content(bbox=["left", 2, 3, 4]), "annotation 5: ValueError: could not convert"),
        (content(bbox=7), "annotation 5: box"),
        (content(image_id=4), "annotation 5: is of image 4, which `images` does not list"),
        ({**content(), "images": [{"id": 3, "width": 4, "height": 4}]}, "image 3: has no file_name"),
        ({**content(), "images": [7]}, "image entry 0: AttributeError"),
        ({**content(), "annotations": 7}, "must be lists"),
        *(
            ({**content(), "images": [{"id": 3, "file_name": name}]}, "leads out of the image folder")
            for name in ("../a.jpg", "/etc/passwd", "a/../../b.jpg", "C:\\a.jpg", "..\\a.jpg")
        ),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(write, tree, message):
    path = write(tree)
    with pytest.raises(AnnotationError, match=message) as caught:
        read_annotations(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_one_person_with_another_number_of_keypoints(write):
    tree = content()
    tree["categories"] = [{"id": 1, "keypoints": list(COCO17.keypoints)}]
    tree["annotations"].append({**tree["annotations"][0], "id": 6, "keypoints": [1, 2, 2] * 14})
    with pytest.raises(AnnotationError, match="annotation 6: expected 51 keypoint numbers, got 42"):
        read_annotations(write(tree))


def test_a_missing_file(tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.json: cannot be read: No such file"):
        load_json(tmp_path / "none.json")
    with pytest.raises(AnnotationError, match="cannot be read: Is a directory"):
        load_json(tmp_path)


@pytest.mark.parametrize(
    ("name", "skeleton", "images", "people"),
    [
        ("golden/evaluation/coco_gt.json", COCO17, 4, 14),
        ("golden/evaluation/crowdpose_gt.json", CROWDPOSE14, 163, 637),
        ("data/coco_people_val.json", COCO17, 245, 1307),
    ],
)
def test_real_files(shared, name, skeleton, images, people):
    found = read_annotations(shared(name))
    assert found.skeleton is skeleton
    assert len(found.images) == images
    assert sum(len(image.people) for image in found.images) == people


def test_only_people_are_read_from_files_that_hold_other_things(tmp_path):
    box = {"image_id": 1, "bbox": [0, 0, 4, 5], "area": 0}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}],
        "annotations": [
            {**box, "id": 1, "category_id": 1, "keypoints": [1.0, 2.0, 2.0] * 17},
            {**box, "id": 2, "category_id": 18},
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}, {"id": 18, "name": "dog"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    (person,) = read_annotations(tmp_path / "a.json").images[0].people
    assert person.id == 1
    assert person.area == 0


def test_sizes_may_be_missing_as_in_some_releases_of_crowdpose(write):
    tree = content()
    tree["images"] = [{"id": 3, "file_name": "a.jpg"}]
    assert read_annotations(write(tree)).images[0].size_wh == (0, 0)


def test_a_list_of_images_that_nobody_annotated(write):
    images = [{"id": 3, "file_name": "a.jpg", "width": 9, "height": 9}]
    found = read_annotations(write({"images": images, "categories": [{"id": 18, "name": "dog"}]}))
    assert found.skeleton is COCO17 and found.images[0].people == () and found.images[0].crowd_index is None


class TestOwnSkeletons:
    NAMES = ("top", "left_foot", "right_foot")
    OWN = Skeleton("tri", NAMES, ((0, 1),), ((0, 1),), ((1, 2),), (0.1, 0.2, 0.2))
    TOML = 'name = "tri"\nkeypoints = ["top", "left_foot", "right_foot"]\nedges = [["top", "left_foot"]]\n'

    def tree(self, names=NAMES, **category):
        return {**content(3), "categories": [{"id": 1, "name": "person", "keypoints": list(names), **category}]}

    def test_the_file_names_one_itself(self, write):
        found = read_annotations(write(self.tree(skeleton=[[1, 2], [1, 9], "x"]))).skeleton
        assert (found.keypoints, found.edges, found.flip_pairs) == (self.NAMES, ((0, 1),), ((1, 2),))
        assert found.sigmas == (DEFAULT_SIGMA,) * 3

    def test_one_is_passed(self, write):
        assert read_annotations(write(self.tree()), self.OWN).skeleton is self.OWN
        assert read_annotations(write(content(3)), self.OWN).skeleton is self.OWN
        assert read_annotations(write(content(17)), self.OWN).skeleton is COCO17

    def test_one_lies_beside_the_file(self, write, tmp_path):
        (tmp_path / "skeleton.toml").write_text(self.TOML + "sigmas = [0.1, 0.2, 0.2]")
        for tree in (self.tree(), content(3), self.tree(["1", "2", "3"])):
            assert read_annotations(write(tree)).skeleton == self.OWN
        assert read_annotations(write(content(14))).skeleton is CROWDPOSE14

    def test_names_nearly_of_a_built_in_one_are_taken_for_it_others_are_not(self, write):
        tree = content(14)
        tree["categories"] = [{"id": 1, "keypoints": [*CROWDPOSE14.keypoints[:12], "top_head", "neck"]}]
        assert read_annotations(write(tree)).skeleton is CROWDPOSE14
        tree["categories"] = [{"id": 1, "keypoints": [f"{letter}_of_a_horse" for letter in "abcdefghijklmn"]}]
        assert read_annotations(write(tree)).skeleton.keypoints[0] == "a_of_a_horse"


def test_images_lie_beside_the_labels(tmp_path):
    assert images_folder(tmp_path / "a.json") == tmp_path / "images"
