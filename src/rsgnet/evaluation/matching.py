"""The matching of predicted and annotated people by the official rules, for many images at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.annotations.people import Annotations
from rsgnet.evaluation.protocol import OksProtocol
from rsgnet.evaluation.results import Results
from rsgnet.evaluation.similarity import Similarities, compare_poses, pair_with_people, sort_images
from rsgnet.geometry import Floats

NOBODY = -1


@dataclass(frozen=True, eq=False)
class MatchedImage:
    """One image with its predicted poses, its annotated people and their OKS.

    Attributes:
        image_id: The image's id.
        level: "easy", "medium" or "hard" by its crowd index, None without one.
        poses: (N, K, 3) the 20 highest-scored predicted poses, in order of descending score: x, y in image pixels,
            score.
        scores: (N,) scores of the poses.
        people: (M, K, 3) the annotated people: x, y, visibility (0 for not labelled).
        areas: (M,) areas in squared pixels that set the OKS scale.
        counted: (M,) whether the person is evaluated; other people add neither correct nor false poses.
        groups: (M,) whether the annotation is a box around a group, to which any number of poses may be matched.
        oks: (N, M) object keypoint similarity, equal to the official tool's.
    """

    image_id: int
    level: str | None
    poses: Floats
    scores: Floats
    people: Floats
    areas: Floats
    counted: NDArray[np.bool_]
    groups: NDArray[np.bool_]
    oks: Floats

    def drop_poses_below(self, min_score: float) -> MatchedImage:
        """Returns the same image without the poses of a lower score."""
        kept = self.scores >= min_score
        return replace(self, poses=self.poses[kept], scores=self.scores[kept], oks=self.oks[kept])


def match_people(similarities: Similarities, thresholds: ArrayLike, counted: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Assigns predictions to people as the official tools do.

    In order of descending score, each prediction takes the most similar person who is not taken yet, the last of
    equals; people who are evaluated go before those who are not.

    Args:
        similarities: The predictions.
        thresholds: (T,) the least similarity of a match.
        counted: (R, M) whether each person is evaluated, in each of R evaluations.

    Returns:
        (R, T, N) the index of each prediction's person, NOBODY where it has none.
    """
    least = np.minimum(np.asarray(thresholds, np.float64), 1 - 1e-10)
    shape = len(counted), len(least), len(similarities.scores)
    matches = np.full((shape[0] * shape[1], shape[2]), NOBODY)
    pose, owner = pair_with_people(similarities.images, similarities.people_of_image)
    near = np.flatnonzero(similarities.similarity >= least.min(initial=1.0))
    pose, owner, similarity = pose[near], owner[near], similarities.similarity[near]
    rank = np.arange(shape[2]) - np.searchsorted(similarities.images, similarities.images)
    by_rank = np.argsort(rank[pose], kind="stable")
    free = np.ones((len(matches), len(similarities.counted)), bool)
    least, counted = np.tile(least, shape[0])[:, None], np.repeat(counted, shape[1], axis=0)
    for pairs in np.split(by_rank, np.flatnonzero(np.diff(rank[pose][by_rank])) + 1) if len(by_rank) else []:
        # One prediction per image: these do not compete, and the pairs of each are neighbours.
        people, values = owner[pairs], similarity[pairs]
        starts = np.flatnonzero(np.diff(pose[pairs], prepend=-1))
        possible = (free[:, people] | similarities.groups[people]) & (values >= least)
        preferred = possible & counted[:, people]
        has_preferred = np.logical_or.reduceat(preferred, starts, axis=1)
        lengths = np.diff(np.append(starts, len(pairs)))
        possible = np.where(np.repeat(has_preferred, lengths, axis=1), preferred, possible)
        highest = np.maximum.reduceat(np.where(possible, values, -1.0), starts, axis=1)
        is_best = possible & (values == np.repeat(highest, lengths, axis=1))
        best = np.maximum.reduceat(np.where(is_best, np.arange(len(pairs)), -1), starts, axis=1)
        row, column = np.nonzero(best >= 0)
        person = people[best[row, column]]
        matches[row, pose[pairs][starts[column]]] = person
        free[row, person] = False
    return matches.reshape(shape)


