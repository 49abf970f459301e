import os
import stat

import pytest

from rsgnet.files import replacing, sha256, write_text


def test_writes_into_folders_that_do_not_exist_yet(tmp_path):
    path = tmp_path / "a" / "b" / "note.txt"
    write_text(path, "gräßlich\n")
    assert path.read_bytes() == "gräßlich\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["note.txt"]


def test_replaces_what_was_there(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("a much longer first version")
    write_text(path, "second")
    assert path.read_text() == "second"


def test_the_old_file_stands_until_the_block_ends(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with replacing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
        assert (beside.parent, beside.suffix) == (path.parent, path.suffix)
    assert path.read_text() == "new"


def test_a_failure_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), replacing(path) as beside:
        beside.write_text("half of the n")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_get_the_permissions_that_the_umask_gives(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "note.txt", "")
        assert os.umask(umask) == umask  # and the umask is as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "note.txt").stat().st_mode) == mode


def test_the_sha256_of_a_file(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_was_written_may_be_kept_when_the_block_is_broken_off(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path, keep_partial=True) as beside:
        beside.write_text("half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "half of the n"
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]
