import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.scaleout.conftest import png

from rsgnet.errors import RSGNetError
from rsgnet.scaleout.listing import ALL_GROUPS, Piece, find_pieces, full_uri, image_column


def names(pieces):
    return [piece.file_name for piece in pieces]


def test_a_folder(photos):
    pieces = list(find_pieces([str(photos)], 4))
    assert names(pieces) == [f"{number:02}.png" for number in range(9)] + ["deep/x.png"]
    assert pieces[-1] == Piece("file", f"file://{photos}/deep/x.png", "deep/x.png")


def test_patterns_and_files_each_once(photos):
    sources = [f"{photos}/0[0-2].png", f"{photos}/01.png", f"file://{photos}/*/x.png", f"{photos}/missing.png"]
    assert names(find_pieces(sources, 4)) == ["00.png", "01.png", "02.png", "deep/x.png", "missing.png"]


def test_a_store_in_memory():
    files = fsspec.filesystem("memory")
    for name in ("/listed/b.png", "/listed/a/c.JPG", "/listed/.hidden.png", "/listed/words.txt", "/listed/d.tar"):
        files.pipe_file(name, png(1))
    pieces = list(find_pieces(["memory://listed"], 4))
    assert [(piece.kind, piece.uri, piece.file_name) for piece in pieces] == [
        ("file", "memory:///listed/a/c.JPG", "a/c.JPG"),
        ("file", "memory:///listed/b.png", "b.png"),
        ("tar", "memory:///listed/d.tar", "d.tar"),
    ]


def test_results_below_a_source_are_left_out(photos):
    (photos / "out").mkdir()
    (photos / "out" / "part.parquet").write_bytes(b"")
    (photos / "outer.png").write_bytes(png(1))
    assert names(find_pieces([str(photos)], 4, f"file://{photos}/out"))[-2:] == ["deep/x.png", "outer.png"]


def test_row_groups_are_gathered(tmp_path):
    table = pa.table({"key": range(10), "image": [b"x"] * 10})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=2)
    pieces = list(find_pieces([str(tmp_path)], 3))
    assert [(piece.column, piece.first, piece.stop) for piece in pieces] == [
        ("image", 0, 2), ("image", 2, 4), ("image", 4, 5),
    ]  # fmt: skip
    (piece,) = find_pieces([f"{tmp_path}/p.parquet#key"], 100)
    assert (piece.column, piece.first, piece.stop) == ("key", 0, 5)
    assert full_uri(f"{tmp_path}/p.parquet#key") == f"file://{tmp_path}/p.parquet#key"


def test_a_broken_parquet_is_kept_for_its_error(tmp_path):
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no more")
    (piece,) = find_pieces([str(tmp_path)], 3)
    assert piece.kind == "parquet" and piece.stop == ALL_GROUPS


def test_columns_are_told():
    schema = pa.schema([("caption", pa.string()), ("url", pa.string())])
    assert image_column(schema, "", "p") == "url" and image_column(schema, "caption", "p") == "caption"
    with pytest.raises(RSGNetError, match=r"p: has no column 'photo', but caption, url"):
        image_column(schema, "photo", "p")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "no image was named"),
        (["{0}/none*.png"], "none"),
        (["{0}"], "nothing of a known kind"),
        (["no://x"], "no"),
    ],
)
def test_nothing_to_do(tmp_path, sources, message):
    with pytest.raises(RSGNetError, match=message):
        list(find_pieces([source.format(tmp_path) for source in sources], 4))
