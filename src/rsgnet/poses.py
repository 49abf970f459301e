"""Poses: the one value that leaves the pipeline, and how alike two poses are."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.draw import draw_poses
from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats, xyxy_to_xywh
from rsgnet.skeletons import Skeleton

if TYPE_CHECKING:
    from PIL import Image


def oks(
    first: ArrayLike, second: ArrayLike, areas: ArrayLike, sigmas: ArrayLike, counted: ArrayLike | None = None
) -> Floats:
    """Object keypoint similarity of each pose with each other.

    Args:
        first: (N, K, 2) keypoints.
        second: (M, K, 2) keypoints.
        areas: (N,), (M,) reshaped to (1, M), or (N, M) areas in squared pixels that set the scale.
        sigmas: (K,) falloffs.
        counted: (N, K) or (N, M, K) which keypoints count, or how much each does; all alike where None.

    Returns:
        (N, M) in 0..1; 0 where no keypoint counts.
    """
    one, two = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    scale = np.asarray(areas, np.float64)
    scale = scale[:, None] if scale.ndim == 1 else scale
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    errors = ((one - two) ** 2).sum(-1) / variances / (scale[..., None] + np.spacing(1)) / 2
    similarity = np.exp(-errors)
    weight = np.ones(similarity.shape) if counted is None else np.asarray(counted, np.float64)
    weight = np.broadcast_to(weight if weight.ndim == 3 else weight[:, None], similarity.shape)
    total = weight.sum(-1)
    alike: Floats = np.divide((similarity * weight).sum(-1), total, out=np.zeros(total.shape), where=total > 0)
    return alike


OWNERSHIP = ("present", "visible", "owned", "rival", "rival_owned")


@dataclass(frozen=True, eq=False)
class Poses:
    """The people of one image.

    Attributes:
        skeleton: The keypoints' names, order and edges.
        keypoints_xy: (N, K, 2) places in image pixels.
        scores: (N, K) how sure the network is of each, the height of its heatmap.
        boxes_xyxy: (N, 4) the boxes that the poses were sought in, in image pixels.
        box_scores: (N,) the detector's scores of them.
        pose_scores: (N,) box score times the share of the person's keypoints, as far as they are present, that is
            expected to be right; without an ownership fit, times the mean score of the keypoints above the threshold.
        size_wh: Width and height of the image.
        file_name: The image's file name, "" where it has none.
        image_id: The image's id in an annotation file, None where it has none.
        image: (H, W, 3) the RGB image itself where it is kept, for `draw`.
        present: (N, K) how likely each keypoint is there at all, in the crop about the person's box, in 0..1.
        visible: (N, K) how likely it is there and can be seen.
        owned: (N, K) how likely, if it is there, the place is right and this person's and nobody else's.
        rival: (N, K) the index of the person in these poses with the best claim to the same place, -1 for nobody.
        rival_owned: (N, K) that person's `owned` there, 0 where there is nobody.
        candidates: (N, K, P, 4) the places that competed for each keypoint, everyone's in the person's crop, highest
            first: x, y in image pixels, height, and how much the person's other keypoints are related to it in 0..1;
            rows of zeros for none. None where the network gives none, or nobody was found.
        track_ids: (N,) who each person is through the frames of a clip, from 1, -1 for nobody known; None of images.

    `present` to `rival_owned` are all None where the weights carry no ownership fit (`rsgnet calibrate`).

    Raises:
        RSGNetError: The shapes do not agree.
    """

    skeleton: Skeleton
    keypoints_xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    boxes_xyxy: NDArray[np.float32]
    box_scores: NDArray[np.float32]
    pose_scores: NDArray[np.float32]
    size_wh: tuple[int, int]
    file_name: str = ""
    image_id: int | None = None
    image: NDArray[np.uint8] | None = field(default=None, repr=False)
    present: NDArray[np.float32] | None = None
    visible: NDArray[np.float32] | None = None
    owned: NDArray[np.float32] | None = None
    rival: NDArray[np.intp] | None = None
    rival_owned: NDArray[np.float32] | None = None
    candidates: NDArray[np.float32] | None = field(default=None, repr=False)
    track_ids: NDArray[np.intp] | None = None

    def __post_init__(self) -> None:
        people, count = len(self.keypoints_xy), len(self.skeleton)
        expected = {
            "keypoints_xy": (people, count, 2),
            "scores": (people, count),
            "boxes_xyxy": (people, 4),
            "box_scores": (people,),
            "pose_scores": (people,),
            **dict.fromkeys(self.ownership(), (people, count)),
            **({} if self.track_ids is None else {"track_ids": (people,)}),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise RSGNetError(f"Poses.{name} must have shape {shape}, not {getattr(self, name).shape}")
        table = self.candidates
        if table is not None and table.shape != (people, count, *table.shape[2:3], 4):
            raise RSGNetError(f"Poses.candidates must have shape ({people}, {count}, P, 4), not {table.shape}")
        if len(self.ownership()) not in (0, len(OWNERSHIP)):
            raise RSGNetError(f"Poses has {', '.join(self.ownership())} but not all of {', '.join(OWNERSHIP)}")

    def ownership(self) -> dict[str, Any]:
        """(N, K) `present`, `visible`, `owned`, `rival` and `rival_owned` by name; empty where there are none."""
        return {name: value for name in OWNERSHIP if (value := getattr(self, name)) is not None}

    def __len__(self) -> int:
        return len(self.keypoints_xy)

    def __getitem__(self, people: Any) -> Poses:
        """The people that an index, slice, list or mask selects."""
        rows = np.atleast_1d(np.arange(len(self))[people])
        return replace(
            self,
            keypoints_xy=self.keypoints_xy[rows],
            scores=self.scores[rows],
            boxes_xyxy=self.boxes_xyxy[rows],
            box_scores=self.box_scores[rows],
            pose_scores=self.pose_scores[rows],
            candidates=None if self.candidates is None else self.candidates[rows],
            track_ids=None if self.track_ids is None else self.track_ids[rows],
            **self._ownership_of(rows),
        )

    def _ownership_of(self, rows: NDArray[np.intp]) -> dict[str, Any]:
        """That of some people; whoever is not among them is nobody's rival any more."""
        chosen = {name: value[rows] for name, value in self.ownership().items()}
        if self.rival is not None:
            moved = np.full(len(self) + 1, -1, np.intp)  # the last is for nobody, -1
            moved[rows[::-1]] = np.arange(len(rows))[::-1]
            chosen["rival"] = moved[chosen["rival"]]
            chosen["rival_owned"] = np.where(chosen["rival"] < 0, np.float32(0), chosen["rival_owned"])
        return chosen

    def to_skeleton(self, skeleton: Skeleton) -> Poses:
        """The same poses in another skeleton's order; a keypoint that this one lacks raises.

        Raises:
            RSGNetError: `skeleton` has a keypoint that these poses do not.
        """
        index = skeleton.indices_in(self.skeleton)
        if (index < 0).any():
            missing = [name for name, found in zip(skeleton.keypoints, index, strict=True) if found < 0]
            raise RSGNetError(
                f"{self.skeleton.name} poses have no {', '.join(missing)}, which {skeleton.name} asks for"
            )
        return replace(
            self,
            skeleton=skeleton,
            keypoints_xy=self.keypoints_xy[:, index],
            scores=self.scores[:, index],
            candidates=None if self.candidates is None else self.candidates[:, index],
            **{name: value[:, index] for name, value in self.ownership().items()},
        )

    def to_coco(self, candidates: bool = False) -> list[dict[str, Any]]:
        """One COCO keypoint result a person; the third of each keypoint's numbers is its score.

        Where they are known, `present`, `visible`, `owned`, `rival` and `rival_owned` are lists of one number a
        keypoint; `rival` counts this image's results from 0, -1 for nobody. So is `track_id`, one number.

        Args:
            candidates: Whether `candidates` is told, too, where known: a list of x, y, height, support a keypoint.
        """
        boxes = xyxy_to_xywh(self.boxes_xyxy)
        results = []
        for person in range(len(self)):
            triples = np.column_stack([self.keypoints_xy[person], self.scores[person]])
            result: dict[str, Any] = {
                "file_name": self.file_name,
                "category_id": 1,
                "keypoints": [round(float(value), 4) for value in triples.ravel()],
                "score": float(self.pose_scores[person]),
                "bbox": [round(float(value), 4) for value in boxes[person]],
                "box_score": float(self.box_scores[person]),
            }
            for name, values in self.ownership().items():
                result[name] = [round(value, 4) for value in values[person].tolist()]
            if candidates and self.candidates is not None:
                result["candidates"] = [
                    [[round(value, 4) for value in row] for row in rows if row[2] > 0]
                    for rows in self.candidates[person].tolist()
                ]
            if self.track_ids is not None:
                result["track_id"] = int(self.track_ids[person])
            if self.image_id is not None:
                result["image_id"] = self.image_id
            results.append(result)
        return results

    def to_json(self) -> str:
        """The COCO results as JSON text."""
        return json.dumps(self.to_coco())

    def to_supervision(self) -> Any:
        """The poses as `supervision.KeyPoints`.

        Raises:
            RSGNetError: supervision is not installed.
        """
        try:
            import supervision  # noqa: PLC0415
        except ImportError as error:
            raise RSGNetError("to_supervision needs supervision: pip install 'rsgnet[supervision]'") from error
        return supervision.KeyPoints(
            xy=self.keypoints_xy,
            keypoint_confidence=self.scores,
            detection_confidence=self.pose_scores,
            class_id=np.zeros(len(self), int),
            data=dict(self.ownership()),
        )

    def draw(self, image: NDArray[np.uint8] | None = None, threshold: float = 0.2, rivals: bool = False) -> Image.Image:
        """The image with the poses over it; keypoints that are less likely than not the person's own are hollow.

        People who are tracked keep their colour from frame to frame, and have their number by them.

        Args:
            image: (H, W, 3) RGB to draw on; the image the poses came from where None.
            threshold: Keypoints that score less are not drawn.
            rivals: Whether a thin line leads from each contested keypoint to the person who may own it instead.

        Raises:
            RSGNetError: No image was given or kept, or rivals are asked for and not known.
        """
        canvas = self.image if image is None else image
        if canvas is None:
            raise RSGNetError("these poses do not keep their image; pass it: poses.draw(image)")
        if rivals and self.rival is None:
            raise RSGNetError("these poses know no rivals: their weights carry no ownership fit (rsgnet calibrate)")
        contested = self.rival if rivals else None
        edges = self.skeleton.edges
        people = self.keypoints_xy, self.scores
        return draw_poses(canvas, *people, edges, threshold, self.owned, contested, self.track_ids)
