"""Round trips from any format to any other; what does not come back is what the format says it loses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import AnnotationError, ImageError, RSGNetError
from rsgnet.evaluation.exchange import FORMS, convert, write_submission
from rsgnet.evaluation.found_people import read_found_people
from rsgnet.skeletons import COCO17, CROWDPOSE14

SIZES = {"a.png": (200, 100), "b/c.png": (60, 90), "empty.png": (50, 50)}


def person(number, image_id, **change):
    random = np.random.default_rng(number)
    places = np.column_stack([random.uniform(5, 55, (17, 2)), random.integers(0, 3, 17)])
    places[:3, 2] = 0, 1, 2
    places[places[:, 2] == 0] = 0
    entry = {"id": number, "image_id": image_id, "category_id": 1, "iscrowd": 0, "area": 777.5}
    return {**entry, "bbox": [4.5, 3.25, 51.0, 55.5], "keypoints": places.ravel().tolist(), **change}


@pytest.fixture
def labels(tmp_path):
    """Labels with hidden and unlabelled keypoints, a crowd region, somebody without keypoints, an empty image."""
    images = []
    for image_id, (name, (width, height)) in enumerate(SIZES.items(), 11):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height)).save(tmp_path / "images" / name)
        images.append({"id": image_id, "file_name": name, "width": width, "height": height, "crowdIndex": 0.5})
    everyone = [
        person(70, 11),
        person(71, 11, iscrowd=1, keypoints=[0] * 51),
        person(72, 12),
        person(73, 12, keypoints=[0] * 51),
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}
    content = {"images": images, "annotations": everyone, "categories": [category]}
    (tmp_path / "people.json").write_text(json.dumps(content))
    return tmp_path / "people.json"


@pytest.fixture
def results(labels):
    """What a network found in these images, with what only this package's results carry."""
    random = np.random.default_rng(0)
    entries = [
        {
            "file_name": name,
            "category_id": 1,
            "keypoints": np.column_stack([random.uniform(5, 50, (17, 2)), random.uniform(0, 1, 17)]).ravel().tolist(),
            "score": score,
            "bbox": [3.5, 4.0, 50.0, 44.5],
            "box_score": 0.9,
        }
        for name, score in (("a.png", 0.8), ("a.png", 0.25), ("b/c.png", 0.5))
    ]
    (labels.parent / "poses.json").write_text(json.dumps(entries))
    return labels.parent / "poses.json"


OUT = {
    "coco": "o.json", "coco-results": "o.json", "yolo": "out", "yolo-results": "out", "cvat": "o.xml", "csv": "o.csv"
}  # fmt: skip


def there_and_back(source, form, **options):
    """What is read of a source after it was written in a form."""
    done = convert(source, source.parent / "there" / OUT[form], form, images=source.parent / "images", **options)
    return read_found_people(done.path) if form == "coco-results" else read_annotations(done.path), done


def everyone(annotations):
    return [
        (Path(image.file_name).name, person)
        for image in sorted(annotations.images, key=lambda image: Path(image.file_name).name)
        for person in image.people
    ]


def assert_alike(found, wanted, within):
    assert [name for name, _ in found] == [name for name, _ in wanted]
    for (_, one), (_, other) in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=within)
        np.testing.assert_allclose(one.box_xywh, other.box_xywh, atol=2 * within)


