"""Round trips through all formats; only what a format declares as lost is lost."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import AnnotationError, ImageError, RSGNetError
from rsgnet.evaluation.conversion import OUTPUT_FORMATS, convert
from rsgnet.evaluation.predicted_people import read_predicted_people
from rsgnet.skeletons import COCO17

SIZES = {"a.png": (200, 100), "b/c.png": (60, 90), "empty.png": (50, 50)}


def person(number, image_id, **change):
    random = np.random.default_rng(number)
    keypoints = np.column_stack([random.uniform(5, 55, (17, 2)), random.integers(0, 3, 17)])
    keypoints[:3, 2] = 0, 1, 2
    keypoints[keypoints[:, 2] == 0] = 0
    entry = {"id": number, "image_id": image_id, "category_id": 1, "iscrowd": 0, "area": 777.5}
    return {**entry, "bbox": [4.5, 3.25, 51.0, 55.5], "keypoints": keypoints.ravel().tolist(), **change}


@pytest.fixture
def labels(tmp_path):
    """Labels with hidden and unlabelled keypoints, a crowd region, a person without keypoints, an empty image."""
    images = []
    for image_id, (name, (width, height)) in enumerate(SIZES.items(), 11):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height)).save(tmp_path / "images" / name)
        images.append({"id": image_id, "file_name": name, "width": width, "height": height, "crowdIndex": 0.5})
    people = [
        person(70, 11),
        person(71, 11, iscrowd=1, keypoints=[0] * 51),
        person(72, 12),
        person(73, 12, keypoints=[0] * 51),
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}
    content = {"images": images, "annotations": people, "categories": [category]}
    (tmp_path / "people.json").write_text(json.dumps(content))
    return tmp_path / "people.json"


@pytest.fixture
def results(labels):
    """Results for these images, with a key that only this package writes."""
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


OUTPUT_NAMES = {
    "coco": "o.json", "coco-results": "o.json", "yolo": "out", "yolo-results": "out", "cvat": "o.xml", "csv": "o.csv"
}  # fmt: skip


def convert_and_read(source, target, **options):
    """Converts a source and reads the result; returns the read annotations and the conversion."""
    out = source.parent / "converted" / OUTPUT_NAMES[target]
    done = convert(source, out, target, images=source.parent / "images", **options)
    return read_predicted_people(done.path) if target == "coco-results" else read_annotations(done.path), done


def named_people(annotations):
    return [
        (Path(image.file_name).name, person)
        for image in sorted(annotations.images, key=lambda image: Path(image.file_name).name)
        for person in image.people
    ]


def assert_equal_people(found, expected, atol):
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=atol)
        np.testing.assert_allclose(one.box_xywh, other.box_xywh, atol=2 * atol)


class TestLabels:
    @pytest.mark.parametrize(
        ("target", "atol", "crowds"),
        [("coco", 0, True), ("csv", 0, True), ("cvat", 0.0051, False), ("yolo", 1e-5, False)],
    )
    def test_round_trip(self, labels, target, atol, crowds):
        found, done = convert_and_read(labels, target)
        expected = [each for each in named_people(read_annotations(labels)) if crowds or not each[1].is_crowd]
        assert_equal_people(named_people(found), expected, atol)
        assert {Path(image.file_name).name: image.size_wh for image in found.images} == {
            Path(name).name: size for name, size in SIZES.items()
        }
        assert found.skeleton is COCO17 and (done.people, done.images) == (len(expected), 3)
        assert ("left out: 1 regions of crowds" in done.losses) == (not crowds)

    @pytest.mark.parametrize("target", ["coco", "csv"])
    def test_formats_that_keep_everything(self, labels, target):
        found, _ = convert_and_read(labels, target)
        for image, before in zip(found.images, read_annotations(labels).images, strict=True):
            assert (image.id, image.file_name, image.crowd_index) == (before.id, before.file_name, 0.5)
            for one, other in zip(image.people, before.people, strict=True):
                assert (one.id, one.area, one.is_crowd) == (other.id, other.area, other.is_crowd)

    @pytest.mark.parametrize("target", ["coco-results", "yolo-results"])
    def test_labels_as_results_have_score_one(self, labels, target):
        found, done = convert_and_read(labels, target)
        expected = [each for each in named_people(read_annotations(labels)) if each[1].num_labelled]
        for (_, one), (_, other) in zip(named_people(found), expected, strict=True):
            assert one.score == 1 and np.array_equal(one.keypoint_scores, other.keypoints[:, 2] > 0)
            np.testing.assert_allclose(one.keypoints[:, :2], other.keypoints[:, :2], atol=1e-5)
        assert done.losses[0].startswith(f"{target} cannot hold: which labels are hidden")
        assert "left out: 1 people without a labelled keypoint" in done.losses

    def test_chains_of_formats(self, labels):
        (labels.parent / "chain").mkdir()
        steps = {"cvat": "a.xml", "csv": "b.csv", "yolo": "c", "coco": "d.json"}
        source = labels
        for target, name in steps.items():
            source = convert(source, labels.parent / "chain" / name, target, images=labels.parent / "images").path
            if target == "yolo":  # file names are now those of the YOLO folder
                assert read_annotations(source).images[0].file_name == "images/train/a.png"
                again = convert(source, labels.parent / "again", "yolo").path
                assert_equal_people(named_people(read_annotations(again)), named_people(read_annotations(source)), 1e-5)
        expected = [each for each in named_people(read_annotations(labels)) if not each[1].is_crowd]
        assert_equal_people(named_people(read_annotations(source)), expected, 0.0052)


class TestResults:
    @pytest.mark.parametrize(("target", "atol"), [("coco-results", 0), ("csv", 0), ("yolo-results", 1e-5)])
    def test_round_trip_keeps_scores(self, results, target, atol):
        found, done = convert_and_read(results, target)
        expected = named_people(read_predicted_people(results))
        assert_equal_people(named_people(found), expected, atol)
        for (_, one), (_, other) in zip(named_people(found), expected, strict=True):
            assert one.score == other.score
            np.testing.assert_allclose(one.keypoint_scores, other.keypoint_scores, atol=1e-7)
        assert "left out: 3 people's box_score" in done.losses

    @pytest.mark.parametrize(("target", "atol"), [("coco", 0), ("cvat", 0.0051), ("yolo", 1e-5)])
    def test_scores_become_labels_by_a_threshold(self, results, target, atol):
        found, done = convert_and_read(results, target, threshold=0.6)
        before = named_people(read_predicted_people(results))
        low = 0
        for (_, one), (_, other) in zip(named_people(found), before, strict=True):
            labelled = other.keypoint_scores >= 0.6
            low += int((~labelled).sum())
            assert one.score is None and one.keypoint_scores is None
            np.testing.assert_allclose(one.keypoints, np.where(labelled[:, None], other.keypoints, 0), atol=atol)
        assert 0 < low < 51 and f"left out: {low} keypoints that score less than 0.6" in done.losses

    def test_without_images_csv_has_no_sizes_and_yolo_raises(self, results, tmp_path):
        moved = tmp_path / "moved" / "poses.json"
        moved.parent.mkdir()
        results.rename(moved)
        convert(moved, tmp_path / "a.csv", "csv")
        assert read_annotations(tmp_path / "a.csv").images[0].size_wh == (0, 0)
        with pytest.raises(ImageError, match=r"a\.png: no such file"):
            convert(moved, tmp_path / "yolo", "yolo-results")

    def test_results_with_ids_only_need_a_list_of_images(self, results, labels):
        entries = json.loads(results.read_text())
        for entry in entries:
            entry["image_id"] = {"a.png": 11, "b/c.png": 12}[entry.pop("file_name")]
        results.write_text(json.dumps(entries))
        with pytest.raises(AnnotationError, match=r"poses\.json: entry 0: has no file_name; give the labels"):
            convert(results, results.with_suffix(".csv"), "csv")
        convert(results, results.with_suffix(".csv"), "csv", listed_in=labels)
        found = read_annotations(results.with_suffix(".csv"))
        assert [(image.id, len(image.people)) for image in found.images] == [(11, 2), (12, 1), (13, 0)]

    def test_frames_of_clips_become_images(self, results, tmp_path):
        one, _, other = json.loads(results.read_text())
        frames = [(0, [{**one, "track_id": 1}, {**other, "track_id": -1}]), (1, []), (2, [{**one, "track_id": 1}])]
        lines = [json.dumps({"file_name": "walks/a.mp4", "frame": frame, "people": each}) for frame, each in frames]
        (tmp_path / "poses.jsonl").write_text("\n".join(lines))
        done = convert(tmp_path / "poses.jsonl", tmp_path / "frames.json", "coco-results")
        assert (done.images, done.people) == (2, 3) and "left out: 3 people's track_id" in done.losses
        images = read_predicted_people(tmp_path / "frames.json")
        assert [each.file_name for each in images.images] == ["walks/a/000000.jpg", "walks/a/000002.jpg"]
        found = named_people(images)
        np.testing.assert_allclose(found[1][1].keypoint_scores, np.array(other["keypoints"])[2::3])


def test_yolo_omits_keypoints_outside_the_image(labels):
    content = json.loads(labels.read_text())
    content["annotations"][0]["keypoints"][3:9] = [250, 30, 2, 30, -4, 1]
    content["annotations"][0]["bbox"] = [-10, 20, 300, 50]
    labels.write_text(json.dumps(content))
    found, done = convert_and_read(labels, "yolo")
    first = found.images[0].people[0]
    assert "left out: 2 keypoints beyond the image" in done.losses and not first.keypoints[1:3].any()
    np.testing.assert_allclose(first.box_xywh, [0, 20, 200, 50], atol=1e-4)


def test_yolo_splits_share_a_folder(labels):
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


def test_images_with_the_same_label_file_raise(labels):
    content = json.loads(labels.read_text())
    content["images"][1]["file_name"] = "a.jpg"
    labels.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match="suffix only"):
        convert(labels, labels.parent / "yolo", "yolo")


def test_unknown_formats_and_splits_raise(labels):
    with pytest.raises(RSGNetError, match=", ".join(OUTPUT_FORMATS)):
        convert(labels, labels.parent / "x", "excel")
    with pytest.raises(RSGNetError, match="expected train, val or test"):
        convert(labels, labels.parent / "x", "yolo", split="../..")
