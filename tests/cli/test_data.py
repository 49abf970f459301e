import json

import pytest
from PIL import Image

from rsgnet.annotations.hash_files import read_hash_file
from rsgnet.crowds.simulator.crowd import simulate_crowd
from rsgnet.skeletons import COCO17


@pytest.fixture
def labels(tmp_path):
    """Writes a label file of two images with one person each, and the images in a folder beside it."""

    def make(name="a", seed=0, **change):
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        images, people = [], []
        for number in (1, 2):
            Image.fromarray(simulate_crowd(seed + number, (120, 90), people=1).image).save(
                folder / "images" / f"{number}.png"
            )
            images.append({"id": number, "file_name": f"{number}.png", "width": 120, "height": 90})
            person = {"id": number, "image_id": number, "category_id": 1, "bbox": [10, 10, 30, 60], "area": 9}
            people.append({**person, "keypoints": [20, 30, 2] * 17, "num_keypoints": 17, **change})
        categories = [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}]
        content = {"images": images, "annotations": people, "categories": categories}
        (folder / f"{name}.json").write_text(json.dumps(content))
        return folder / f"{name}.json"

    return make


class TestCheck:
    def test_a_clean_set(self, rsgnet, labels, tmp_path):
        path = labels()
        code, printed, errors = rsgnet("data", "check", path, "--out", tmp_path / "report.json")
        assert code == 0 and errors == []
        assert printed.splitlines() == [f"{path}: 2 images, 2 people (coco17)", "  0 faults, 0 warnings"]
        assert json.loads((tmp_path / "report.json").read_text())[0]["images_read"] == 2

    def test_faults_are_named_and_the_list_is_limited(self, rsgnet, labels, tmp_path):
        path = labels(num_keypoints=3)
        code, printed, _ = rsgnet("data", "check", path, "--limit", 1, "--out", tmp_path / "report.json")
        assert code == 1
        assert (
            "fault num-keypoints (2)" in printed
            and "and 1 more" in printed
            and printed.endswith("2 faults, 0 warnings\n")
        )
        assert "image 1 (1.png), annotation 1: num_keypoints is 3, but 17 are labelled" in printed
        assert len(json.loads((tmp_path / "report.json").read_text())[0]["findings"]) == 2

    def test_warnings_are_not_faults(self, rsgnet, labels):
        path = labels(keypoints=[20, 30, 2] * 16 + [110, 30, 1])
        code, printed, _ = rsgnet("data", "check", path)
        assert code == 0 and "warning hidden-outside-box (2)" in printed

    @pytest.mark.parametrize("more", [["--against"], []])
    def test_splits_that_share_an_image(self, rsgnet, labels, more):
        one, two = labels("a"), labels("b", seed=1)  # 2.png of the first is 1.png of the second
        code, printed, _ = rsgnet(
            "data", "check", f"{one}:{one.parent / 'images'}", *more, f"{two}:{two.parent / 'images'}"
        )
        assert code == 1 and f"image 2 (2.png): is 1.png of {two}" in printed
        assert printed.count("images,") == (1 if more else 2)

    def test_an_image_of_a_hashed_set_is_found(self, rsgnet, labels, tmp_path):
        """The second image of the checked set is a smaller JPEG of one whose hash is known."""
        train, published = labels("a"), labels("b", seed=10)
        with Image.open(published.parent / "images/1.png") as image:
            image.resize((100, 75)).save(train.parent / "images/2.png", "JPEG")
        code, printed, errors = rsgnet(
            "data", "hash", f"val={published}", "--size", "val=50", "--out", tmp_path / "p.hashes"
        )
        assert code == 0 and printed == f"val={published}: 2 of 2 images hashed\n", errors
        arguments = ["--against", tmp_path / "p.hashes", "--against", "coco:val2017", "--out", tmp_path / "r.json"]
        code, printed, errors = rsgnet("data", "check", train, *arguments)
        assert code == 1, errors
        assert "    image 2 (2.png): is nearly 1.png of val\n" in printed
        assert "  1 images are of val, as far as known: 2 of its 50 images have a hash\n" in printed
        assert "  0 images are of coco:val2017, as far as known: 2057 of its 5000 images have a hash\n" in printed

    def test_labels_without_images(self, rsgnet, labels, tmp_path):
        code, printed, _ = rsgnet("data", "check", labels(), "--images", tmp_path / "nowhere")
        assert code == 0 and "no image was read: --images names their folder" in printed

    def test_not_a_label_file(self, rsgnet, tmp_path):
        (tmp_path / "a.json").write_text("[]")
        assert (
            rsgnet("data", "check", tmp_path / "a.json")[0] == rsgnet("data", "check", tmp_path / "none.json")[0] == 2
        )


