"""Results as rows of Parquet, one an image: the schema, and filling it from arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from rsgnet.errors import RSGNetError
from rsgnet.poses import OWNERSHIP, Poses
from rsgnet.skeletons import Skeleton

_KEYPOINT_NUMBERS = {name: pa.int32() if name == "rival" else pa.float32() for name in ("x", "y", "score", *OWNERSHIP)}
_KEYPOINT = pa.struct(_KEYPOINT_NUMBERS.items())
_PERSON = pa.struct(
    [
        ("box_xyxy", pa.list_(pa.float32())),
        ("box_score", pa.float32()),
        ("score", pa.float32()),
        ("keypoints", pa.list_(_KEYPOINT)),
    ]
)
_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.int64(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("file_name", pa.string(), nullable=False),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("people", pa.list_(_PERSON)),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class ImageResult:
    """What came of one image.

    Attributes:
        source: Where it is.
        file_name: Its name for people and detectors.
        outcome: Its poses, or what kept it from having any.
    """

    source: str
    file_name: str
    outcome: Poses | RSGNetError


def schema_of(skeleton: Skeleton) -> pa.Schema:
    """The columns; the keypoints' names stand in the metadata `keypoints`, in their order, with commas between."""
    return _SCHEMA.with_metadata({"skeleton": skeleton.name, "keypoints": ",".join(skeleton.keypoints)})


def rows_table(schema: pa.Schema, shard: int, first: int, results: Sequence[ImageResult]) -> pa.Table:
    """The rows of neighbouring images of a shard.

    Args:
        schema: Of `schema_of`.
        shard: The shard's number.
        first: The index in it of the first of the images.
        results: What came of them.
    """
    outcomes = [result.outcome for result in results]
    sizes = [outcome.size_wh if isinstance(outcome, Poses) else (None, None) for outcome in outcomes]
    columns = [
        pa.array([shard] * len(results), pa.int64()),
        pa.array(range(first, first + len(results)), pa.int64()),
        pa.array([result.source for result in results], pa.string()),
        pa.array([result.file_name for result in results], pa.string()),
        pa.array([width for width, _ in sizes], pa.int32()),
        pa.array([height for _, height in sizes], pa.int32()),
        _people(outcomes),
        pa.array([None if isinstance(each, Poses) else " ".join(str(each).split()) for each in outcomes], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _people(outcomes: Sequence[Poses | RSGNetError]) -> pa.Array:
    """A list of people an image, null where it was not done."""
    poses = [outcome for outcome in outcomes if isinstance(outcome, Poses)]
    counts = [len(outcome) if isinstance(outcome, Poses) else 0 for outcome in outcomes]
    done = np.array([isinstance(outcome, Poses) for outcome in outcomes], bool)
    return pa.ListArray.from_arrays(_offsets(counts), _persons(poses), mask=pa.array(~done))


def _persons(poses: Sequence[Poses]) -> pa.Array:
    boxes = _joined([each.boxes_xyxy for each in poses], np.float32)
    people, keypoints = boxes.size // 4, _keypoints(poses)
    columns = [
        pa.ListArray.from_arrays(_offsets([4] * people), boxes),
        _joined([each.box_scores for each in poses], np.float32),
        _joined([each.pose_scores for each in poses], np.float32),
        pa.ListArray.from_arrays(_offsets([len(keypoints) // max(people, 1)] * people), keypoints),
    ]
    return pa.StructArray.from_arrays([pa.array(column) for column in columns], fields=list(_PERSON))


def _keypoints(poses: Sequence[Poses]) -> pa.Array:
    count = sum(each.scores.size for each in poses)
    columns: dict[str, Any] = {
        "x": _joined([each.keypoints_xy[..., 0] for each in poses], np.float32),
        "y": _joined([each.keypoints_xy[..., 1] for each in poses], np.float32),
        "score": _joined([each.scores for each in poses], np.float32),
    }
    for name in OWNERSHIP:
        told = [each.ownership()[name] for each in poses if each.ownership()]
        values = _joined(told, np.int32 if name == "rival" else np.float32)
        columns[name] = values if values.size == count else pa.nulls(count, _KEYPOINT_NUMBERS[name])
    return pa.StructArray.from_arrays([pa.array(columns[field.name]) for field in _KEYPOINT], fields=list(_KEYPOINT))


def _joined(arrays: Sequence[Any], kind: Any) -> Any:
    return np.concatenate([np.zeros(0, kind), *(np.ravel(array).astype(kind) for array in arrays)])


def _offsets(counts: Sequence[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]), pa.int32())
