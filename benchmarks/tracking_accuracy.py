"""Compares tracking by boxes, by keypoints, and by keypoints with ownership, in simulated crowds.

`python benchmarks/tracking_accuracy.py [--clips 4] [--frames 100] [--people 14] [--seed 0]`

All three use the same tracker, boxes and poses. Boxes are the annotated ones of the visible part of a person, with
noise; they are missed more often the more of a person is hidden, and there are false ones.

Poses are simulated from the annotations, too, because the shipped networks were not trained on drawn people. `owned` is
about 0.9 for visible keypoints and about 0.5 for hidden ones, and calibrated: a keypoint that is not owned is placed on
that keypoint of the person who hides it, if there is one, or at random in the box. As the heights of heatmaps do,
scores say how clear the keypoint at the position is, whoever owns it. The second row uses scores only, the third
`owned`.

Each method runs with every threshold on other clips (`--tune-seed`), and is reported with the threshold of the best
IDF1, on every frame and on every third frame.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rsgnet.crowds.simulator.walking import FRAME_RATE, simulate_moving_crowd
from rsgnet.evaluation.tracking_metrics import TrackedFrame, TrackingCounts, count_tracks
from rsgnet.geometry import xywh_to_xyxy
from rsgnet.inference.video.tracking import NO_TRACK, Tracker, TrackingConfig
from rsgnet.poses import Poses
from rsgnet.skeletons import COCO17

Truths = list[dict[str, Any]]  # the annotations of one frame
# Keypoint positions, `owned`, keypoint scores, box and box score.
SimulatedPerson = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]

SIZE_WH = (640, 480)
STEPS = (1, 3)
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3)


@dataclass(frozen=True, eq=False)
class SimulatedFrame:
    """The annotated boxes of one frame and simulated predictions."""

    truth_ids: np.ndarray
    truth_boxes: np.ndarray
    poses: Poses


def simulate_clip(truths: Sequence[Truths], seed: int) -> list[SimulatedFrame]:
    random = np.random.default_rng((seed, 1))
    return [simulate_frame(random, frame) for frame in truths]


def simulate_frame(random: np.random.Generator, truths: Truths) -> SimulatedFrame:
    boxes = xywh_to_xyxy(np.array([truth["bbox"] for truth in truths], float).reshape(-1, 4))
    keypoints = {truth["id"]: np.reshape(truth["keypoints"], (-1, 3)) for truth in truths}
    found = [simulate_person(random, truth, box, keypoints) for truth, box in zip(truths, boxes, strict=True)]
    found += [simulate_false_person(random) for _ in range(random.poisson(0.1))]
    people = [person for person in found if person is not None]
    random.shuffle(people)
    positions, owned, scores, boxes_found, box_scores = (
        np.array([person[part] for person in people], np.float32).reshape(-1, *shape)
        for part, shape in enumerate(((17, 2), (17,), (17,), (4,), ()))
    )
    poses = Poses(
        skeleton=COCO17,
        keypoints_xy=positions,
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
    return SimulatedFrame(np.array([truth["id"] for truth in truths], int), boxes, poses)


def simulate_person(
    random: np.random.Generator, truth: dict[str, Any], box: np.ndarray, keypoints: dict[int, np.ndarray]
) -> SimulatedPerson | None:
    """Returns the prediction for one annotated person, None if the person is missed."""
    own, size = keypoints[truth["id"]], box[2:] - box[:2]
    seen = float((own[:, 2] == 2).mean())
    if random.uniform() < 0.03 + 0.6 * max(0.0, 0.5 - seen):
        return None
    scale = np.sqrt(size.prod() * 0.53)
    owned = np.where(own[:, 2] == 2, random.beta(9, 1, 17), random.beta(2, 2, 17))
    positions = own[:, :2] + random.normal(0, 1, (17, 2)) * scale * 1.2 * np.array(COCO17.sigmas)[:, None]
    positions = np.where(own[:, 2:] > 0, positions, random.uniform(box[:2], box[2:], (17, 2)))
    owned = np.where(own[:, 2] > 0, owned, random.beta(1, 9, 17))
    clear = own[:, 2] == 2
    for row in np.flatnonzero((own[:, 2] > 0) & (random.uniform(size=17) > owned)):
        rival = keypoints.get(truth["hidden_by"][row], own)
        clear[row] = rival is not own and rival[row, 2] == 2
        wrong = rival[row, :2] if clear[row] else random.uniform(box[:2], box[2:])
        positions[row] = wrong + random.normal(0, 0.03 * scale, 2)
    scores = np.where(clear, random.beta(9, 2, 17), random.beta(2, 3, 17))
    moved = box + random.normal(0, 0.04, 4) * np.tile(size, 2)
    score = float(np.clip(0.35 + 0.6 * seen + random.normal(0, 0.08), 0.3, 1))
    return positions, owned, scores, moved, score


def simulate_false_person(random: np.random.Generator) -> SimulatedPerson:
    """Returns a person who does not exist, in the form of `simulate_person`."""
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


def remove_ownership(poses: Poses) -> Poses:
    """Returns the poses as of weights without an ownership fit."""
    return replace(poses, present=None, visible=None, owned=None, rival=None, rival_owned=None)


def track(clip: Sequence[SimulatedFrame], config: TrackingConfig, ownership: bool, step: int) -> Iterator[TrackedFrame]:
    tracker = Tracker(config)
    for number, frame in enumerate(clip):
        poses = tracker(frame.poses if ownership else remove_ownership(frame.poses), number * step / FRAME_RATE)
        assert poses.track_ids is not None
        known = poses.track_ids != NO_TRACK
        yield TrackedFrame(frame.truth_ids, frame.truth_boxes, poses.track_ids[known], poses.boxes_xyxy[known])


def measure(
    clips: Sequence[Sequence[SimulatedFrame]], config: TrackingConfig, ownership: bool, step: int
) -> TrackingCounts:
    return sum((count_tracks(track(clip, config, ownership, step)) for clip in clips), TrackingCounts())


def compare(tuning: Sequence[Sequence[SimulatedFrame]], clips: Sequence[Sequence[SimulatedFrame]], step: int) -> None:
    print("| association | threshold | IDF1 | switches | MOTA | missed | false |")
    print("|---|---|---|---|---|---|---|")
    for name, keypoints, ownership in (
        ("box IoU", False, False),
        ("OKS and box", True, False),
        ("OKS by ownership, and box", True, True),
    ):
        configs = [TrackingConfig(use_keypoints=keypoints, min_similarity=threshold) for threshold in THRESHOLDS]
        best = max(configs, key=lambda config: measure(tuning, config, ownership, step).idf1)
        counts = measure(clips, best, ownership, step)
        missed, false = counts.truths - counts.matched, counts.found - counts.matched
        metrics = f"{counts.idf1:.3f} | {counts.switches} | {counts.mota:.3f} | {missed} | {false}"
        print(f"| {name} | {best.min_similarity} | {metrics} |", flush=True)
    print(f"{counts.truths} annotated people, counted in every frame", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("clips", 4), ("frames", 100), ("people", 14), ("seed", 0), ("tune-seed", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    truths = {
        seed: [
            scene.annotations["annotations"]
            for scene in simulate_moving_crowd(seed, options.frames, SIZE_WH, options.people)
        ]
        for first in (options.tune_seed, options.seed)
        for seed in range(first, first + options.clips)
    }
    print(f"{options.clips} clips of {options.frames} frames, {options.people} people each, seed {options.seed}")
    for step in STEPS:
        found = [simulate_clip(frames[::step], seed) for seed, frames in truths.items()]
        print(f"\n{FRAME_RATE / step:.1f} frames per second")
        compare(found[: options.clips], found[options.clips :], step)


if __name__ == "__main__":
    main()
