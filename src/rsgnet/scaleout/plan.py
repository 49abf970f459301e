"""The files in a run's output folder that say what is to be done and what is done.

- `manifest.json` holds what the user asked for and, at the end, that all shards are done.
- `plan-....parquet` holds the input parts, a row group per shard. The manifest names it, with its digest: of two runs
  that begin in one folder at once, only one can create the manifest, and only its plan counts.
- `manifest/000012.json` records that shard 12 is done. It is written after the shard's rows. A shard is complete if
  its record and its file of rows exist and the recorded size is the file's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from rsgnet.config_files import from_json, to_json
from rsgnet.errors import RSGNetError
from rsgnet.inference.predictions import RunRecord
from rsgnet.scaleout.inputs import InputPart
from rsgnet.scaleout.store import Store

MANIFEST_FILE = "manifest.json"
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
        plan: The name of the plan's file.
        plan_sha256: The digest of that file.
        complete: Whether all shards are done.
        totals: The counts of all shards; None until all are done.
    """

    sources: tuple[str, ...]
    shard_size: int
    max_pixels: int
    run: RunRecord
    keypoints: tuple[str, ...]
    shards: int = 0
    plan: str = ""
    plan_sha256: str = ""
    complete: bool = False
    totals: Totals | None = None


class Plan:
    """The shards of a run.

    Args:
        store: The output folder of the run.
        manifest: The manifest of the run.

    Raises:
        RSGNetError: The plan is missing or broken, or not that of the manifest.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        try:
            digest = store.compute_sha256(manifest.plan)
            self._file = pq.ParquetFile(store.open(manifest.plan))
        except (OSError, pa.ArrowException) as error:
            raise RSGNetError(
                f"{store.uri}/{manifest.plan}: cannot be read ({error}); start in another folder"
            ) from error
        if digest != manifest.plan_sha256 or self._file.num_row_groups != manifest.shards:
            raise RSGNetError(
                f"{store.uri}/{MANIFEST_FILE}: says {manifest.shards} shards, but is not of {manifest.plan}, which has "
                f"{self._file.num_row_groups}; one of them was changed, so start in another folder"
            )

    def __getitem__(self, shard: int) -> list[InputPart]:
        """Returns the input parts of a shard; shards are counted from 0."""
        return [InputPart(**row) for row in self._file.read_row_group(shard).to_pylist()]


def group_into_shards(parts: Iterable[InputPart], size: int) -> Iterator[list[InputPart]]:
    """Groups neighbouring image files into shards of `size`; every other input part is a shard by itself."""
    shard: list[InputPart] = []
    for part in parts:
        is_image = part.kind in ("file", "misnamed")
        if shard and (not is_image or len(shard) >= size):
            yield shard
            shard = []
        if is_image:
            shard.append(part)
        else:
            yield [part]
    if shard:
        yield shard


def begin_run(store: Store, asked: Manifest, shards: Iterable[list[InputPart]]) -> Manifest:
    """Writes the plan and then the manifest, which must be new.

    Args:
        store: The output folder.
        asked: What the user asked for.
        shards: The input parts of each shard.

    Returns:
        The manifest.

    Raises:
        RSGNetError: Another run has begun in the folder meanwhile.
    """
    name = f"plan-{uuid4().hex}.parquet"
    count = _write_plan(store, name, shards)
    manifest = replace(asked, shards=count, plan=name, plan_sha256=store.compute_sha256(name))
    try:
        store.create_text(MANIFEST_FILE, to_json(manifest))
    except FileExistsError as error:
        store.remove(name)
        raise RSGNetError(
            f"{store.uri}: another run began there at the same time; write elsewhere, or start again once it is done"
        ) from error
    return manifest


def _write_plan(store: Store, name: str, shards: Iterable[list[InputPart]]) -> int:
    count = 0
    with store.replace_file(name) as file, pq.ParquetWriter(file, _PLAN_SCHEMA, compression="zstd") as writer:
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
    outcome = {name: getattr(begun, name) for name in ("shards", "plan", "plan_sha256", "complete", "totals")}
    continued = replace(asked, **outcome)
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
