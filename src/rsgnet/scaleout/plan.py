"""The files in a run's output folder that say what is to be done and what is done.

- `manifest.json` holds what the user asked for and, at the end, that all shards are done.
- `plan.parquet` holds the input parts, a row group per shard.
- `manifest/000012.json` records that shard 12 is done. It is written after the shard's rows. A shard is complete if
  its record and its file of rows exist and the recorded size is the file's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace

import pyarrow as pa
import pyarrow.parquet as pq

from rsgnet.config_files import from_json, to_json
from rsgnet.errors import RSGNetError
from rsgnet.inference.predictions import RunRecord
from rsgnet.scaleout.inputs import InputPart
from rsgnet.scaleout.store import Store

MANIFEST_FILE, PLAN_FILE = "manifest.json", "plan.parquet"
RECORDS_FOLDER, ROWS_FOLDER = "manifest", "parts"
_PLAN_SCHEMA = pa.schema(
    [(field.name, pa.int64() if field.name in ("first", "stop") else pa.string()) for field in fields(InputPart)]
)


@dataclass(frozen=True)
class Totals:
    """The counts of a shard or a run.

    Attributes:
        images: Rows, those of errors included.
        people: People in all images.
        errors: Rows of errors.
    """

    images: int = 0
    people: int = 0
    errors: int = 0


@dataclass(frozen=True)
class ShardRecord(Totals):
    """The record of a processed shard.

    Attributes:
        shard: Its number.
        size: The size of its file of rows, in bytes.
    """

    shard: int = 0
    size: int = 0


@dataclass(frozen=True)
class Manifest:
    """The settings and the state of a run.

    Attributes:
        sources: The URIs that the user asked for.
        shard_size: Image files in a shard, or the least rows of Parquet.
        max_pixels: Images with more pixels are refused.
        run: The network and the detector.
        keypoints: The names of the keypoints, in the order of the rows.
        shards: The number of shards.
        complete: Whether all shards are done.
        totals: The counts of all shards; None until all are done.
    """

    sources: tuple[str, ...]
    shard_size: int
    max_pixels: int
    run: RunRecord
    keypoints: tuple[str, ...]
    shards: int = 0
    complete: bool = False
    totals: Totals | None = None


class Plan:
    """The shards of a run, read from plan.parquet.

    Args:
        store: The output folder of the run.

    Raises:
        RSGNetError: The plan is missing or broken.
    """

    def __init__(self, store: Store) -> None:
        try:
            self._file = pq.ParquetFile(store.open(PLAN_FILE))
        except (OSError, pa.ArrowException) as error:
            raise RSGNetError(f"{store.uri}/{PLAN_FILE}: cannot be read ({error}); start in another folder") from error

    def __getitem__(self, shard: int) -> list[InputPart]:
        """Returns the input parts of a shard; shards are counted from 0."""
        return [InputPart(**row) for row in self._file.read_row_group(shard).to_pylist()]


def group_into_shards(parts: Iterable[InputPart], size: int) -> Iterator[list[InputPart]]:
    """Groups neighbouring image files into shards of `size`; every other input part is a shard by itself."""
    shard: list[InputPart] = []
    for part in parts:
        if shard and (part.kind != "file" or len(shard) >= size):
            yield shard
            shard = []
        if part.kind == "file":
            shard.append(part)
        else:
            yield [part]
    if shard:
        yield shard


def write_plan(store: Store, shards: Iterable[list[InputPart]]) -> int:
    """Writes the plan and returns its number of shards."""
    count = 0
    with store.replace_file(PLAN_FILE) as file, pq.ParquetWriter(file, _PLAN_SCHEMA, compression="zstd") as writer:
        for shard in shards:
            rows = pa.Table.from_pylist([asdict(part) for part in shard], _PLAN_SCHEMA)
            writer.write_table(rows, row_group_size=len(shard))
            count += 1
    return count


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Writes manifest.json."""
    store.write_text(MANIFEST_FILE, to_json(manifest))


def read_manifest(store: Store) -> Manifest | None:
    """Returns the manifest in an output folder, None where the folder has none.

    Raises:
        RSGNetError: The manifest is broken.
    """
    content = store.read(MANIFEST_FILE)
    return None if content is None else from_json(Manifest, content, f"{store.uri}/{MANIFEST_FILE}")


def check_same_run(begun: Manifest, asked: Manifest, uri: str) -> None:
    """Checks that a run continues with the settings that it was begun with.

    Raises:
        RSGNetError: A setting differs.
    """
    continued = replace(asked, shards=begun.shards, complete=begun.complete, totals=begun.totals)
    changed = [field.name for field in fields(Manifest) if getattr(begun, field.name) != getattr(continued, field.name)]
    if changed:
        before, now = (getattr(manifest, changed[0]) for manifest in (begun, continued))
        raise RSGNetError(
            f"{uri}: was begun with another {changed[0]} ({before}, now {now}); ask for the same or write elsewhere"
        )


def rows_file(shard: int) -> str:
    """Returns the name of a shard's file of rows."""
    return f"{ROWS_FOLDER}/part-{shard:06d}.parquet"


def write_shard_record(store: Store, record: ShardRecord) -> None:
    """Records that a shard is done. Its rows must have been written before."""
    store.write_text(f"{RECORDS_FOLDER}/{record.shard:06d}.json", to_json(record))


def read_complete_shards(store: Store) -> dict[int, ShardRecord]:
    """Returns the records of the complete shards by their numbers.

    Raises:
        RSGNetError: A record is broken.
    """
    sizes = store.sizes(ROWS_FOLDER)
    names = [f"{RECORDS_FOLDER}/{name}" for name in store.sizes(RECORDS_FOLDER) if name.endswith(".json")]
    records = [
        from_json(ShardRecord, content, f"{store.uri}/{name}")
        for name, content in zip(names, store.read_all(names), strict=True)
    ]
    return {
        record.shard: record
        for record in records
        if sizes.get(rows_file(record.shard).rpartition("/")[2]) == record.size
    }


def add_totals(records: Iterable[Totals]) -> Totals:
    """Returns the sum of the counts of several shards."""
    total = Totals()
    for record in records:
        total = Totals(total.images + record.images, total.people + record.people, total.errors + record.errors)
    return total