class TestLabels:
    @pytest.mark.parametrize(
        ("form", "within", "crowds"),
        [("coco", 0, True), ("csv", 0, True), ("cvat", 0.0051, False), ("yolo", 1e-5, False)],
    )
    def test_come_back(self, labels, form, within, crowds):
        found, done = there_and_back(labels, form)
        wanted = [each for each in everyone(read_annotations(labels)) if crowds or not each[1].is_crowd]
        assert_alike(everyone(found), wanted, within)
        assert {Path(image.file_name).name: image.size_wh for image in found.images} == {
            Path(name).name: size for name, size in SIZES.items()
        }
        assert found.skeleton is COCO17 and (done.people, done.images) == (len(wanted), 3)
        assert ("left out: 1 regions of crowds" in done.losses) == (not crowds)

    @pytest.mark.parametrize("form", ["coco", "csv"])
    def test_whole_where_a_format_can(self, labels, form):
        found, _ = there_and_back(labels, form)
        for image, before in zip(found.images, read_annotations(labels).images, strict=True):
            assert (image.id, image.file_name, image.crowd_index) == (before.id, before.file_name, 0.5)
            for one, other in zip(image.people, before.people, strict=True):
                assert (one.id, one.area, one.is_crowd) == (other.id, other.area, other.is_crowd)

    @pytest.mark.parametrize("form", ["coco-results", "yolo-results"])
    def test_as_results_score_one_and_say_what_they_lose(self, labels, form):
        found, done = there_and_back(labels, form)
        wanted = [each for each in everyone(read_annotations(labels)) if each[1].labelled]
        for (_, one), (_, other) in zip(everyone(found), wanted, strict=True):
            assert one.score == 1 and np.array_equal(one.keypoint_scores, other.keypoints[:, 2] > 0)
            np.testing.assert_allclose(one.keypoints[:, :2], other.keypoints[:, :2], atol=1e-5)
        assert done.losses[0].startswith(f"{form} cannot hold: which labels are hidden")
        assert "left out: 1 people without a labelled keypoint" in done.losses

    def test_chains_of_formats(self, labels):
        (labels.parent / "chain").mkdir()
        steps = {"cvat": "a.xml", "csv": "b.csv", "yolo": "c", "coco": "d.json"}
        source = labels
        for form, name in steps.items():
            source = convert(source, labels.parent / "chain" / name, form, images=labels.parent / "images").path
            if form == "yolo":  # from here on names are YOLO's
                assert read_annotations(source).images[0].file_name == "images/train/a.png"
                again = convert(source, labels.parent / "again", "yolo").path
                assert_alike(everyone(read_annotations(again)), everyone(read_annotations(source)), 1e-5)
        wanted = [each for each in everyone(read_annotations(labels)) if not each[1].is_crowd]
        assert_alike(everyone(read_annotations(source)), wanted, 0.0052)


