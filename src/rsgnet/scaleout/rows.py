"""Results as Parquet rows, one per image: the schema, and the tables of that schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from rsgnet.errors import RSGNetError
from rsgnet.files import escape_name
from rsgnet.poses import OWNERSHIP_FIELDS, Poses
from rsgnet.skeletons import Skeleton

_KEYPOINT_TYPES = {
    name: pa.int32() if name == "rival" else pa.float32() for name in ("x", "y", "score", *OWNERSHIP_FIELDS)
}
_KEYPOINT = pa.struct(_KEYPOINT_TYPES.items())
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
    """The result of one image.

    Attributes:
        source: The image file, archive member or Parquet row.
        file_name: The name by which box files know the image.
        outcome: The poses in the image, or the error that prevented them.
    """

    source: str
    file_name: str
    outcome: Poses | RSGNetError


def result_schema(skeleton: Skeleton) -> pa.Schema:
    """Returns the columns; the metadata `keypoints` has the names of the keypoints in order, separated by commas."""
    return _SCHEMA.with_metadata({"skeleton": skeleton.name, "keypoints": ",".join(skeleton.keypoints)})


def build_table(schema: pa.Schema, shard: int, first_index: int, results: Sequence[ImageResult]) -> pa.Table:
    """Returns the rows of consecutive images of a shard.

    Args:
        schema: The schema that `result_schema` returned.
        shard: The shard's number.
        first_index: The index of the first image within the shard.
        results: The results of the images.
    """
    outcomes = [result.outcome for result in results]
    sizes = [outcome.size_wh if isinstance(outcome, Poses) else (None, None) for outcome in outcomes]
    errors = [None if isinstance(outcome, Poses) else " ".join(str(outcome).split()) for outcome in outcomes]
    columns = [
        pa.array([shard] * len(results), pa.int64()),
        pa.array(range(first_index, first_index + len(results)), pa.int64()),
        pa.array([escape_name(result.source) for result in results], pa.string()),
        pa.array([escape_name(result.file_name) for result in results], pa.string()),
        pa.array([width for width, _ in sizes], pa.int32()),
        pa.array([height for _, height in sizes], pa.int32()),
        _people_column(outcomes),
        pa.array(errors, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _people_column(outcomes: Sequence[Poses | RSGNetError]) -> pa.Array:
    """Returns a list of people per image, null for an image with an error."""
    poses = [outcome for outcome in outcomes if isinstance(outcome, Poses)]
    counts = [len(outcome) if isinstance(outcome, Poses) else 0 for outcome in outcomes]
    has_error = np.array([not isinstance(outcome, Poses) for outcome in outcomes], bool)
    return pa.ListArray.from_arrays(_offsets(counts), _person_structs(poses), mask=pa.array(has_error))


def _person_structs(poses: Sequence[Poses]) -> pa.Array:
    boxes = _concatenate([each.boxes_xyxy for each in poses], np.float32)
    people, keypoints = boxes.size // 4, _keypoint_structs(poses)
    columns = [
        pa.ListArray.from_arrays(_offsets([4] * people), boxes),
        _concatenate([each.box_scores for each in poses], np.float32),
        _concatenate([each.pose_scores for each in poses], np.float32),
        pa.ListArray.from_arrays(_offsets([len(keypoints) // max(people, 1)] * people), keypoints),
    ]
    return pa.StructArray.from_arrays([pa.array(column) for column in columns], fields=list(_PERSON))


def _keypoint_structs(poses: Sequence[Poses]) -> pa.Array:
    count = sum(each.scores.size for each in poses)
    columns: dict[str, Any] = {
        "x": _concatenate([each.keypoints_xy[..., 0] for each in poses], np.float32),
        "y": _concatenate([each.keypoints_xy[..., 1] for each in poses], np.float32),
        "score": _concatenate([each.scores for each in poses], np.float32),
    }
    for name in OWNERSHIP_FIELDS:
        arrays = [each.ownership()[name] for each in poses if each.ownership()]
        values = _concatenate(arrays, np.int32 if name == "rival" else np.float32)
        columns[name] = values if values.size == count else pa.nulls(count, _KEYPOINT_TYPES[name])
    return pa.StructArray.from_arrays([pa.array(columns[field.name]) for field in _KEYPOINT], fields=list(_KEYPOINT))


def _concatenate(arrays: Sequence[Any], dtype: Any) -> Any:
    return np.concatenate([np.zeros(0, dtype), *(np.ravel(array).astype(dtype) for array in arrays)])


def _offsets(counts: Sequence[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]), pa.int32())
