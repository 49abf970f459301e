import json
import time

import numpy as np
import pytest

from rsgnet.annotations.readers import find_images_folder, load_json, read_annotations
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17, CROWDPOSE14, DEFAULT_SIGMA, PEOPLE19, Skeleton


def make_content(count=17, **change):
    """Returns the content of a COCO file with one image of one person."""
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


def test_values_of_the_file_are_read(write):
    path = write(make_content())
    found = read_annotations(str(path))
    (image,) = found.images
    (person,) = image.people
    assert (found.path, found.skeleton) == (path, COCO17)
    assert (image.id, image.file_name, image.size_wh, image.crowd_index) == (3, "a/b.jpg", (64, 48), 0.25)
    assert (person.id, person.area, person.is_crowd, person.num_labelled) == (5, 700.0, False, 16)
    np.testing.assert_array_equal(person.box_xywh, [10, 20, 30, 40])
    np.testing.assert_array_equal(person.keypoints, [[1, 2, 2]] * 16 + [[0, 0, 0]])


@pytest.mark.parametrize(
    "box", [[10, 20, -30, 40], [10, 20, 30, -1], [10, 20, 1e308, 40], [-1e308, 20, 30, 40], [0, 0, 2**31, 1]]
)
def test_absurd_boxes_are_named(write, box):
    with pytest.raises(AnnotationError, match=r"truth\.json: annotation 5: a box is left, top, width and height"):
        read_annotations(write(make_content(bbox=box)))


def test_a_name_that_is_no_unicode_is_named(write):
    content = make_content()
    content["images"][0]["file_name"] = "a\ud800.jpg"
    with pytest.raises(AnnotationError, match=r"image 3: file name 'a\\ud800.jpg' has half a character"):
        read_annotations(write(content))


def test_many_categories_and_ids_of_other_types(write):
    content = make_content(category_id=[1])
    content["annotations"] += [{**content["annotations"][0], "id": n, "category_id": 1} for n in range(10, 3000)]
    content["categories"] = [{"id": n, "keypoints": [], "name": "person"} for n in range(20_000)] + [{"id": {}}]
    path = write(content)
    started = time.process_time()
    assert len(read_annotations(path).images[0].people) == 2991
    assert time.process_time() - started < 10  # it took over 10 s when the ids were listed for each person


def test_two_images_of_one_id_are_named(write):
    content = make_content()
    content["images"] *= 2
    with pytest.raises(AnnotationError, match=r"truth\.json: 2 images have the id 3"):
        read_annotations(write(content))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"area": None}, {"area": 0.53 * 30 * 40}),
        ({"iscrowd": 1}, {"is_crowd": True}),
        ({"iscrowd": None}, {"is_crowd": False}),
        ({"keypoints": [1, 2, 1] * 17}, {"num_labelled": 17}),  # hidden keypoints are labelled
    ],
)
def test_optional_values(write, change, expected):
    person = read_annotations(write(make_content(**change))).images[0].people[0]
    assert {name: getattr(person, name) for name in expected} == pytest.approx(expected)


