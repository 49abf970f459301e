import json
import sys
from dataclasses import asdict

import numpy as np
import pytest

from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.tracking_metrics import TrackedFrame, TrackingCounts, count_tracks, read_clips

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


def test_read_clips(tmp_path):
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
        (TRUTH, [LINE, "{"], "poses.jsonl: line 2 is not a frame of a poses.jsonl"),
        (TRUTH, [{"file_name": "a.mp4", "frame": 0, "people": [{"bbox": [1, 2, 3, 4]}]}], "line 1 .*track_id"),
        (TRUTH, [{**LINE, "people": [{"track_id": 1, "bbox": [1, 2]}]}], "poses.jsonl: frame 1 of a.mp4"),
        (TRUTH, [{**LINE, "file_name": "b.mp4"}], "poses.jsonl: has no line of a.mp4"),
    ],
)
def test_invalid_files_are_named(tmp_path, truth, lines, message):
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path, truth, *lines)


def test_missing_file_raises(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    with pytest.raises(AnnotationError, match=r"nowhere\.jsonl: cannot be read"):
        read_clips(tmp_path / "truth.json", tmp_path / "nowhere.jsonl")


pytest.importorskip("scipy")


def frame(truth, found):
    """Returns a frame of people and tracks, given as the left edge of a 10x10 box by id."""
    ids_and_boxes = []
    for left_edges in (truth, found):
        boxes = np.reshape([[x, 0, x + 10, 10] for x in left_edges.values()], (-1, 4))
        ids_and_boxes += [np.array(list(left_edges), int), boxes]
    return TrackedFrame(*ids_and_boxes)


def count(*frames):
    return count_tracks([frame(*each) for each in frames])


def test_perfect_tracks():
    counts = count(*[({1: 0, 2: 50}, {7: 1, 8: 51})] * 3)
    assert counts == TrackingCounts(truths=6, found=6, matched=6, switches=0, identified=6)
    assert (counts.mota, counts.idf1) == (1, 1)


def test_person_with_two_tracks():
    """4 frames, the track changes after 2: one switch, and half of the boxes have the same identity."""
    counts = count(*[({1: 0}, {7: 0})] * 2, *[({1: 0}, {8: 0})] * 2)
    assert counts == TrackingCounts(4, 4, 4, 1, 2)
    assert (counts.mota, counts.idf1) == (pytest.approx(1 - 1 / 4), pytest.approx(2 * 2 / 8))


def test_swapped_tracks():
    """5 frames, tracks swapped after 3: two switches, and identities agree in 3 frames each."""
    counts = count(*[({1: 0, 2: 50}, {7: 0, 8: 50})] * 3, *[({1: 0, 2: 50}, {7: 50, 8: 0})] * 2)
    assert counts == TrackingCounts(10, 10, 10, 2, 6)
    assert (counts.mota, counts.idf1) == (pytest.approx(0.8), pytest.approx(0.6))


def test_misses_and_false_boxes():
    """3 frames of 2 people: person 2 is missed twice, and one box is false."""
    counts = count(({1: 0, 2: 50}, {7: 0, 8: 50}), ({1: 0, 2: 50}, {7: 0, 9: 200}), ({1: 0, 2: 50}, {7: 0}))
    assert counts == TrackingCounts(6, 5, 4, 0, 4)
    assert (counts.mota, counts.idf1) == (pytest.approx(1 - (2 + 1) / 6), pytest.approx(2 * 4 / 11))


def test_a_track_is_kept_while_it_overlaps():
    counts = count(({1: 0}, {7: 0}), ({1: 0}, {7: 3, 8: 0}))  # 7 of 13 overlap
    assert counts == TrackingCounts(2, 3, 2, 0, 2)


def test_switches_after_a_gap():
    for later, switches in ((7, 0), (8, 1)):
        assert count(({1: 0}, {7: 0}), ({1: 0}, {}), ({1: 0}, {later: 0})).switches == switches


def test_the_number_of_matches_is_maximised_first():
    """Track 7 is nearest to person 1, but both people are matched only as 1-8 and 2-7."""
    counts = count(({1: 0, 2: 4}, {7: 1, 8: -3}))
    assert counts.matched == 2


@pytest.mark.parametrize(("shift", "matched"), [(3.3, 1), (3.4, 0)])
def test_boxes_match_at_an_iou_of_one_half(shift, matched):
    assert count(({1: 0}, {7: shift})).matched == matched


def test_counts_add_up_and_empty_counts_are_nan():
    one, other = count(({1: 0}, {7: 0})), count(({1: 0}, {}))
    assert asdict(one + other) == {"truths": 2, "found": 1, "matched": 1, "switches": 0, "identified": 1}
    assert np.isnan([TrackingCounts().mota, TrackingCounts().idf1]).all()
    assert count(({}, {})) == TrackingCounts()


def test_repeated_ids_raise():
    with pytest.raises(RSGNetError, match="different ids"):
        TrackedFrame(np.array([1, 1]), np.zeros((2, 4)), np.array([]), np.zeros((0, 4)))


def test_without_scipy_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(RSGNetError, match=r"pip install 'rsgnet\[video\]'"):
        count(({1: 0}, {7: 0}))
