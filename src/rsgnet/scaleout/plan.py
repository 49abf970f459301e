"""What a run is, and which of its shards are complete.

`manifest.json` says what was asked and, at the end, that all is done; `manifest/000012.json` that shard 12 is: it is
written once the shard's rows lie in their place. A shard counts as complete if both are there and the sizes agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace

import pyarrow as pa
import pyarrow.parquet as pq

from rsgnet.config_files import from_json, to_json
from rsgnet.errors import RSGNetError
from rsgnet.inference.predictions import RunRecord
from rsgnet.scaleout.listing import Piece
from rsgnet.scaleout.store import Store

MANIFEST_FILE, RECORDS_FOLDER, PARTS_FOLDER = "manifest.json", "manifest", "parts"


@dataclass(frozen=True)
class Totals:
    """What was done.

    Attributes:
        images: Rows, of images and of errors.
        people: Whom they show.
        errors: Rows of errors.
    """

    images: int = 0
    people: int = 0
    errors: int = 0


@dataclass(frozen=True)
class ShardRecord(Totals):
    """One complete shard.

    Attributes:
        shard: Its number.
        size: Of its file of rows, in bytes.
    """

    shard: int = 0
    size: int = 0


@dataclass(frozen=True)
class Manifest:
    """One run over an input list.

    Attributes:
        sources: What was asked for, as URIs.
        shard_size: Image files, or at least so many rows of Parquet, in a shard.
        max_pixels: Images with more were refused.
        run: The network and the detector.
        keypoints: Their names, in the order of the rows.
        shards: How many there are.
        complete: Whether all of them are done.
        totals: Of all, once they are.
    """

    sources: tuple[str, ...]
    shard_size: int
    max_pixels: int
    run: RunRecord
    keypoints: tuple[str, ...]
    shards: int = 0
    complete: bool = False
    totals: Totals | None = None


def part_name(shard: int) -> str:
    """The file of a shard's rows."""
    return f"{PARTS_FOLDER}/part-{shard:06d}.parquet"


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Writes manifest.json."""
    store.write_text(MANIFEST_FILE, to_json(manifest))


def read_manifest(store: Store) -> Manifest | None:
    """The manifest of the run that a folder holds, None where it holds none.

    Raises:
        RSGNetError: It is broken.
    """
    content = store.read(MANIFEST_FILE)
    return None if content is None else from_json(Manifest, content, f"{store.uri}/{MANIFEST_FILE}")


def check_same_run(begun: Manifest, asked: Manifest, uri: str) -> None:
    """Makes sure that a run goes on as it was begun.

    Raises:
        RSGNetError: Something else is asked for.
    """
    settled = replace(asked, shards=begun.shards, complete=begun.complete, totals=begun.totals)
    changed = [each.name for each in fields(Manifest) if getattr(begun, each.name) != getattr(settled, each.name)]
    if changed:
        was, now = (getattr(manifest, changed[0]) for manifest in (begun, settled))
        raise RSGNetError(
            f"{uri}: was begun with another {changed[0]} ({was}, now {now}); ask for the same or write elsewhere"
        )


def record_shard(store: Store, record: ShardRecord) -> None:
    """Notes that a shard is complete; its rows must lie in their place."""
    store.write_text(f"{RECORDS_FOLDER}/{record.shard:06d}.json", to_json(record))


def complete_shards(store: Store) -> dict[int, ShardRecord]:
    """The shards that are complete, by number.

    Raises:
        RSGNetError: A record is broken.
    """
    sizes = store.sizes(PARTS_FOLDER)
    names = [f"{RECORDS_FOLDER}/{name}" for name in store.sizes(RECORDS_FOLDER) if name.endswith(".json")]
    records = [
        from_json(ShardRecord, content, f"{store.uri}/{name}")
        for name, content in zip(names, store.read_all(names), strict=True)
    ]
    return {each.shard: each for each in records if sizes.get(part_name(each.shard).rpartition("/")[2]) == each.size}


def sum_up(records: Iterable[Totals]) -> Totals:
    """The totals of several shards."""
    rows = [(each.images, each.people, each.errors) for each in records]
    return Totals(*(sum(column) for column in zip(*rows, strict=True))) if rows else Totals()


PLAN_FILE = "plan.parquet"
_SCHEMA = pa.schema(
    [(field.name, pa.int64() if field.name in ("first", "stop") else pa.string()) for field in fields(Piece)]
)


def in_shards(pieces: Iterable[Piece], size: int) -> Iterator[list[Piece]]:
    """Gathers neighbouring image files into shards of `size`; every other piece is one by itself."""
    gathered: list[Piece] = []
    for piece in pieces:
        if gathered and (piece.kind != "file" or len(gathered) >= size):
            yield gathered
            gathered = []
        if piece.kind == "file":
            gathered.append(piece)
        else:
            yield [piece]
    if gathered:
        yield gathered


def write_plan(store: Store, shards: Iterable[list[Piece]]) -> int:
    """Writes the plan; gives how many shards it has."""
    count = 0
    with store.writing(PLAN_FILE) as file, pq.ParquetWriter(file, _SCHEMA, compression="zstd") as writer:
        for shard in shards:
            rows = pa.Table.from_pylist([asdict(piece) for piece in shard], _SCHEMA)
            writer.write_table(rows, row_group_size=len(shard))
            count += 1
    return count


class Plan:
    """The plan of a run.

    Args:
        store: Where it was written to.

    Raises:
        RSGNetError: There is none, or it is broken.
    """

    def __init__(self, store: Store) -> None:
        try:
            self._file = pq.ParquetFile(store.open(PLAN_FILE))
        except (OSError, pa.ArrowException) as error:
            raise RSGNetError(f"{store.uri}/{PLAN_FILE}: cannot be read ({error}); start in another folder") from error

    def __len__(self) -> int:
        shards: int = self._file.num_row_groups
        return shards

    def __getitem__(self, shard: int) -> list[Piece]:
        """The pieces of a shard, counted from 0."""
        return [Piece(**row) for row in self._file.read_row_group(shard).to_pylist()]