class TestResults:
    @pytest.mark.parametrize(("form", "within"), [("coco-results", 0), ("csv", 0), ("yolo-results", 1e-5)])
    def test_keep_their_scores(self, results, form, within):
        found, done = there_and_back(results, form)
        wanted = everyone(read_found_people(results))
        assert_alike(everyone(found), wanted, within)
        for (_, one), (_, other) in zip(everyone(found), wanted, strict=True):
            assert one.score == other.score
            np.testing.assert_allclose(one.keypoint_scores, other.keypoint_scores, atol=1e-7)
        assert "left out: 3 people's box_score" in done.losses

    @pytest.mark.parametrize(("form", "within"), [("coco", 0), ("cvat", 0.0051), ("yolo", 1e-5)])
    def test_become_labels_by_a_threshold(self, results, form, within):
        found, done = there_and_back(results, form, threshold=0.6)
        before = everyone(read_found_people(results))
        unsure = 0
        for (_, one), (_, other) in zip(everyone(found), before, strict=True):
            sure = other.keypoint_scores >= 0.6
            unsure += int((~sure).sum())
            assert one.score is None and one.keypoint_scores is None
            np.testing.assert_allclose(one.keypoints, np.where(sure[:, None], other.keypoints, 0), atol=within)
        assert 0 < unsure < 51 and f"left out: {unsure} keypoints that score less than 0.6" in done.losses

    def test_without_images_a_table_has_no_sizes_and_yolo_cannot_be_written(self, results, tmp_path):
        alone = tmp_path / "alone" / "poses.json"
        alone.parent.mkdir()
        results.rename(alone)
        convert(alone, tmp_path / "a.csv", "csv")
        assert read_annotations(tmp_path / "a.csv").images[0].size_wh == (0, 0)
        with pytest.raises(ImageError, match=r"a\.png: no such file"):
            convert(alone, tmp_path / "yolo", "yolo-results")

    def test_named_by_ids_alone_need_their_list(self, results, labels):
        entries = json.loads(results.read_text())
        for entry in entries:
            entry["image_id"] = {"a.png": 11, "b/c.png": 12}[entry.pop("file_name")]
        results.write_text(json.dumps(entries))
        with pytest.raises(AnnotationError, match=r"poses\.json: entry 0: has no file_name; name the labels"):
            convert(results, results.with_suffix(".csv"), "csv")
        convert(results, results.with_suffix(".csv"), "csv", listed_in=labels)
        found = read_annotations(results.with_suffix(".csv"))
        assert [(image.id, len(image.people)) for image in found.images] == [(11, 2), (12, 1), (13, 0)]

    def test_their_skeleton_is_told_by_their_number(self, results):
        entries = json.loads(results.read_text())
        results.write_text(json.dumps([{**each, "keypoints": each["keypoints"][:42]} for each in entries]))
        assert read_found_people(results).skeleton is CROWDPOSE14
        results.write_text(json.dumps([{**each, "keypoints": each["keypoints"][:9]} for each in entries]))
        with pytest.raises(AnnotationError, match=r"poses\.json: its people's 3 keypoints fit no known skeleton"):
            read_found_people(results)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"file_name": "../../a.png"}, "leads out"),
            ({"bbox": [1, 2, 3]}, "entry 0: bbox must be"),
            ({"score": None}, "entry 0: score must be"),
        ],
    )
    def test_bad_entries_are_named(self, results, change, says):
        entries = json.loads(results.read_text())
        results.write_text(json.dumps([{**entries[0], **change}, *entries[1:]]))
        with pytest.raises(AnnotationError, match=says) as caught:
            read_found_people(results)
        assert "poses.json" in str(caught.value)

    def test_frames_of_clips_become_images(self, results, tmp_path):
        one, _, other = json.loads(results.read_text())
        frames = [(0, [{**one, "track_id": 1}, {**other, "track_id": -1}]), (1, []), (2, [{**one, "track_id": 1}])]
        lines = [json.dumps({"file_name": "walks/a.mp4", "frame": frame, "people": each}) for frame, each in frames]
        (tmp_path / "poses.jsonl").write_text("\n".join(lines))
        told = convert(tmp_path / "poses.jsonl", tmp_path / "frames.json", "coco-results")
        assert (told.images, told.people) == (2, 3) and "left out: 3 people's track_id" in told.losses
        images = read_found_people(tmp_path / "frames.json")
        assert [each.file_name for each in images.images] == ["walks/a/000000.jpg", "walks/a/000002.jpg"]
        found = everyone(images)
        np.testing.assert_allclose(found[1][1].keypoint_scores, np.array(other["keypoints"])[2::3])

    @pytest.mark.parametrize("line", ["{}", "[]", "{", '{"file_name": "a.mp4", "frame": 0, "people": 3}'])
    def test_a_line_that_is_none_is_named(self, tmp_path, line):
        (tmp_path / "poses.jsonl").write_text(f'{{"file_name": "a.mp4", "frame": 0, "people": []}}\n{line}')
        with pytest.raises(AnnotationError, match=r"poses\.jsonl: line 2 is none"):
            read_found_people(tmp_path / "poses.jsonl")

    def test_boxes_that_are_not_given_span_the_keypoints(self, results):
        entries = [
            {key: value for key, value in each.items() if key != "bbox"} for each in json.loads(results.read_text())
        ]
        results.write_text(json.dumps(entries))
        for _, found in everyone(read_found_people(results)):
            corners = found.keypoints[:, :2].min(0), np.ptp(found.keypoints[:, :2], axis=0)
            np.testing.assert_allclose(found.box_xywh, np.concatenate(corners))


