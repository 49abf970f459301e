import pytest

from rsgnet.errors import RSGNetError
from rsgnet.scaleout.listing import Piece
from rsgnet.scaleout.plan import Plan, in_shards, write_plan
from rsgnet.scaleout.store import Store


def test_shards():
    files = [Piece("file", f"file:///{name}", name) for name in "abcdefg"]
    tar, rows = (
        Piece("tar", "file:///t.tar", "t.tar"),
        Piece("parquet", "file:///p.parquet", "p.parquet", "image", 2, 4),
    )
    shards = list(in_shards([*files[:5], tar, rows, *files[5:]], 2))
    assert shards == [files[:2], files[2:4], files[4:5], [tar], [rows], files[5:]]
    assert list(in_shards([], 2)) == []


def test_a_plan_is_read_shard_by_shard():
    store = Store("memory://planned")
    shards = [
        [Piece("file", f"file:///{number}", f"{number}"), Piece("tar", "x", "y", "z", 1, 2)] for number in range(5)
    ]
    assert write_plan(store, shards) == 5
    plan = Plan(store)
    assert len(plan) == 5 and [plan[number] for number in (3, 0, 4)] == [shards[3], shards[0], shards[4]]


def test_a_broken_plan():
    store = Store("memory://unplanned")
    with pytest.raises(RSGNetError, match=r"plan\.parquet: cannot be read"):
        Plan(store)
    store.write_text("plan.parquet", "no plan")
    with pytest.raises(RSGNetError, match=r"plan\.parquet: cannot be read"):
        Plan(store)