def test_hashes_of_sets_named_twice_are_joined(rsgnet, labels, tmp_path):
    one, two = labels("a"), labels("b", seed=10)
    two.write_text(two.read_text().replace('"1.png"', '"3.png"').replace('"2.png"', '"4.png"'))
    (two.parent / "images/1.png").rename(two.parent / "images/3.png")
    code, printed, errors = rsgnet("data", "hash", f"x={one}", f"x={two}", "--out", tmp_path / "p.hashes")
    assert code == 0, errors
    assert printed.splitlines() == [f"x={one}: 2 of 2 images hashed", f"x={two}: 1 of 2 images hashed"]
    (joined,) = read_hash_file(tmp_path / "p.hashes")
    assert (joined.name, joined.size, list(joined.bits)) == ("x", 4, ["1.png", "2.png", "3.png"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x={labels}", "--out", "p.txt"], "ends with .hashes"),
        (["x={labels}", "--size", "x=few", "--out", "p.hashes"], "expected SET=COUNT"),
        (["x=none.json", "--out", "p.hashes"], "none.json does not exist"),
        (["{labels}", "--out", "p.hashes"], "expected SET=LABELS"),
    ],
)
def test_hashes_without_a_name_or_file_raise(rsgnet, labels, tmp_path, arguments, message):
    path = labels()
    given = [tmp_path / each if each.startswith("p.") else each.replace("{labels}", str(path)) for each in arguments]
    code, _, errors = rsgnet("data", "hash", *given)
    assert code == 2 and message in "\n".join(errors)


def test_submission(rsgnet, labels, tmp_path):
    poses = [{"file_name": "1.png", "category_id": 1, "keypoints": [1.0] * 51, "score": 0.5}]
    (tmp_path / "poses.json").write_text(json.dumps(poses))
    code, printed, _ = rsgnet(
        "data", "submission", tmp_path / "poses.json", "--out", tmp_path / "out", "--images", labels()
    )
    assert code == 0
    (entry,) = json.loads((tmp_path / "out/person_keypoints_test-dev2017_rsgnet_results.json").read_text())
    assert entry["image_id"] == 1 and "results.json" in printed


def test_labels_are_completed_from_results(rsgnet, labels, tmp_path):
    path = labels()
    box = {"image_id": 1, "category_id": 1, "bbox": [60, 10, 30, 60]}
    (tmp_path / "boxes.json").write_text(json.dumps([{**box, "score": 0.9}]))
    code, printed, _ = rsgnet("data", "complete", path, tmp_path / "boxes.json", "--out", tmp_path / "all.json")
    assert code == 0
    assert "1 people and 0 regions to ignore added, 0 people completed" in printed
    assert len(json.loads((tmp_path / "all.json").read_text())["annotations"]) == 3


class TestConvert:
    def test_labels_to_another_format_and_back(self, rsgnet, labels, tmp_path):
        source = labels()
        code, printed, _ = rsgnet("data", "convert", source, "--out", tmp_path / "people.xml", "--to", "cvat")
        assert code == 0 and printed.splitlines()[0].endswith("people.xml: 2 people in 2 images")
        assert "cvat cannot hold: scores" in printed
        code, printed, _ = rsgnet(
            "data", "convert", tmp_path / "people.xml", "--out", tmp_path / "back.json", "--to", "coco"
        )
        back = json.loads((tmp_path / "back.json").read_text())
        assert code == 0 and [each["keypoints"][:3] for each in back["annotations"]] == [[20, 30, 2]] * 2
        assert [each["bbox"] for each in back["annotations"]] == [[10, 10, 30, 60]] * 2

    def test_an_unknown_format_is_reported_in_one_line(self, rsgnet, labels, tmp_path):
        code, _, errors = rsgnet("data", "convert", labels(), "--out", tmp_path / "x", "--to", "excel")
        assert code == 2 and errors == [
            "error: no format 'excel'; there are coco, coco-results, yolo, yolo-results, cvat, label-studio, "
            "openpose, csv"
        ]
