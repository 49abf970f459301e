import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from rsgnet.errors import ImageError
from rsgnet.poses import OWNERSHIP, Poses
from rsgnet.scaleout.rows import ImageResult, rows_table, schema_of
from rsgnet.skeletons import COCO17, CROWDPOSE14


def poses(people, seed, ownership=True, skeleton=COCO17):
    random, count = np.random.default_rng(seed), len(skeleton)
    claims = {name: random.random((people, count)).astype(np.float32) for name in OWNERSHIP}
    claims["rival"] = random.integers(-1, people, (people, count))
    return Poses(
        skeleton=skeleton,
        keypoints_xy=random.random((people, count, 2)).astype(np.float32),
        scores=random.random((people, count)).astype(np.float32),
        boxes_xyxy=random.random((people, 4)).astype(np.float32),
        box_scores=random.random(people).astype(np.float32),
        pose_scores=random.random(people).astype(np.float32),
        size_wh=(640 + seed, 480),
        **(claims if ownership else {}),
    )


def through_parquet(outcomes, skeleton=COCO17):
    schema = schema_of(skeleton)
    results = [ImageResult(f"s{number}", f"f{number}", outcome) for number, outcome in enumerate(outcomes)]
    file = io.BytesIO()
    pq.write_table(rows_table(schema, 3, 10, results), file)
    return pq.read_table(file)


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_everything_comes_back(skeleton):
    outcomes = [poses(3, 1, skeleton=skeleton), ImageError("x.jpg: no\nimage"), poses(0, 2, skeleton=skeleton),
                poses(1, 3, skeleton=skeleton)]  # fmt: skip
    table = through_parquet(outcomes, skeleton)
    assert table.schema.metadata[b"keypoints"].decode().split(",") == list(skeleton.keypoints)
    for number, (row, outcome) in enumerate(zip(table.to_pylist(), outcomes, strict=True)):
        assert (row["shard"], row["index"], row["source"]) == (3, 10 + number, f"s{number}")
        assert row["file_name"] == f"f{number}"
        if not isinstance(outcome, Poses):
            assert row["people"] is row["width"] is row["height"] is None and row["error"] == "x.jpg: no image"
            continue
        assert (row["width"], row["height"]) == outcome.size_wh and row["error"] is None
        assert len(row["people"]) == len(outcome)
        for person, told in enumerate(row["people"]):
            assert told["box_xyxy"] == outcome.boxes_xyxy[person].tolist()
            assert told["box_score"] == outcome.box_scores[person] and told["score"] == outcome.pose_scores[person]
            assert [[each["x"], each["y"]] for each in told["keypoints"]] == outcome.keypoints_xy[person].tolist()
            for name, values in {"score": outcome.scores, **outcome.ownership()}.items():
                assert [each[name] for each in told["keypoints"]] == values[person].tolist()


@pytest.mark.parametrize("outcomes", [[], [ImageError("x")], [poses(0, 0)], [poses(0, 0, False), poses(2, 0, False)]])
def test_without_people_or_ownership(outcomes):
    table = through_parquet(outcomes)
    assert table.schema == schema_of(COCO17) and len(table) == len(outcomes)
    for row in table.to_pylist():
        for person in row["people"] or ():
            assert len(person["keypoints"]) == 17
            assert all(keypoint[name] is None for keypoint in person["keypoints"] for name in OWNERSHIP)


def test_images_are_not_kept_alive():
    assert "image" not in schema_of(COCO17).names
    outcome = replace(poses(1, 1), image=np.zeros((4, 4, 3), np.uint8))
    assert len(through_parquet([outcome])) == 1
