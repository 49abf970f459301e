import json
import os
import sys
from dataclasses import replace

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.scaleout.conftest import png, read_rows, write_tar

from rsgnet.errors import RSGNetError
from rsgnet.inference.predictions import record_run
from rsgnet.scaleout.shards import Job, ShardFailure, ShardWorker, finish_run, plan_run

BAD = ["03.png", "07.png"]


def test_every_kind_of_source(run_locally, photos, tmp_path):
    write_tar(photos / "t.tar", {"0.png": png(0), "1.png": b"bad"})
    pq.write_table(pa.table({"image": [png(1)] * 5}), photos / "p.parquet", row_group_size=1)
    totals, done = run_locally([photos, photos / "missing.png"], tmp_path / "out")
    rows = read_rows(tmp_path / "out")
    assert (totals.images, totals.people, totals.errors) == (18, 14, 4) and done == list(range(7))
    assert len({row["source"] for row in rows}) == len(rows) == 18
    errors = {row["file_name"]: row["error"] for row in rows if row["error"]}
    assert sorted(errors) == [*BAD, "1.png", "missing.png"]
    assert "no such file" in errors["missing.png"] and "not an image of a known kind" in errors["03.png"]
    assert all(len(row["people"]) == 1 for row in rows if not row["error"])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["complete"] and manifest["totals"] == {"images": 18, "people": 14, "errors": 4}
    assert manifest["shards"] == 7 and manifest["run"]["weights"]["sha256"]
    assert not (tmp_path / "out" / "partial").exists()


def test_local_names_with_colons_are_files(run_locally, tmp_path):
    photos = tmp_path / "a::b"
    photos.mkdir()
    (photos / "c::d.png").write_bytes(png(9))
    pq.write_table(pa.table({"path": ["c::d.png"]}), photos / "e::f.parquet")
    totals, _ = run_locally([photos], tmp_path / "out::1")
    assert (totals.images, totals.errors) == (2, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are always Unicode")
def test_names_that_are_not_utf8_have_rows_of_errors(run_locally, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in (b"a.png", b"b\xff.png", b"c.png"):
        (photos / os.fsdecode(name)).write_bytes(png(9))
    write_tar(photos / "t.tar", {"d.png": png(9), "e\udcff.png": png(9), "f.png": png(9)})
    both = [{"bytes": png(9), "path": 5}, {"bytes": png(9), "path": 6}]
    pq.write_table(pa.table({"image": both}), photos / "p.parquet")
    raw = pa.array([b"a.png", b"b\xff.png", b"c.png"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"path": raw}), photos / "q.parquet")
    totals, _ = run_locally([photos], tmp_path / "out")
    assert (totals.images, totals.errors) == (11, 5)
    errors = {row["file_name"]: row["error"] for row in read_rows(tmp_path / "out") if row["error"]}
    assert sorted(errors) == ["b\\udcff.png", "e\\udcff.png", "p.parquet#0", "p.parquet#1", "q.parquet#1"]
    assert "b\\udcff.png: the name is not UTF-8" in errors["b\\udcff.png"]
    assert "t.tar#e\\udcff.png: the name is not UTF-8" in errors["e\\udcff.png"]
    assert "p.parquet#1: the path in this row is no text, but 6" in errors["p.parquet#1"]
    assert "q.parquet#1: the text in this row is not UTF-8" in errors["q.parquet#1"]
    with pytest.raises(RSGNetError, match="the name is not UTF-8"):
        run_locally([photos / os.fsdecode(b"b\xff.png")], tmp_path / "other")


def test_rows_equal_the_poses_of_the_estimator(run_locally, open_tiny, photos, tmp_path):
    run_locally([photos], tmp_path / "out")
    for row in read_rows(tmp_path / "out"):
        if row["file_name"] not in BAD:
            (expected,) = open_tiny()(photos / row["file_name"]).to_coco()
            (person,) = row["people"]
            found = [value for each in person["keypoints"] for value in (each["x"], each["y"], each["score"])]
            assert found == pytest.approx(expected["keypoints"], abs=1e-3)
            assert (row["width"], row["height"]) == (64, 48)


def test_a_store_in_memory(run_locally):
    for number in range(5):
        fsspec.filesystem("memory").pipe_file(f"/run-in/{number}.png", png(number))
    totals, done = run_locally(["memory://run-in"], "memory://run-out", shard_size=2)
    assert totals.images == 5 and done == [0, 1, 2]
    assert [row["file_name"] for row in read_rows("memory://run-out")] == [f"{number}.png" for number in range(5)]


def test_an_interrupted_run_processes_only_the_missing_shards(run_locally, photos, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_locally([photos], out, shard_size=2, stop_after=2)
    assert not json.loads((out / "manifest.json").read_text())["complete"]
    before = {path.name: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}
    (photos / "000-new.png").write_bytes(png(1))  # the input list was fixed when the run began
    totals, done = run_locally([photos], out, shard_size=2)
    assert done == [2, 3, 4] and totals.images == 10
    assert [row["index"] for row in read_rows(out)] == [0, 1] * 5
    assert len({row["source"] for row in read_rows(out)}) == 10
    assert before == {name: (out / "parts" / name).stat().st_mtime_ns for name in before}
    assert run_locally([photos], out, shard_size=2) == (totals, [])


@pytest.mark.parametrize("deleted", ["manifest/000001.json", "parts/part-000001.parquet"])
def test_a_shard_without_record_or_rows_is_processed_again(run_locally, photos, tmp_path, deleted):
    out = tmp_path / "out"
    totals, _ = run_locally([photos], out)
    rows = read_rows(out)
    (out / deleted).unlink()
    assert run_locally([photos], out) == (totals, [1]) and read_rows(out) == rows


def test_another_run_is_refused(run_locally, photos, tmp_path):
    run_locally([photos], tmp_path / "out")
    with pytest.raises(RSGNetError, match="another sources"):
        run_locally([photos / "deep"], tmp_path / "out")
    with pytest.raises(RSGNetError, match="another shard_size"):
        run_locally([photos], tmp_path / "out", shard_size=5)


def test_a_worker_with_other_weights_is_refused(open_tiny, photos, tmp_path):
    run = replace(record_run(open_tiny(), "tiny", "boxes"), rsgnet="0.0.0")
    planned = plan_run([str(photos)], str(tmp_path / "out"), open_tiny(), run)
    with pytest.raises(RSGNetError, match="install the same everywhere"):
        ShardWorker(Job(planned.store.uri, open_tiny, run))


def test_failed_shards_are_reported_and_the_others_kept(open_tiny, photos, tmp_path):
    run = record_run(open_tiny(), "tiny", "boxes")
    planned = plan_run([str(photos)], str(tmp_path / "out"), open_tiny(), run, 4)
    job = Job(planned.store.uri, open_tiny, run)

    def process_shards(job, shards):
        yield ShardFailure(shards[0], "OSError: disk full")
        yield ShardWorker(job).process(shards[1])

    with pytest.raises(RSGNetError, match="2 shards could not be done; shard 0: OSError: disk full; start again"):
        finish_run(planned, job, process_shards, lambda *_: None)
    assert plan_run([str(photos)], str(tmp_path / "out"), open_tiny(), run, 4).missing == [0, 2]