def match_images(truth: Annotations, results: Results, protocol: OksProtocol) -> tuple[MatchedImage, ...]:
    """Combines annotations and predicted poses image by image, in order of ascending image id."""
    similarities = compare_poses(truth, results, protocol, protocol.part)
    return split_images(truth, results, similarities)


def split_images(truth: Annotations, results: Results, similarities: Similarities) -> tuple[MatchedImage, ...]:
    """Returns each image of `similarities`, which `compare_poses` computed from the annotations and the results."""
    first_pose = np.searchsorted(similarities.images, np.arange(len(similarities.image_ids) + 1)).tolist()
    first_person = [*similarities.first_person.tolist(), len(similarities.areas)]
    poses_of_image, pairs_of_image = np.diff(first_pose), np.diff(first_pose) * similarities.people_of_image
    first_pair = (np.cumsum(pairs_of_image) - pairs_of_image).tolist()
    poses = results.values[similarities.rows]
    images = []
    for row, image in enumerate(sort_images(truth)):
        own = slice(first_pose[row], first_pose[row + 1])
        people = slice(first_person[row], first_person[row + 1])
        pairs = similarities.similarity[first_pair[row] : first_pair[row] + int(pairs_of_image[row])]
        images.append(
            MatchedImage(
                image_id=image.id,
                level=similarities.levels[row],
                poses=poses[own],
                scores=similarities.scores[own],
                people=np.array([person.keypoints for person in image.people]).reshape(-1, *poses.shape[1:]),
                areas=similarities.areas[people],
                counted=similarities.counted[people],
                groups=similarities.groups[people],
                oks=pairs.reshape(int(poses_of_image[row]), len(image.people)),
            )
        )
    return tuple(images)


def join_images(images: Sequence[MatchedImage]) -> Similarities:
    """Returns the images as flat arrays; `rows` are the indices of the poses among all poses of the images."""
    counts = np.array([len(image.scores) for image in images], np.intp)
    extents = [np.ptp(image.poses[..., :2], axis=1).prod(1) if image.poses.size else np.zeros(0) for image in images]
    none, no_one = np.zeros(0), np.zeros(0, bool)
    return Similarities(
        image_ids=np.array([image.image_id for image in images], np.int64),
        levels=tuple(image.level for image in images),
        rows=np.arange(counts.sum()),
        images=np.repeat(np.arange(len(images)), counts),
        scores=np.concatenate([none, *(image.scores for image in images)]),
        sizes=np.concatenate([none, *extents]),
        people_of_image=np.array([len(image.people) for image in images], np.intp),
        areas=np.concatenate([none, *(image.areas for image in images)]),
        counted=np.concatenate([no_one, *(image.counted for image in images)]),
        groups=np.concatenate([no_one, *(image.groups for image in images)]),
        similarity=np.concatenate([none, *(image.oks.ravel() for image in images)]),
    )


def match_poses(images: Sequence[MatchedImage], thresholds: ArrayLike) -> list[NDArray[np.intp]]:
    """Assigns the poses of each image to its people by `match_people`.

    Args:
        images: The images.
        thresholds: (T,) the least OKS of a match.

    Returns:
        For each image (T, N) the index of each pose's person in the image, NOBODY where it has none.
    """
    similarities = join_images(images)
    matches = match_people(similarities, thresholds, similarities.counted[None])[0]
    own = np.where(matches == NOBODY, NOBODY, matches - similarities.first_person[similarities.images])
    return np.split(own, np.cumsum([len(image.scores) for image in images])[:-1], axis=1) if images else []


def find_matched_pairs(image: MatchedImage, matches: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Returns the indices of each pose and person that are matched, for people who are evaluated.

    Args:
        image: The image.
        matches: (N,) the index of each pose's person at one threshold, as `match_poses` returns it.
    """
    pairs = [(pose, int(person)) for pose, person in enumerate(matches) if person != NOBODY]
    return [(pose, person) for pose, person in pairs if image.counted[person]]
