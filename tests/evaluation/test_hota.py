import numpy as np
import pytest

pytest.importorskip("scipy")

from rsgnet.evaluation.hota import count_hota
from rsgnet.evaluation.tracking_metrics import TrackedFrame, TrackingCounts, count_tracks

SIZE = np.array([40, 80])


def make_clip(seed, length=60):
    """Returns frames of people who walk, come and go, tracked with errors, gaps, false boxes and exchanged tracks."""
    random = np.random.default_rng(seed)
    people = {person: random.uniform(0, 200, 2) for person in range(6)}
    speeds = {person: random.normal(0, 2, 2) for person in people}
    tracks = {person: 10 + person for person in people}
    frames = []
    for time in range(length):
        truth_ids, truth_boxes, found_ids, found_boxes = [], [], [], []
        if random.random() < 0.1:
            one, other = random.choice(6, 2, replace=False).tolist()
            tracks[one], tracks[other] = tracks[other], tracks[one]
        for person, corner in list(people.items()):
            people[person] = corner + speeds[person]
            if (time + 9 * person) % 40 < 30:
                truth_ids.append(person)
                truth_boxes.append([*people[person], *(people[person] + SIZE)])
            if random.random() < 0.8:
                moved = people[person] + random.normal(0, 5, 2)
                found_ids.append(tracks[person])
                found_boxes.append([*moved, *(moved + SIZE)])
        frames.append(
            TrackedFrame(
                np.array(truth_ids, np.intp),
                np.reshape(truth_boxes, (-1, 4)).round(1),
                np.array(found_ids, np.intp),
                np.reshape(found_boxes, (-1, 4)).round(1),
            )
        )
    return frames


CLIPS = [make_clip(seed) for seed in (1, 2, 3)]


@pytest.mark.parametrize(
    ("clip", "hota", "detection", "association"),
    [
        (0, 0.32542641132223, 0.475998308752491, 0.2230067758949065),
        (1, 0.35627389060276665, 0.4760068509620872, 0.26757057177063864),
        (2, 0.29914448498273355, 0.5068869351492097, 0.17698230392117728),
    ],
)
def test_clips_equal_trackeval(clip, hota, detection, association):
    """The figures are TrackEval 1.3.0's, as are those of the next test."""
    counts = count_hota(CLIPS[clip])
    figures = counts.hota, counts.detection_accuracy, counts.association_accuracy
    assert figures == pytest.approx((hota, detection, association), abs=1e-14)


def test_several_clips_together_equal_trackeval():
    first, second, third = map(count_hota, CLIPS)
    together = first + second + third
    assert together.hota == pytest.approx(0.3277973385852684, abs=1e-14)
    assert together.detection_accuracy == pytest.approx(0.48631660306466556, abs=1e-14)
    assert together.association_accuracy == pytest.approx(0.22156390276045865, abs=1e-14)
    counts = sum(map(count_tracks, CLIPS), TrackingCounts())
    assert counts.idf1 == pytest.approx(0.4498229043683589, abs=1e-14)


def test_mota_and_switches_equal_motmetrics():
    """The figures are motmetrics 1.4.0's.

    TrackEval's are 31 and 0.5168: it keeps a person's track only from the very frame before, motmetrics over gaps, too.
    """
    counts = sum(map(count_tracks, CLIPS), TrackingCounts())
    assert counts.switches == 29 and counts.mota == pytest.approx(0.5191846522781774, abs=1e-14)


def test_perfect_tracks_are_one_and_none_are_zero():
    frames = [TrackedFrame(*[each.truth_ids, each.truth_boxes_xyxy] * 2) for each in CLIPS[0]]
    assert count_hota(frames).hota == pytest.approx(1)
    nobody = np.zeros(0, np.intp), np.zeros((0, 4))
    missed = [TrackedFrame(each.truth_ids, each.truth_boxes_xyxy, *nobody) for each in CLIPS[0]]
    assert count_hota(missed).hota == 0 and count_hota([TrackedFrame(*nobody, *nobody)]).hota == 0
    assert count_hota([]).hota == 0
