"""Following people through simulated crowds: by boxes alone, by keypoints, and by keypoints and whose they are.

`python benchmarks/tracking.py [--clips 4] [--frames 100] [--people 14] [--seed 0]`

All three get the same boxes and poses, and are the same tracker. Boxes are the truth's, of what is seen of a person,
moved about and dropped, the more of a person is hidden the oftener, with false ones among them.

Poses come from the truth too, not from a network: the shipped ones never saw a drawn person. `owned` is drawn about 0.9
for keypoints that are seen and about 0.5 for hidden ones, and is right as often as it says: where it is not, the
keypoint of whoever hides it is found instead, if anybody does, else some place in the box. Scores say how clear a
keypoint at the place found is, whosever it is, as heatmaps do. The second row has these alone, the third `owned`.

Each runs at every one of several thresholds on other clips (`--tune-seed`), and is shown at the one with the best IDF1;
once on every frame, once on every third.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rsgnet.crowds.simulator.walking import FRAME_RATE, moving_crowd
from rsgnet.evaluation.tracking import TrackedFrame, TrackingCounts, count_tracks
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.inference.video.tracking import NOBODY, Tracker, TrackingConfig
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17

Truths = list[dict[str, Any]]  # the annotations of one frame

SIZE_WH = (640, 480)
STEPS = (1, 3)
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3)


@dataclass(frozen=True, eq=False)
class FoundFrame:
    """One frame: the truth, and what a detector and a pose network might find in it."""

    truth_ids: np.ndarray
    truth_boxes: np.ndarray
    poses: Poses


def noisy_clip(truths: Sequence[Truths], seed: int) -> list[FoundFrame]:
    random = np.random.default_rng((seed, 1))
    return [noisy_frame(random, frame) for frame in truths]


def noisy_frame(random: np.random.Generator, truths: Truths) -> FoundFrame:
    boxes = xywh_to_xyxy(np.array([truth["bbox"] for truth in truths], float).reshape(-1, 4))
    keypoints = {truth["id"]: np.reshape(truth["keypoints"], (-1, 3)) for truth in truths}
    found = [noisy_person(random, truth, box, keypoints) for truth, box in zip(truths, boxes, strict=True)]
    found += [false_person(random) for _ in range(random.poisson(0.1))]
    people = [person for person in found if person is not None]
    random.shuffle(people)
    places, owned, scores, boxes_found, box_scores = (
        np.array([person[part] for person in people], np.float32).reshape(-1, *shape)
        for part, shape in enumerate(((17, 2), (17,), (17,), (4,), ()))
    )
    poses = Poses(
        skeleton=COCO17,
        keypoints_xy=places,
        scores=scores,
        boxes_xyxy=boxes_found,
        box_scores=box_scores,
        pose_scores=box_scores,
        size_wh=SIZE_WH,
        present=owned,
        visible=owned,
        owned=owned,
        rival=np.full(owned.shape, -1),
        rival_owned=np.zeros_like(owned),
    )
    return FoundFrame(np.array([truth["id"] for truth in truths], int), boxes, poses)


def noisy_person(random, truth, box, keypoints):  # type: ignore[no-untyped-def]
    """Places, `owned`, scores, box and its score as they might be found; None where nobody is."""
    own, size = keypoints[truth["id"]], box[2:] - box[:2]
    seen = float((own[:, 2] == 2).mean())
    if random.uniform() < 0.03 + 0.6 * max(0.0, 0.5 - seen):
        return None
    scale = np.sqrt(size.prod() * 0.53)
    owned = np.where(own[:, 2] == 2, random.beta(9, 1, 17), random.beta(2, 2, 17))
    places = own[:, :2] + random.normal(0, 1, (17, 2)) * scale * 1.2 * np.array(COCO17.sigmas)[:, None]
    places = np.where(own[:, 2:] > 0, places, random.uniform(box[:2], box[2:], (17, 2)))
    owned = np.where(own[:, 2] > 0, owned, random.beta(1, 9, 17))
    clear = own[:, 2] == 2
    for row in np.flatnonzero((own[:, 2] > 0) & (random.uniform(size=17) > owned)):
        rival = keypoints.get(truth["hidden_by"][row], own)
        clear[row] = rival is not own and rival[row, 2] == 2
        wrong = rival[row, :2] if clear[row] else random.uniform(box[:2], box[2:])
        places[row] = wrong + random.normal(0, 0.03 * scale, 2)
    scores = np.where(clear, random.beta(9, 2, 17), random.beta(2, 3, 17))
    moved = box + random.normal(0, 0.04, 4) * np.tile(size, 2)
    score = float(np.clip(0.35 + 0.6 * seen + random.normal(0, 0.08), 0.3, 1))
    return places, owned, scores, moved, score


def false_person(random):  # type: ignore[no-untyped-def]
    size = random.uniform((20, 60), (80, 220))
    left_top = random.uniform((0, 0), np.array(SIZE_WH) - size)
    box = np.concatenate([left_top, left_top + size])
    return (
        random.uniform(box[:2], box[2:], (17, 2)),
        random.beta(2, 4, 17),
        random.beta(2, 3, 17),
        box,
        float(random.uniform(0.3, 0.6)),
    )


def without_ownership(poses: Poses) -> Poses:
    """The same poses of a network that does not tell whose a keypoint is."""
    return replace(poses, present=None, visible=None, owned=None, rival=None, rival_owned=None)


def followed(clip: Sequence[FoundFrame], config: TrackingConfig, ownership: bool, step: int) -> Iterator[TrackedFrame]:
    tracker = Tracker(config)
    for number, frame in enumerate(clip):
        poses = tracker(frame.poses if ownership else without_ownership(frame.poses), number * step / FRAME_RATE)
        assert poses.track_ids is not None
        known = poses.track_ids != NOBODY
        yield TrackedFrame(frame.truth_ids, frame.truth_boxes, poses.track_ids[known], poses.boxes_xyxy[known])


def measured(
    clips: Sequence[Sequence[FoundFrame]], config: TrackingConfig, ownership: bool, step: int
) -> TrackingCounts:
    return sum((count_tracks(followed(clip, config, ownership, step)) for clip in clips), TrackingCounts())


def compare(tuning: Sequence[Sequence[FoundFrame]], clips: Sequence[Sequence[FoundFrame]], step: int) -> None:
    print("| association | threshold | IDF1 | switches | MOTA | missed | false |")
    print("|---|---|---|---|---|---|---|")
    for name, keypoints, ownership in (
        ("box IoU", False, False),
        ("OKS and box", True, False),
        ("OKS by ownership, and box", True, True),
    ):
        configs = [TrackingConfig(keypoints=keypoints, least_likeness=least) for least in THRESHOLDS]
        best = max(configs, key=lambda config: measured(tuning, config, ownership, step).idf1)
        counts = measured(clips, best, ownership, step)
        missed, false = counts.truths - counts.matched, counts.found - counts.matched
        figures = f"{counts.idf1:.3f} | {counts.switches} | {counts.mota:.3f} | {missed} | {false}"
        print(f"| {name} | {best.least_likeness} | {figures} |", flush=True)
    print(f"{counts.truths} people to be found, each counted in every frame", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("clips", 4), ("frames", 100), ("people", 14), ("seed", 0), ("tune-seed", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    truths = {
        seed: [
            scene.annotations["annotations"] for scene in moving_crowd(seed, options.frames, SIZE_WH, options.people)
        ]
        for first in (options.tune_seed, options.seed)
        for seed in range(first, first + options.clips)
    }
    print(f"{options.clips} clips of {options.frames} frames, {options.people} people each, seed {options.seed}")
    for step in STEPS:
        found = [noisy_clip(frames[::step], seed) for seed, frames in truths.items()]
        print(f"\n{FRAME_RATE / step:.1f} frames a second")
        compare(found[: options.clips], found[options.clips :], step)


if __name__ == "__main__":
    main()
