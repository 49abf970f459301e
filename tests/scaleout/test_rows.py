import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from rsgnet.errors import ImageError
from rsgnet.poses import OWNERSHIP_FIELDS, Poses
from rsgnet.scaleout.rows import ImageResult, build_table, result_schema
from rsgnet.skeletons import COCO17, CROWDPOSE14


def poses(people, seed, ownership=True, skeleton=COCO17):
    random, count = np.random.default_rng(seed), len(skeleton)
    fields = {name: random.random((people, count)).astype(np.float32) for name in OWNERSHIP_FIELDS}
    fields["rival"] = random.integers(-1, people, (people, count))
    return Poses(
        skeleton=skeleton,
        keypoints_xy=random.random((people, count, 2)).astype(np.float32),
        scores=random.random((people, count)).astype(np.float32),
        boxes_xyxy=random.random((people, 4)).astype(np.float32),
        box_scores=random.random(people).astype(np.float32),
        pose_scores=random.random(people).astype(np.float32),
        size_wh=(640 + seed, 480),
        **(fields if ownership else {}),
    )


def write_and_read(outcomes, skeleton=COCO17):
    schema = result_schema(skeleton)
    results = [ImageResult(f"s{number}", f"f{number}", outcome) for number, outcome in enumerate(outcomes)]
    file = io.BytesIO()
    pq.write_table(build_table(schema, 3, 10, results), file)
    return pq.read_table(file)


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_poses_are_read_as_written(skeleton):
    outcomes = [poses(3, 1, skeleton=skeleton), ImageError("x.jpg: no\nimage"), poses(0, 2, skeleton=skeleton),
                poses(1, 3, skeleton=skeleton)]  # fmt: skip
    table = write_and_read(outcomes, skeleton)
    assert table.schema.metadata[b"keypoints"].decode().split(",") == list(skeleton.keypoints)
    for number, (row, outcome) in enumerate(zip(table.to_pylist(), outcomes, strict=True)):
        assert (row["shard"], row["index"], row["source"]) == (3, 10 + number, f"s{number}")
        assert row["file_name"] == f"f{number}"
        if not isinstance(outcome, Poses):
            assert row["people"] is row["width"] is row["height"] is None and row["error"] == "x.jpg: no image"
            continue
        assert (row["width"], row["height"]) == outcome.size_wh and row["error"] is None
        assert len(row["people"]) == len(outcome)
        for index, person in enumerate(row["people"]):
            assert person["box_xyxy"] == outcome.boxes_xyxy[index].tolist()
            assert person["box_score"] == outcome.box_scores[index] and person["score"] == outcome.pose_scores[index]
            assert [[each["x"], each["y"]] for each in person["keypoints"]] == outcome.keypoints_xy[index].tolist()
            for name, values in {"score": outcome.scores, **outcome.ownership()}.items():
                assert [each[name] for each in person["keypoints"]] == values[index].tolist()


@pytest.mark.parametrize("outcomes", [[], [ImageError("x")], [poses(0, 0)], [poses(0, 0, False), poses(2, 0, False)]])
def test_without_people_or_ownership(outcomes):
    table = write_and_read(outcomes)
    assert table.schema == result_schema(COCO17) and len(table) == len(outcomes)
    for row in table.to_pylist():
        for person in row["people"] or ():
            assert len(person["keypoints"]) == 17
            assert all(keypoint[name] is None for keypoint in person["keypoints"] for name in OWNERSHIP_FIELDS)


def test_pixels_are_not_written():
    assert "image" not in result_schema(COCO17).names
    outcome = replace(poses(1, 1), image=np.zeros((4, 4, 3), np.uint8))
    assert len(write_and_read([outcome])) == 1