def test_what_yolo_refuses_is_left_out(labels):
    content = json.loads(labels.read_text())
    content["annotations"][0]["keypoints"][3:9] = [250, 30, 2, 30, -4, 1]
    content["annotations"][0]["bbox"] = [-10, 20, 300, 50]
    labels.write_text(json.dumps(content))
    found, done = there_and_back(labels, "yolo")
    first = found.images[0].people[0]
    assert "left out: 2 keypoints beyond the image" in done.losses and not first.keypoints[1:3].any()
    np.testing.assert_allclose(first.box_xywh, [0, 20, 200, 50], atol=1e-4)


def test_splits_of_yolo_lie_beside_each_other(labels):
    out = labels.parent / "yolo"
    for split in ("train", "val"):
        convert(labels, out, "yolo", split=split)
        assert len(read_annotations(f"{out}/data.yaml#{split}").images) == 3
    assert (out / "images/val/b/c.png").is_file() and (out / "labels/train/b/c.txt").is_file()
    other = {**json.loads(labels.read_text()), "annotations": [], "categories": []}
    other["categories"] = [{"id": 1, "name": "person", "keypoints": ["top", "foot"]}]
    labels.write_text(json.dumps(other))
    with pytest.raises(AnnotationError, match=r"data\.yaml: describes another data set"):
        convert(labels, out, "yolo", split="test")


def test_images_that_would_share_labels(labels):
    content = json.loads(labels.read_text())
    content["images"][1]["file_name"] = "a.jpg"
    labels.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match="suffix only"):
        convert(labels, labels.parent / "yolo", "yolo")


def test_forms_and_splits_that_are_none(labels):
    with pytest.raises(RSGNetError, match=", ".join(FORMS)):
        convert(labels, labels.parent / "x", "excel")
    with pytest.raises(RSGNetError, match="expected train, val or test"):
        convert(labels, labels.parent / "x", "yolo", split="../..")


POSE = {"image_id": 7, "category_id": 1, "keypoints": [1.23456, 2.0, 0.5] * 17, "score": 0.5, "bbox": [0, 0, 1, 1]}


@pytest.fixture
def listed(tmp_path):
    """COCO's list of test images, which has no annotations and no keypoint names."""
    images = [{"id": number, "file_name": f"{number:012}.jpg", "width": 9, "height": 9} for number in (7, 9)]
    path = tmp_path / "image_info_test-dev2017.json"
    path.write_text(json.dumps({"images": images, "categories": [{"id": 1, "name": "person"}], "info": {}}))
    return path


def poses(count, **change):
    return [{**POSE, "score": index / 100, **change} for index in range(count)]


def test_form_and_name(listed, tmp_path):
    path = write_submission(poses(2, image_id=None, file_name="000000000009.jpg"), listed, tmp_path / "out", "owned")
    assert path == tmp_path / "out" / "person_keypoints_test-dev2017_owned_results.json"
    entries = json.loads(path.read_text())
    assert [sorted(entry) for entry in entries] == [["category_id", "image_id", "keypoints", "score"]] * 2
    assert [(entry["image_id"], entry["category_id"], entry["score"]) for entry in entries] == [(9, 1, 0.01), (9, 1, 0)]
    assert entries[0]["keypoints"] == [1.235, 2.0, 0.5] * 17


def test_the_twenty_surest_of_each_image(listed, tmp_path):
    entries = json.loads(write_submission(poses(30) + poses(3, image_id=9), listed, tmp_path).read_text())
    assert [entry["image_id"] for entry in entries] == [7] * 20 + [9] * 3
    assert [entry["score"] for entry in entries[:20]] == [index / 100 for index in range(29, 9, -1)]


@pytest.mark.parametrize(
    ("results", "name", "message"),
    [
        ([], "a", "holds no poses"),
        (poses(1, image_id=8), "a", "has no image of image_id 8"),
        (poses(1, keypoints=[0.0] * 42), "a", "predict in coco17"),
        (poses(1, score=float("nan")), "a", "finite"),
        (poses(1), "../a", "letters, digits"),
        (poses(1), "", "letters, digits"),
    ],
)
def test_what_the_server_would_refuse_is_refused(listed, tmp_path, results, name, message):
    with pytest.raises(RSGNetError, match=message):
        write_submission(results, listed, tmp_path, name)
