"""Hostile archives and tables of images: names outside the folder, links, bombs, members with wrong sizes."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from tests.hostile.cases import Case, Content, Link, Pipe, Sparse, damage, file_case
from tests.hostile.images import image_file

_ADDRESSES = ("nowhere://x", "/dev/zero", "/proc/self/mem", "/etc")  # of images in tables


def shard_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields all cases; none where PyArrow is not installed."""
    try:
        import fsspec  # noqa: F401
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return
    whole = make_tar({"a.png": image_file("a.png", rng), "b.png": image_file("a.png", rng)})
    for fault, content in damage(whole, rng):
        yield _shard("a.tar", fault, content, refused=False)
    for fault, content in damage(gzip.compress(whole, mtime=0), rng):
        yield _shard("a.tar.gz", f"packed, {fault}", content)
    yield from _members()
    yield from _archives(whole)
    yield from _tables(rng)


def _shard(name: str, fault: str, content: Content, refused: bool = True, named: tuple[str, ...] = ()) -> Case:
    return file_case("shards", "shard", name, fault, content, refused, named)


def make_tar(members: dict[str, bytes]) -> bytes:
    """Returns a tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return file.getvalue()


def _members() -> Iterator[Case]:
    image = image_file("a.png", np.random.default_rng(2))
    for fault, name in (
        ("a climbing name", "../../escaped.png"), ("an absolute name", "/tmp/escaped.png"),
        ("a long name", "a" * 60_000 + ".png"),
        ("a name that paints on terminals", "\x1b[2J\n.png"), ("a name with a null", "a\0b.png"),
        ("a name of half characters", "\udcff.png"),
    ):  # fmt: skip
        yield _shard("a.tar", fault, make_tar({name: image}), refused=False)
    for fault, kind in (
        ("a symbolic link", tarfile.SYMTYPE), ("a hard link", tarfile.LNKTYPE), ("a pipe", tarfile.FIFOTYPE),
        ("a device", tarfile.CHRTYPE), ("a sparse file", tarfile.GNUTYPE_SPARSE),
    ):  # fmt: skip
        header = tarfile.TarInfo("a.png")
        header.type, header.linkname = kind, "/etc/passwd"
        yield _shard("a.tar", f"a member that is {fault}", header.tobuf() + bytes(1024), refused=False)
    for fault, size in (("more than there is", 10**6), ("4 GB", 4 << 30), ("2^62 bytes", 2**62)):
        header = tarfile.TarInfo("a.png")
        header.size = size
        yield _shard("a.tar", f"a member said to have {fault}", header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    negative = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    negative[124:136] = b"\xff" * 12
    negative[148:156] = b"%06o\0 " % (256 + sum(negative[:148]) + sum(negative[156:512]))
    yield _shard("a.tar", "a member of negative size", bytes(negative) + bytes(2048))
    endless = tarfile.TarInfo("x")
    endless.type, endless.size = tarfile.XHDTYPE, 3 << 30
    yield _shard("a.tar", "a head of 3 GB", endless.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    deep = tarfile.TarInfo("././@LongLink")
    deep.type, deep.size = tarfile.GNUTYPE_LONGNAME, 512
    yield _shard("a.tar", "heads of heads", (deep.tobuf(tarfile.GNU_FORMAT) + b"a" * 512) * 3000 + bytes(1024))
    yield _shard("a.tar", "a member that is no image", make_tar({"a.png": b"text", "b.jpg": b"", "c.gif": bytes(99)}))


def _archives(whole: bytes) -> Iterator[Case]:
    yield _shard("a.tar", "an empty file", b"")
    yield _shard("a.tar", "zeros", bytes(10240), refused=False)
    yield _shard("a.tar", "text", b"this is no archive" * 99)
    yield _shard("a.tar", "a named pipe", Pipe())
    yield _shard("a.tar", "a link to endless zeros", Link("/dev/zero"))
    yield _shard("a.tar", "the end mark missing", whole[: whole.rindex(b"IEND") + 8])
    member = tarfile.TarInfo("a.png")
    member.size = 2 << 30
    pack = io.BytesIO()
    with gzip.GzipFile(fileobj=pack, mode="wb", compresslevel=1, mtime=0) as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        for _ in range(128):
            file.write(bytes(4 << 20))
    yield _shard("a.tar.gz", "an image that unpacks to gigabytes", pack.getvalue())
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr(zipfile.ZipInfo("../../escaped.png"), b"x")
    yield _shard("a.tar", "a zip archive under its name", zipped.getvalue())


def _tables(rng: np.random.Generator) -> Iterator[Case]:
    import pyarrow as pa

    png = image_file("a.png", rng)
    whole = _parquet({"image": pa.array([png, png, png])})
    for fault, content in damage(whole, rng):
        yield _shard("a.parquet", f"a table, {fault}", content, refused=False)
    for fault, columns in (
        ("of numbers", {"image": pa.array([1, 2])}), ("of nothing", {"image": pa.array([None, None], pa.binary())}),
        ("without images", {"word": pa.array(["a"])}), ("of lists", {"image": pa.array([[1], [2]])}),
        ("of text", {"image": pa.array([b"text", b""])}),
        ("of addresses", {"url": pa.array(["nowhere://x", "chain::", ""])}),
        ("of devices", {"path": pa.array(["/dev/zero", "/proc/self/mem", "/etc"])}),
        ("of itself", {"path": pa.array(["a.parquet"])}),
        ("of climbing paths", {"path": pa.array(["../../escaped.png"])}),
        ("of objects", {"image": pa.array([{"x": 1}])}),
    ):  # fmt: skip
        yield _shard("a.parquet", f"a table {fault}", _parquet(columns), named=_ADDRESSES)
    yield _shard("a.parquet", "a table, empty", b"")
    yield _shard("a.parquet", "a table of 4 GB", Sparse(b"PAR1", 4 << 30))
    bomb = _parquet({"image": pa.array([bytes(50_000_000)] * 6, pa.binary())}, compression="zstd")
    yield _shard("a.parquet", "a table that unpacks to 300 MB", bomb)


def _parquet(columns: dict[str, Any], **options: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()
