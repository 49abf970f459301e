import errno
import os
import stat

import pytest

from rsgnet.files import check_folder, compute_sha256, replace_atomically, write_text


def test_missing_folders_are_created(tmp_path):
    path = tmp_path / "a" / "b" / "note.txt"
    write_text(path, "gräßlich\n")
    assert path.read_bytes() == "gräßlich\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["note.txt"]


def test_an_existing_file_is_replaced(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("a much longer first version")
    write_text(path, "second")
    assert path.read_text() == "second"


def test_the_old_file_remains_until_the_block_ends(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with replace_atomically(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert (temporary.parent, temporary.suffix) == (path.parent, path.suffix)
    assert path.read_text() == "new"


def test_an_error_keeps_the_old_file_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), replace_atomically(path) as temporary:
        temporary.write_text("half of the n")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_get_the_permissions_that_the_umask_gives(tmp_path, umask, mode):
    old_umask = os.umask(umask)
    try:
        write_text(tmp_path / "note.txt", "")
        assert os.umask(umask) == umask  # reading the umask does not change it
    finally:
        os.umask(old_umask)
    assert stat.S_IMODE((tmp_path / "note.txt").stat().st_mode) == mode


def test_the_sha256_of_a_file(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert compute_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_keep_partial_keeps_what_was_written_before_an_error(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replace_atomically(path, keep_partial=True) as temporary:
        temporary.write_text("half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and (tmp_path / "note.partial.txt").read_text() == "half of the n"
    with replace_atomically(path, keep_partial=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and [file.name for file in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named(tmp_path, number):
    path = tmp_path / "note.txt"
    with pytest.raises(OSError) as caught, replace_atomically(path):
        raise OSError(number, "no room")
    assert caught.value.filename == str(path) and list(tmp_path.iterdir()) == []


def test_folders_are_checked_without_creating_them(tmp_path):
    check_folder(tmp_path / "a" / "b")
    check_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    for folder in ("file", "file/b/c", "nowhere", "nowhere/b"):
        with pytest.raises(NotADirectoryError) as caught:
            check_folder(tmp_path / folder)
        assert caught.value.filename == str(tmp_path / folder.partition("/")[0])


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(PermissionError):
        check_folder(tmp_path / "a")
