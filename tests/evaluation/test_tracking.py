import json
import sys
from dataclasses import asdict

import numpy as np
import pytest

from rsgnet.errors import AnnotationError, RSGNetError
from rsgnet.evaluation.tracking import TrackedFrame, TrackingCounts, count_tracks, read_clips

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


pytest.importorskip("scipy")


def frame(truth, found):
    """A frame of people and tracks, each an id and where its box of 10x10 begins."""
    sides = []
    for each in (truth, found):
        sides += [np.array(list(each), int), np.reshape([[x, 0, x + 10, 10] for x in each.values()], (-1, 4))]
    return TrackedFrame(*sides)


def count(*frames):
    return count_tracks([frame(*each) for each in frames])


def test_all_is_well():
    counts = count(*[({1: 0, 2: 50}, {7: 1, 8: 51})] * 3)
    assert counts == TrackingCounts(truths=6, found=6, matched=6, switches=0, identified=6)
    assert (counts.mota, counts.idf1) == (1, 1)


def test_one_person_with_two_tracks():
    """4 frames, the track changes after 2: one switch of 4, half of the boxes are one identity's."""
    counts = count(*[({1: 0}, {7: 0})] * 2, *[({1: 0}, {8: 0})] * 2)
    assert counts == TrackingCounts(4, 4, 4, 1, 2)
    assert (counts.mota, counts.idf1) == (pytest.approx(1 - 1 / 4), pytest.approx(2 * 2 / 8))


def test_two_people_swap_their_tracks():
    """5 frames, swapped after 3: two switches of 10; identities hold for 3 frames each."""
    counts = count(*[({1: 0, 2: 50}, {7: 0, 8: 50})] * 3, *[({1: 0, 2: 50}, {7: 50, 8: 0})] * 2)
    assert counts == TrackingCounts(10, 10, 10, 2, 6)
    assert (counts.mota, counts.idf1) == (pytest.approx(0.8), pytest.approx(0.6))


def test_misses_and_false_boxes():
    """3 frames of 2 people: person 2 missed twice, one false box far off."""
    counts = count(({1: 0, 2: 50}, {7: 0, 8: 50}), ({1: 0, 2: 50}, {7: 0, 9: 200}), ({1: 0, 2: 50}, {7: 0}))
    assert counts == TrackingCounts(6, 5, 4, 0, 4)
    assert (counts.mota, counts.idf1) == (pytest.approx(1 - (2 + 1) / 6), pytest.approx(2 * 4 / 11))


def test_a_track_is_held_while_it_fits_though_another_is_nearer():
    counts = count(({1: 0}, {7: 0}), ({1: 0}, {7: 3, 8: 0}))  # 7 of 13 overlap
    assert counts == TrackingCounts(2, 3, 2, 0, 2)


def test_after_a_gap_the_same_track_is_no_switch_and_another_is():
    for later, switches in ((7, 0), (8, 1)):
        assert count(({1: 0}, {7: 0}), ({1: 0}, {}), ({1: 0}, {later: 0})).switches == switches


def test_as_many_as_possible_are_matched_before_the_nearest():
    """Track 7 fits person 1 best, but only so can both have one: 1-8 at 4 px, 2-7 at 3 px apart."""
    counts = count(({1: 0, 2: 4}, {7: 1, 8: -3}))
    assert counts.matched == 2


@pytest.mark.parametrize(("apart", "matched"), [(3.3, 1), (3.4, 0)])
def test_boxes_match_at_an_iou_of_one_half(apart, matched):
    assert count(({1: 0}, {7: apart})).matched == matched


def test_counts_add_up_and_nobody_is_no_number():
    one, other = count(({1: 0}, {7: 0})), count(({1: 0}, {}))
    assert asdict(one + other) == {"truths": 2, "found": 1, "matched": 1, "switches": 0, "identified": 1}
    assert np.isnan([TrackingCounts().mota, TrackingCounts().idf1]).all()
    assert count(({}, {})) == TrackingCounts()


def test_an_id_comes_once():
    with pytest.raises(RSGNetError, match="different ids"):
        TrackedFrame(np.array([1, 1]), np.zeros((2, 4)), np.array([]), np.zeros((0, 4)))


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(RSGNetError, match=r"pip install 'rsgnet\[video\]'"):
        count(({1: 0}, {7: 0}))
