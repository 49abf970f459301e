from dataclasses import replace

import pytest

from rsgnet.errors import RSGNetError
from rsgnet.inference.run_record import BoxesOrigin, Origin, RunRecord
from rsgnet.scaleout.manifest import (
    Manifest,
    ShardRecord,
    Totals,
    check_same_run,
    complete_shards,
    part_name,
    read_manifest,
    record_shard,
    sum_up,
    write_manifest,
)
from rsgnet.scaleout.store import Store

RUN = RunRecord("1", Origin("nano", "ab"), BoxesOrigin("nano", "cd", 0.3), "coco17", True, "onnx", "float32")
MANIFEST = Manifest(("file:///photos",), 256, 1000, RUN, ("nose",), shards=3)


def test_a_manifest_comes_back():
    store = Store("memory://manifest")
    assert read_manifest(store) is None
    for manifest in (MANIFEST, replace(MANIFEST, complete=True, totals=Totals(5, 4, 1))):
        write_manifest(store, manifest)
        assert read_manifest(store) == manifest
    store.write_text("manifest.json", "{")
    with pytest.raises(RSGNetError, match=r"manifest\.json: not a Manifest"):
        read_manifest(store)


def test_shards_are_complete_if_record_and_rows_agree(tmp_path):
    store = Store(str(tmp_path))
    assert complete_shards(store) == {}
    for shard in range(4):
        store.write_text(part_name(shard), "rows")
    for shard in range(5):
        record_shard(store, ShardRecord(7, 9, 1, shard, 4))
    store.write_text(part_name(1), "")  # as a machine leaves it whose power failed
    assert complete_shards(store) == {shard: ShardRecord(7, 9, 1, shard, 4) for shard in (0, 2, 3)}
    assert sum_up(complete_shards(store).values()) == Totals(21, 27, 3) and sum_up([]) == Totals()


def test_the_same_run_goes_on():
    asked = replace(MANIFEST, shards=0)
    check_same_run(replace(MANIFEST, complete=True, totals=Totals()), asked, "out")


@pytest.mark.parametrize(
    "change",
    [{"sources": ("file:///other",)}, {"shard_size": 5}, {"max_pixels": 5}, {"run": replace(RUN, flip_test=False)}],
)
def test_another_run_is_refused(change):
    with pytest.raises(RSGNetError, match=f"out: was begun with another {next(iter(change))}"):
        check_same_run(MANIFEST, replace(MANIFEST, **change), "out")
