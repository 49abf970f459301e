import pytest

from rsgnet.errors import RSGNetError
from rsgnet.scaleout.store import PARTIAL_FOLDER, Store, open_location


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    return Store(str(tmp_path / "out") if request.param == "local" else f"memory://{tmp_path.name}")


def test_files_are_read_as_written(store):
    store.write_text("a/b.txt", "ä")
    store.write_text("a/b.txt", "new ä")
    store.write_text("a/c.txt", "")
    assert store.read("a/b.txt") == "new ä".encode() and store.read("a/none.txt") is None
    assert store.sizes("a") == {"b.txt": 6, "c.txt": 0} and store.size("a/b.txt") == 6
    assert store.read_all(["a/c.txt", "a/b.txt"]) == [b"", "new ä".encode()]
    assert store.read_all([]) == [] and store.sizes("nowhere") == {} and store.sizes(PARTIAL_FOLDER) == {}


def test_an_interrupted_write_keeps_the_old_file(store):
    store.write_text("a.txt", "old")
    with pytest.raises(KeyboardInterrupt), store.replace_file("a.txt") as file:
        file.write(b"half of the n")
        raise KeyboardInterrupt
    assert store.read("a.txt") == b"old" and store.sizes(PARTIAL_FOLDER) == {}


def test_a_file_is_visible_only_when_it_is_whole(store):
    with store.replace_file("a.txt") as file:
        file.write(b"half")
        assert store.read("a.txt") is None
    assert store.read("a.txt") == b"half"


def test_partial_files_are_removed(store):
    store.write_text(f"{PARTIAL_FOLDER}/left", "over")
    store.write_text("kept", "")
    store.remove_partial_files()
    store.remove_partial_files()
    assert store.sizes(PARTIAL_FOLDER) == {} and store.read("kept") == b""


@pytest.mark.parametrize("uri", ["nosuchstore://bucket/x", "camera:0://"])
def test_an_unknown_store(uri):
    with pytest.raises(RSGNetError, match=uri):
        open_location(uri)
