from dataclasses import replace

import pytest

from rsgnet.errors import RSGNetError
from rsgnet.inference.predictions import BoxesOrigin, Origin, RunRecord
from rsgnet.scaleout.inputs import InputPart
from rsgnet.scaleout.plan import (
    Manifest,
    Plan,
    ShardRecord,
    Totals,
    add_totals,
    begin_run,
    check_same_run,
    group_into_shards,
    read_complete_shards,
    read_manifest,
    rows_file,
    write_manifest,
    write_shard_record,
)
from rsgnet.scaleout.store import Store

RUN = RunRecord("1", Origin("nano", "ab"), BoxesOrigin("nano", "cd", 0.3), "coco17", True, "onnx", "float32")
MANIFEST = Manifest(("file:///photos",), 256, 1000, RUN, ("nose",), shards=3)


def test_a_manifest_is_read_as_written():
    store = Store("memory://manifest")
    assert read_manifest(store) is None
    for manifest in (MANIFEST, replace(MANIFEST, complete=True, totals=Totals(5, 4, 1))):
        write_manifest(store, manifest)
        assert read_manifest(store) == manifest
    store.write_text("manifest.json", "{")
    with pytest.raises(RSGNetError, match=r"manifest\.json: not a Manifest"):
        read_manifest(store)


def test_a_shard_is_complete_if_record_and_rows_agree(tmp_path):
    store = Store(str(tmp_path))
    assert read_complete_shards(store) == {}
    for shard in range(4):
        store.write_text(rows_file(shard), "rows")
    for shard in range(5):
        write_shard_record(store, ShardRecord(7, 9, 1, shard, 4))
    store.write_text(rows_file(1), "")  # as after a power failure
    assert read_complete_shards(store) == {shard: ShardRecord(7, 9, 1, shard, 4) for shard in (0, 2, 3)}
    assert add_totals(read_complete_shards(store).values()) == Totals(21, 27, 3) and add_totals([]) == Totals()


def test_the_same_run_continues():
    asked = replace(MANIFEST, shards=0)
    check_same_run(replace(MANIFEST, complete=True, totals=Totals()), asked, "out")


@pytest.mark.parametrize(
    "change",
    [{"sources": ("file:///other",)}, {"shard_size": 5}, {"max_pixels": 5}, {"run": replace(RUN, flip_test=False)}],
)
def test_another_run_is_refused(change):
    with pytest.raises(RSGNetError, match=f"out: was begun with another {next(iter(change))}"):
        check_same_run(MANIFEST, replace(MANIFEST, **change), "out")


def test_grouping_into_shards():
    files = [InputPart("file", f"file:///{name}", name) for name in "abcdefg"]
    files[0] = replace(files[0], kind="misnamed")
    tar, rows = (
        InputPart("tar", "file:///t.tar", "t.tar"),
        InputPart("parquet", "file:///p.parquet", "p.parquet", "image", 2, 4),
    )
    shards = list(group_into_shards([*files[:5], tar, rows, *files[5:]], 2))
    assert shards == [files[:2], files[2:4], files[4:5], [tar], [rows], files[5:]]
    assert list(group_into_shards([], 2)) == []


def test_a_plan_is_read_shard_by_shard():
    store = Store("memory://planned")
    shards = [
        [InputPart("file", f"file:///{number}", f"{number}"), InputPart("tar", "x", "y", "z", 1, 2)]
        for number in range(5)
    ]
    manifest = begin_run(store, MANIFEST, shards)
    assert manifest.shards == 5 and read_manifest(store) == manifest
    plan = Plan(store, manifest)
    assert [plan[number] for number in (3, 0, 4)] == [shards[3], shards[0], shards[4]]


def test_a_broken_plan():
    store, manifest = Store("memory://unplanned"), replace(MANIFEST, plan="plan.parquet")
    with pytest.raises(RSGNetError, match=r"plan\.parquet: cannot be read"):
        Plan(store, manifest)
    store.write_text("plan.parquet", "no plan")
    with pytest.raises(RSGNetError, match=r"plan\.parquet: cannot be read"):
        Plan(store, manifest)


PARTS = [[InputPart("file", f"file:///{name}", name)] for name in "abc"]


@pytest.mark.parametrize("change", [{"shards": -1}, {"shards": 2}, {"plan_sha256": "ab"}])
def test_a_manifest_that_was_changed_is_named(tmp_path, change):
    store = Store(str(tmp_path))
    manifest = replace(begin_run(store, MANIFEST, PARTS), **change)
    with pytest.raises(RSGNetError, match=r"manifest\.json: says -?\d shards, but is not of plan-.*, which has 3"):
        Plan(store, manifest)


def test_a_plan_that_was_changed(tmp_path):
    store = Store(str(tmp_path))
    first = begin_run(store, MANIFEST, PARTS)
    store.remove("manifest.json")
    second = begin_run(store, MANIFEST, PARTS[::-1])
    with pytest.raises(RSGNetError, match=r"manifest\.json: says 3 shards, but is not of"):
        Plan(store, replace(first, plan=second.plan))


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_of_two_runs_that_begin_at_once_one_fails(tmp_path, kind):
    store = Store(str(tmp_path) if kind == "local" else "memory://contested")
    winner = []

    def list_shards():
        yield PARTS[0]
        winner.append(begin_run(store, MANIFEST, PARTS))
        yield PARTS[1]

    with pytest.raises(RSGNetError, match="another run began there at the same time"):
        begin_run(store, MANIFEST, list_shards())
    assert read_manifest(store) == winner[0] and Plan(store, winner[0])[2] == PARTS[2]
    assert set(store.sizes("")) == {"manifest.json", winner[0].plan}