def test_images_keep_their_order_and_people(write):
    tree = make_content()
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
def test_the_skeleton_is_matched_by_names_or_by_the_number_of_keypoints(write, skeleton):
    tree = make_content(len(skeleton))
    assert read_annotations(write(tree)).skeleton is skeleton
    tree["categories"] = [{"id": 2, "name": "dog"}, {"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}]
    assert read_annotations(write(tree)).skeleton is skeleton
    tree["annotations"][0]["keypoints"] = []  # nothing is labelled: only the names remain
    found = read_annotations(write(tree))
    assert found.skeleton is skeleton
    np.testing.assert_array_equal(found.images[0].people[0].keypoints, np.zeros((len(skeleton), 3)))


def test_numbered_names_are_matched_by_their_number(write):
    """CrowdPose's own files have other names."""
    tree = make_content(14)
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
        (make_content(15), "15 keypoints fit no known skeleton"),
        (
            {**make_content(), "categories": [{"keypoints": ["a", "b"]}]},
            "annotation 5: expected 6 keypoint numbers, got 51",
        ),
        ({**make_content(), "categories": [{"keypoints": "ab"}]}, "must be a list of names, not 'ab'"),
        (make_content(bbox=None), "annotation 5: has no bbox"),
        (make_content(image_id=None), "annotation 5: has no image_id"),
        (make_content(id=None), "annotation entry 0: has no id"),
        (make_content(bbox=[1, 2, 3]), "annotation 5: box and keypoints must be finite"),
        (make_content(bbox=[1, 2, float("nan"), 4]), "annotation 5: box and keypoints must be finite"),
        (make_content(keypoints=[float("inf"), 2, 2] * 17), "annotation 5: box and keypoints must be finite"),
        (make_content(bbox=["left", 2, 3, 4]), "annotation 5: ValueError: could not convert"),
        (make_content(bbox=7), "annotation 5: box"),
        (make_content(image_id=4), "annotation 5: is of image 4, which `images` does not list"),
        ({**make_content(), "images": [{"id": 3, "width": 4, "height": 4}]}, "image 3: has no file_name"),
        ({**make_content(), "images": [7]}, "image entry 0: AttributeError"),
        ({**make_content(), "annotations": 7}, "must be lists"),
        *(
            ({**make_content(), "images": [{"id": 3, "file_name": name}]}, "leads out of the image folder")
            for name in ("../a.jpg", "/etc/passwd", "a/../../b.jpg", "C:\\a.jpg", "..\\a.jpg")
        ),
    ],
)
def test_the_message_names_the_file_and_the_problem(write, tree, message):
    path = write(tree)
    with pytest.raises(AnnotationError, match=message) as caught:
        read_annotations(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_person_with_another_number_of_keypoints_is_refused(write):
    tree = make_content()
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


def test_only_people_are_read_from_files_with_other_categories(tmp_path):
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


def test_sizes_may_be_missing(write):
    """Some releases of CrowdPose have none."""
    tree = make_content()
    tree["images"] = [{"id": 3, "file_name": "a.jpg"}]
    assert read_annotations(write(tree)).images[0].size_wh == (0, 0)


def test_a_list_of_images_without_annotations(write):
    images = [{"id": 3, "file_name": "a.jpg", "width": 9, "height": 9}]
    found = read_annotations(write({"images": images, "categories": [{"id": 18, "name": "dog"}]}))
    assert found.skeleton is COCO17 and found.images[0].people == () and found.images[0].crowd_index is None


class TestCustomSkeletons:
    NAMES = ("top", "left_foot", "right_foot")
    CUSTOM = Skeleton("tri", NAMES, ((0, 1),), ((0, 1),), ((1, 2),), (0.1, 0.2, 0.2))
    TOML = 'name = "tri"\nkeypoints = ["top", "left_foot", "right_foot"]\nedges = [["top", "left_foot"]]\n'

    def make_tree(self, names=NAMES, **category):
        return {**make_content(3), "categories": [{"id": 1, "name": "person", "keypoints": list(names), **category}]}

    def test_from_the_names_of_the_file(self, write):
        found = read_annotations(write(self.make_tree(skeleton=[[1, 2], [1, 9], "x"]))).skeleton
        assert (found.keypoints, found.edges, found.flip_pairs) == (self.NAMES, ((0, 1),), ((1, 2),))
        assert found.sigmas == (DEFAULT_SIGMA,) * 3

    def test_as_an_argument(self, write):
        assert read_annotations(write(self.make_tree()), self.CUSTOM).skeleton is self.CUSTOM
        assert read_annotations(write(make_content(3)), self.CUSTOM).skeleton is self.CUSTOM
        assert read_annotations(write(make_content(17)), self.CUSTOM).skeleton is COCO17

    def test_from_skeleton_toml_beside_the_file(self, write, tmp_path):
        (tmp_path / "skeleton.toml").write_text(self.TOML + "sigmas = [0.1, 0.2, 0.2]")
        for tree in (self.make_tree(), make_content(3), self.make_tree(["1", "2", "3"])):
            assert read_annotations(write(tree)).skeleton == self.CUSTOM
        assert read_annotations(write(make_content(14))).skeleton is CROWDPOSE14

    def test_half_of_the_names_suffice_for_a_built_in_skeleton(self, write):
        tree = make_content(14)
        tree["categories"] = [{"id": 1, "keypoints": [*CROWDPOSE14.keypoints[:12], "top_head", "neck"]}]
        assert read_annotations(write(tree)).skeleton is CROWDPOSE14
        tree["categories"] = [{"id": 1, "keypoints": [f"{letter}_of_a_horse" for letter in "abcdefghijklmn"]}]
        assert read_annotations(write(tree)).skeleton.keypoints[0] == "a_of_a_horse"


def test_the_default_image_folder_is_beside_the_labels(tmp_path):
    assert find_images_folder(tmp_path / "a.json") == tmp_path / "images"
