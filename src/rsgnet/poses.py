"""`Poses`, the pipeline's result for one image, and the similarity of two poses (OKS)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsgnet.errors import RSGNetError
from rsgnet.geometry import Floats, xyxy_to_xywh
from rsgnet.overlays import DEFAULT_THRESHOLD, ColourBy, OverlayStyle, draw_poses
from rsgnet.skeletons import Skeleton

if TYPE_CHECKING:
    from PIL import Image

_LIKELY = 0.5
OWNERSHIP_FIELDS = ("present", "visible", "owned", "rival", "rival_owned")


def oks(
    first: ArrayLike, second: ArrayLike, areas: ArrayLike, sigmas: ArrayLike, weights: ArrayLike | None = None
) -> Floats:
    """Computes the object keypoint similarity of each pose of one set with each pose of another.

    Args:
        first: (N, K, 2) keypoints.
        second: (M, K, 2) keypoints.
        areas: Areas in squared pixels that set the scale, of shape (N,), (1, M) or (N, M).
        sigmas: (K,) of OKS.
        weights: (N, K) or (N, M, K) weights of the keypoints in the mean; all equal where None.

    Returns:
        (N, M) in 0..1; 0 where all weights are 0.
    """
    one, two = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    scale = np.asarray(areas, np.float64)
    scale = scale[:, None] if scale.ndim == 1 else scale
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    errors = ((one - two) ** 2).sum(-1) / variances / (scale[..., None] + np.spacing(1)) / 2
    similarity = np.exp(-errors)
    weight = np.ones(similarity.shape) if weights is None else np.asarray(weights, np.float64)
    weight = np.broadcast_to(weight if weight.ndim == 3 else weight[:, None], similarity.shape)
    total = weight.sum(-1)
    mean: Floats = np.divide((similarity * weight).sum(-1), total, out=np.zeros(total.shape), where=total > 0)
    return mean


@dataclass(frozen=True, eq=False, repr=False)
class Poses:
    """The people found in one image.

    Attributes:
        skeleton: The keypoints' names, order and edges.
        keypoints_xy: (N, K, 2) in image pixels.
        scores: (N, K) heights of the heatmaps at the keypoints.
        boxes_xyxy: (N, 4) the boxes in which the poses were searched, in image pixels.
        box_scores: (N,) the detector's scores of the boxes.
        pose_scores: (N,) box score times the expected share of correct keypoints among those present; without an
            ownership fit, box score times the mean score of the keypoints above the threshold.
        size_wh: Width and height of the image.
        file_name: The image's file name, "" where it has none.
        image_id: The image's id in an annotation file, None where it has none.
        image: (H, W, 3) the RGB image, where it is kept for `draw`.
        present: (N, K) probability in 0..1 that the keypoint exists in the crop around the person's box.
        visible: (N, K) probability that it exists and is visible.
        owned: (N, K) probability that, if it exists, the position is correct and belongs to this person only.
        rival: (N, K) index of the other person in these poses who most likely owns the same position, -1 for nobody.
        rival_owned: (N, K) that person's `owned` at the position, 0 where there is nobody.
        candidates: (N, K, P, 4) all candidate peaks of each keypoint in the person's crop, of any person, highest
            first: x, y in image pixels, height, and in 0..1 how strongly the person's other keypoints are related to
            it; padded with zeros. None where the network has no candidates or nobody was found.
        covariances: (N, K, 2, 2) how each keypoint's heatmap spreads around it, in squared image pixels: the network's
            own uncertainty, at least the width that it was trained to draw. None where the network does not give
            heatmaps or nobody was found.
        track_ids: (N,) track of each person through the frames of a clip, counted from 1, -1 without a track; None for
            images.

    `present`, `visible`, `owned`, `rival` and `rival_owned` are all None where the weights have no ownership fit
    (`rsgnet calibrate`).

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
    covariances: NDArray[np.float32] | None = field(default=None, repr=False)
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
            **({} if self.covariances is None else {"covariances": (people, count, 2, 2)}),
            **({} if self.track_ids is None else {"track_ids": (people,)}),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise RSGNetError(f"Poses.{name} must have shape {shape}, not {getattr(self, name).shape}")
        table = self.candidates
        if table is not None and table.shape != (people, count, *table.shape[2:3], 4):
            raise RSGNetError(f"Poses.candidates must have shape ({people}, {count}, P, 4), not {table.shape}")
        if len(self.ownership()) not in (0, len(OWNERSHIP_FIELDS)):
            raise RSGNetError(f"Poses has {', '.join(self.ownership())} but not all of {', '.join(OWNERSHIP_FIELDS)}")

    def ownership(self) -> dict[str, Any]:
        """Returns the (N, K) arrays of OWNERSHIP_FIELDS by name, or an empty dict without an ownership fit."""
        return {name: value for name in OWNERSHIP_FIELDS if (value := getattr(self, name)) is not None}

    def __repr__(self) -> str:
        people = "1 person" if len(self) == 1 else f"{len(self)} people"
        return f"Poses({people}, {self.skeleton.name}, {self.size_wh[0]}x{self.size_wh[1]})"

    def _repr_png_(self) -> bytes | None:
        """Returns the drawn poses as a PNG, which notebooks show; None where the image is not kept."""
        if self.image is None:
            return None
        file = BytesIO()
        self.draw().save(file, "png")
        return file.getvalue()

    def __len__(self) -> int:
        return len(self.keypoints_xy)

    def __iter__(self) -> Iterator[Poses]:
        """Yields each person as `Poses` of one person."""
        return (self[person] for person in range(len(self)))

    def __getitem__(self, people: Any) -> Poses:
        """Returns the people that an index, slice, list or mask selects: `poses[poses.pose_scores > 0.5]`.

        Raises:
            IndexError: An index is out of range, or a mask has another length.
        """
        rows = np.atleast_1d(np.arange(len(self))[people])
        return replace(
            self,
            keypoints_xy=self.keypoints_xy[rows],
            scores=self.scores[rows],
            boxes_xyxy=self.boxes_xyxy[rows],
            box_scores=self.box_scores[rows],
            pose_scores=self.pose_scores[rows],
            candidates=None if self.candidates is None else self.candidates[rows],
            covariances=None if self.covariances is None else self.covariances[rows],
            track_ids=None if self.track_ids is None else self.track_ids[rows],
            **self._select_ownership(rows),
        )

    def _select_ownership(self, rows: NDArray[np.intp]) -> dict[str, Any]:
        """Returns the ownership of some people; rivals who are not selected become -1."""
        selected = {name: value[rows] for name, value in self.ownership().items()}
        if self.rival is not None:
            new_index = np.full(len(self) + 1, -1, np.intp)  # the last entry maps -1, nobody, to -1
            new_index[rows[::-1]] = np.arange(len(rows))[::-1]
            selected["rival"] = new_index[selected["rival"]]
            selected["rival_owned"] = np.where(selected["rival"] < 0, np.float32(0), selected["rival_owned"])
        return selected

    def to_skeleton(self, skeleton: Skeleton) -> Poses:
        """Returns the same poses with the keypoints of another skeleton, matched by name.

        Raises:
            RSGNetError: `skeleton` has a keypoint that these poses do not have.
        """
        index = skeleton.indices_in(self.skeleton)
        if (index < 0).any():
            missing = [name for name, found in zip(skeleton.keypoints, index, strict=True) if found < 0]
            raise RSGNetError(f"{self.skeleton.name} poses lack {', '.join(missing)}, required by {skeleton.name}")
        return replace(
            self,
            skeleton=skeleton,
            keypoints_xy=self.keypoints_xy[:, index],
            scores=self.scores[:, index],
            candidates=None if self.candidates is None else self.candidates[:, index],
            covariances=None if self.covariances is None else self.covariances[:, index],
            **{name: value[:, index] for name, value in self.ownership().items()},
        )

    def to_coco(self, candidates: bool = False) -> list[dict[str, Any]]:
        """Returns one COCO keypoint result per person; `keypoints` holds x, y and confidence of each keypoint.

        A confidence is the probability that the keypoint is present, right and this person's: `present` times `owned`;
        without an ownership fit it is the score, clipped to 0..1.

        Where known, a result also has `track_id` and, as lists with one number per keypoint, `present`, `visible`,
        `owned`, `rival` and `rival_owned`. `rival` is an index into the returned list, -1 for nobody.

        Args:
            candidates: Whether to add `candidates`, where known: for each keypoint a list of x, y, height and relation.
        """
        boxes = xyxy_to_xywh(self.boxes_xyxy)
        confidences = self.scores.clip(0, 1)
        if self.present is not None and self.owned is not None:
            confidences = self.present * self.owned
        results = []
        for person in range(len(self)):
            triples = np.column_stack([self.keypoints_xy[person], confidences[person]])
            result: dict[str, Any] = {
                "file_name": self.file_name,
                "category_id": 1,
                "keypoints": [round(float(value), 4) for value in triples.ravel()],
                "score": float(self.pose_scores[person].clip(0, 1)),
                "bbox": [round(float(value), 4) for value in boxes[person]],
                "box_score": float(self.box_scores[person].clip(0, 1)),
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
        """Returns the COCO results as JSON text."""
        return json.dumps(self.to_coco())

    def to_supervision(self) -> Any:
        """Returns the poses as `supervision.KeyPoints`.

        `keypoint_confidence` are the scores, `visible` whether a keypoint is visible more likely than not, where that
        is known. `data` holds what is known of OWNERSHIP_FIELDS, `covariance`, and `tracker_id` for clips.

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
            visible=None if self.visible is None else self.visible >= _LIKELY,
            data={
                **self.ownership(),
                **({} if self.covariances is None else {"covariance": self.covariances}),
                **({} if self.track_ids is None else {"tracker_id": self.track_ids}),
            },
        )

    def to_fiftyone(self) -> Any:
        """Returns the poses as `fiftyone.Keypoints`, for a field of a FiftyOne sample.

        Each person is a `Keypoint` labelled person, with points as shares of the image, `owned` (or else the scores) as
        their confidence, the track as `index`, and the other OWNERSHIP_FIELDS as lists.

        Raises:
            RSGNetError: FiftyOne is not installed.
        """
        try:
            import fiftyone  # noqa: PLC0415
        except ImportError as error:
            raise RSGNetError("to_fiftyone needs FiftyOne: pip install fiftyone") from error
        confidences = self.scores if self.owned is None else self.owned
        people = []
        for person in range(len(self)):
            track = None if self.track_ids is None or self.track_ids[person] < 0 else int(self.track_ids[person])
            others = {name: values[person].tolist() for name, values in self.ownership().items() if name != "owned"}
            points = (self.keypoints_xy[person] / np.array(self.size_wh)).tolist()
            keypoint = fiftyone.Keypoint(
                label="person", points=points, confidence=confidences[person].tolist(), index=track, **others
            )
            people.append(keypoint)
        return fiftyone.Keypoints(keypoints=people)

    def draw(
        self,
        image: NDArray[np.uint8] | None = None,
        threshold: float = DEFAULT_THRESHOLD,
        rivals: bool = False,
        *,
        boxes: bool = False,
        scores: bool = False,
        labels: bool = False,
        line_width: float | None = None,
        colour_by: ColourBy = "person",
    ) -> Image.Image:
        """Draws the poses over the image; keypoints with `owned` below 0.5 are drawn as rings.

        Tracked people keep their colour from frame to frame and are labelled with their track number.

        Args:
            image: (H, W, 3) RGB to draw on; the kept image where None.
            threshold: Keypoints with a lower score are not drawn.
            rivals: Whether each contested keypoint has a ring in the colour of the person who may own it instead, and a
                dashed line to that person.
            boxes: Whether to draw people's boxes.
            scores: Whether to write people's scores.
            labels: Whether to write people's numbers: the index i of `poses[i]`.
            line_width: Width of lines in pixels; None for one that follows the image and the person, at least 2.
            colour_by: "person": a colour for each; "side": left is orange, right blue; "owned": from red (0) to blue
                (1).

        Raises:
            RSGNetError: There is no image, `line_width` or `colour_by` is none of these, or what `rivals` or
                `colour_by` shows is not known.
        """
        style = OverlayStyle(threshold, rivals, boxes, scores, labels, line_width, colour_by)
        canvas = self.image if image is None else image
        if canvas is None:
            raise RSGNetError("these poses do not hold their image; pass it: poses.draw(image)")
        if (rivals or colour_by == "owned") and self.rival is None:
            wanted = "rivals" if rivals else "owned"
            raise RSGNetError(f"these poses have no {wanted}: the weights have no ownership fit; run: rsgnet calibrate")
        return draw_poses(
            canvas,
            self.keypoints_xy,
            self.scores,
            self.skeleton,
            style,
            owned=self.owned,
            rival=self.rival,
            boxes_xyxy=self.boxes_xyxy,
            pose_scores=self.pose_scores,
            track_ids=self.track_ids,
        )
