import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.scaleout.conftest import png

from rsgnet.errors import RSGNetError
from rsgnet.scaleout.inputs import ALL_ROW_GROUPS, InputPart, absolute_uri, find_image_column, list_inputs


def names(parts):
    return [part.file_name for part in parts]


def test_a_folder(photos):
    parts = list(list_inputs([str(photos)], 4))
    assert names(parts) == [f"{number:02}.png" for number in range(9)] + ["deep/x.png"]
    assert parts[-1] == InputPart("file", f"file://{photos}/deep/x.png", "deep/x.png")


def test_files_that_several_sources_name_are_listed_once(photos):
    sources = [f"{photos}/0[0-2].png", f"{photos}/01.png", f"file://{photos}/*/x.png", f"{photos}/missing.png"]
    assert names(list_inputs(sources, 4)) == ["00.png", "01.png", "02.png", "deep/x.png", "missing.png"]


def test_a_store_in_memory():
    files = fsspec.filesystem("memory")
    for name in ("/listed/b.png", "/listed/a/c.JPG", "/listed/.hidden.png", "/listed/words.txt", "/listed/d.tar"):
        files.pipe_file(name, png(1))
    parts = list(list_inputs(["memory://listed"], 4))
    assert [(part.kind, part.uri, part.file_name) for part in parts] == [
        ("file", "memory:///listed/a/c.JPG", "a/c.JPG"),
        ("file", "memory:///listed/b.png", "b.png"),
        ("tar", "memory:///listed/d.tar", "d.tar"),
    ]


def test_the_folder_of_results_is_left_out(photos):
    (photos / "out").mkdir()
    (photos / "out" / "part.parquet").write_bytes(b"")
    (photos / "outer.png").write_bytes(png(1))
    assert names(list_inputs([str(photos)], 4, f"file://{photos}/out"))[-2:] == ["deep/x.png", "outer.png"]


def test_row_groups_are_joined(tmp_path):
    table = pa.table({"key": range(10), "image": [b"x"] * 10})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=2)
    parts = list(list_inputs([str(tmp_path)], 3))
    assert [(part.column, part.first, part.stop) for part in parts] == [
        ("image", 0, 2), ("image", 2, 4), ("image", 4, 5),
    ]  # fmt: skip
    (part,) = list_inputs([f"{tmp_path}/p.parquet#key"], 100)
    assert (part.column, part.first, part.stop) == ("key", 0, 5)
    assert absolute_uri(f"{tmp_path}/p.parquet#key") == f"file://{tmp_path}/p.parquet#key"


def test_a_broken_parquet_file_is_listed(tmp_path):
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no more")
    (part,) = list_inputs([str(tmp_path)], 3)
    assert part.kind == "parquet" and part.stop == ALL_ROW_GROUPS


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["key", "image"], "image"),
        (["key", "picture"], "picture"),
        (["bytes", "picture"], "picture"),
        (["picture", "image"], "image"),
        (["path", "uri", "jpg"], "jpg"),
    ],
)
def test_usual_columns_of_images_by_preference(columns, expected):
    assert find_image_column(pa.schema([(name, pa.binary()) for name in columns]), "", "p") == expected


def test_the_column_of_images():
    schema = pa.schema([("caption", pa.string()), ("url", pa.string())])
    assert find_image_column(schema, "", "p") == "url" and find_image_column(schema, "caption", "p") == "caption"
    with pytest.raises(RSGNetError, match=r"p: has no column 'photo', but caption, url"):
        find_image_column(schema, "photo", "p")


@pytest.mark.parametrize(
    ("sources", "message"),
    [([], "no image was named"), (["{0}/none*.png"], "none"), (["{0}"], "no file of a known kind"), (["no://x"], "no")],
)
def test_sources_without_images(tmp_path, sources, message):
    with pytest.raises(RSGNetError, match=message):
        list(list_inputs([source.format(tmp_path) for source in sources], 4))
