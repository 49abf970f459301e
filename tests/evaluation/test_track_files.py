import json

import pytest

from rsgnet.errors import AnnotationError
from rsgnet.evaluation.track_files import read_clips

TRUTH = {
    "videos": [{"id": 1, "file_name": "a.mp4"}],
    "images": [{"id": 5, "video_id": 1, "frame_id": 1}, {"id": 4, "video_id": 1, "frame_id": 0}],
    "annotations": [
        {"image_id": 4, "track_id": 2, "bbox": [1, 2, 3, 4]},
        {"image_id": 5, "track_id": 2, "bbox": [2, 2, 3, 4]},
        {"image_id": 5, "track_id": 3, "bbox": [9, 9, 1, 1]},
    ],
}
LINE = {
    "file_name": "a.mp4",
    "frame": 1,
    "people": [{"track_id": 1, "bbox": [2, 2, 3, 4]}, {"track_id": -1, "bbox": []}],
}


def read(tmp_path, truth, *lines):
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "poses.jsonl").write_text(
        "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    )
    return read_clips(tmp_path / "truth.json", tmp_path / "poses.jsonl")


def test_frames_are_matched_and_those_without_a_line_are_empty(tmp_path):
    clips = read(tmp_path, TRUTH, LINE, {**LINE, "file_name": "other.mp4"})
    assert list(clips) == ["a.mp4"]
    first, second = clips["a.mp4"]
    assert (first.truth_ids.tolist(), first.found_ids.tolist()) == ([2], [])
    assert (second.truth_ids.tolist(), second.found_ids.tolist()) == ([2, 3], [1])
    assert second.truth_boxes_xyxy.tolist() == [[2, 2, 5, 6], [9, 9, 10, 10]]
    assert second.found_boxes_xyxy.tolist() == [[2, 2, 5, 6]]


@pytest.mark.parametrize(
    ("truth", "lines", "message"),
    [
        ({"images": [], "annotations": []}, [LINE], "truth.json: no clips with tracks .*rsgnet crowds --frames"),
        (TRUTH, [LINE, "{"], "poses.jsonl: line 2 is none of a poses.jsonl"),
        (TRUTH, [{"file_name": "a.mp4", "frame": 0, "people": [{"bbox": [1, 2, 3, 4]}]}], "line 1 .*track_id"),
        (TRUTH, [{**LINE, "people": [{"track_id": 1, "bbox": [1, 2]}]}], "poses.jsonl: frame 1 of a.mp4"),
        (TRUTH, [{**LINE, "file_name": "b.mp4"}], "poses.jsonl: has no line of a.mp4"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, truth, lines, message):
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path, truth, *lines)


def test_a_missing_file(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    with pytest.raises(AnnotationError, match=r"nowhere\.jsonl: cannot be read"):
        read_clips(tmp_path / "truth.json", tmp_path / "nowhere.jsonl")
