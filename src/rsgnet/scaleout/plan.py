"""The input list in shards, written down before anything is done: what is in a shard never changes afterwards.

`plan.parquet` has a row a piece, and its row groups are the shards: a worker reads its own and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields

import pyarrow as pa
import pyarrow.parquet as pq

from rsgnet.errors import RSGNetError
from rsgnet.scaleout.listing import Piece
from rsgnet.scaleout.store import Store

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
