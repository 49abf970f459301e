"""Hostile images: damaged files of every format, bombs, loops, and other files with the names of images."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from tests.hostile.cases import Case, Link, Pipe, Sparse, damage, file_case

_LARGEST_SIZE_WH = (9_990, 10_000)  # just below the limit of pixels
KINDS: dict[str, dict[str, Any]] = {
    "a.png": {"mode": "RGB"},
    "alpha.png": {"mode": "RGBA"},
    "palette.png": {"mode": "P"},
    "deep.png": {"mode": "I;16"},
    "a.jpg": {"mode": "RGB"},
    "progressive.jpg": {"mode": "RGB", "progressive": True},
    "cmyk.jpg": {"mode": "CMYK"},
    "a.webp": {"mode": "RGB"},
    "lossless.webp": {"mode": "RGBA", "lossless": True},
    "a.gif": {"mode": "P"},
    "a.bmp": {"mode": "RGB"},
    "a.tif": {"mode": "RGB"},
    "packed.tif": {"mode": "RGB", "compression": "tiff_lzw"},
    "floats.tif": {"mode": "F"},
    "a.ppm": {"mode": "RGB"},
}


def image_file(name: str, rng: np.random.Generator, size_wh: tuple[int, int] = (40, 30)) -> bytes:
    """Returns a small valid image file of one of the kinds."""
    options = dict(KINDS[name])
    mode = options.pop("mode")
    noise = Image.fromarray(rng.integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8))
    image = noise.convert("L").convert("I").convert("I;16") if mode == "I;16" else noise.convert(mode)
    file = BytesIO()
    image.save(file, {"jpg": "jpeg", "tif": "tiff"}.get(name[-3:], name.rpartition(".")[2]), **options)
    return file.getvalue()


def image_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields all cases."""
    for name in KINDS:
        for fault, content in damage(image_file(name, rng), rng):
            yield file_case("images", "image", name, f"{name}: {fault}", content, fault == "cut to its head")
    for name, fault, content in (*_bombs(), *_invalid_headers(), *_other_formats(), *slow_images()):
        yield file_case("images", "image", name, fault, content)
    for name, fault, content in _unusual_images():
        yield file_case("images", "image", name, fault, content, refused=False)
    yield file_case("images", "image", "pipe.png", "a named pipe", Pipe())
    yield file_case("images", "image", "zero.png", "a link to endless zeros", Link("/dev/zero"))
    yield file_case("images", "image", "loop.png", "a link to itself", Link("loop.png"))
    yield file_case("images", "image", "huge.png", "4 GB of zeros", Sparse(b"", 4 << 30))
    yield file_case("images", "image", "huge.bmp", "4 GB behind a head", Sparse(_bmp(20_000, 20_000, 24), 4 << 30))
    yield Case("images/a folder", "image", "folder.png", {"folder.png/a.txt": b""})


def chunk(kind: bytes, content: bytes) -> bytes:
    """Returns a chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(size_wh: tuple[int, int], depth: int, colour: int, content: bytes, extra: bytes = b"") -> bytes:
    """Returns a PNG file of compressed rows, which need not fit its header."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size_wh, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def zeros_png(size_wh: tuple[int, int], depth: int, colour: int) -> bytes:
    """Returns a small valid file that unpacks to a huge image."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    row, pack = bytes(1 + (size_wh[0] * channels * depth + 7) // 8), zlib.compressobj(1)
    rows, left = row * 100, size_wh[1] // 100
    return png(size_wh, depth, colour, b"".join([*(pack.compress(rows) for _ in range(left)), pack.flush()]))


def _bombs() -> Iterator[tuple[str, str, bytes]]:
    some = zlib.compress(bytes(99))
    yield "a.png", "a PNG of 60000x60000", png((60_000, 60_000), 8, 2, some)
    yield "a.png", "a PNG of 10001x10000", png((10_001, 10_000), 8, 2, some)
    yield "a.png", "a PNG of 2147483647x2147483647", png((2**31 - 1, 2**31 - 1), 1, 0, some)
    yield "a.gif", "a GIF of 65535x65535", b"GIF89a\xff\xff\xff\xff\x80\x00\x00" + bytes(6) + b"\x2c" + bytes(20)
    frame = b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    yield "a.jpg", "a JPEG of 65535x65535", b"\xff\xd8" + frame + b"\xff\xda" + bytes(64)
    yield "a.bmp", "a BMP of 60000x60000", _bmp(60_000, 60_000, 24) + bytes(64)
    yield "a.tif", "a TIFF of 4294967295x4294967295", _tiff({256: 2**32 - 1, 257: 2**32 - 1, 258: 8, 259: 1, 262: 1})
    yield "a.ppm", "a PPM of 99999999x99999999", b"P6 99999999 99999999 255\n" + bytes(64)
    lossless = b"\x2f" + struct.pack("<I", (16383 << 14) | 16383)
    yield "a.webp", "a WebP of 16384x16384", _riff(b"VP8L", lossless + bytes(64))
    large = chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(80_000_000), 1))
    yield "a.png", "a text that unpacks to 80 MB", png((8, 8), 8, 2, zlib.compress(bytes(8 * 25)), large)


def _unusual_images() -> Iterator[tuple[str, str, bytes]]:
    """Yields images at the limits, which must be read in bounded memory or refused."""
    yield "a.png", "99.9 million pixels of RGB", zeros_png(_LARGEST_SIZE_WH, 8, 2)
    yield "a.png", "99.9 million pixels with alpha", zeros_png(_LARGEST_SIZE_WH, 8, 6)
    yield "a.png", "99.9 million pixels of 16 bits", zeros_png(_LARGEST_SIZE_WH, 16, 0)
    yield "a.png", "a column of 60 million pixels", zeros_png((1, 60_000_000), 8, 0)
    yield "a.png", "rows of 100000 pixels", zeros_png((100_000, 100), 8, 0)
    profile = chunk(b"iCCP", b"note\0\0" + zlib.compress(bytes(80_000_000), 1))
    yield "a.png", "a profile that unpacks to 80 MB", png((8, 8), 8, 2, zlib.compress(bytes(8 * 25)), profile)
    whole = image_file("a.jpg", np.random.default_rng(0))
    for turn in (0, 9, 300, 65535):
        tags = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + struct.pack("<I", turn) + bytes(4)
        yield "a.jpg", f"turned by {turn}", _with_exif(whole, tags)
    yield "a.jpg", "an Exif block that points to itself", _with_exif(whole, b"II*\0\x08\0\0\0\0\0\x08\0\0\0")
    yield "a.jpg", "an Exif block of 60000 tags", _with_exif(whole, b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000))
    yield "a.png", "too few rows", png((100, 100), 8, 2, zlib.compress(bytes(301)))
    yield "a.jpg", "two images in one file", whole + whole
    yield "a.gif", "an animation of 2000 frames", _animation(2000)


def _invalid_headers() -> Iterator[tuple[str, str, bytes]]:
    yield "a.png", "an empty file", b""
    yield "a.png", "no pixels wide", png((0, 10), 8, 2, zlib.compress(b""))
    yield "a.png", "pixels that are no zlib", png((10, 10), 8, 2, bytes(300))
    yield "a.png", "a depth of 255", png((10, 10), 255, 2, zlib.compress(bytes(310)))
    yield "a.png", "a chunk longer than the file", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xf0IHDR" + bytes(50)
    yield "a.bmp", "a BMP of no bits", _bmp(10, 10, 0) + bytes(400)
    yield "a.bmp", "a BMP of negative width", _bmp(-10, 10, 24) + bytes(400)
    yield "a.tif", "a directory that points to itself", b"II*\0\x08\0\0\0\0\0\x08\0\0\0"
    yield "a.tif", "a directory beyond the file", b"II*\0\xff\xff\xff\x7f"
    yield "a.tif", "strips beyond the file", _tiff({256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 2**31, 279: 4096})
    yield "a.tif", "a strip of 4 GB", _tiff({256: 64, 257: 64, 258: 8, 259: 5, 262: 1, 273: 8, 279: 2**32 - 1})
    yield "a.tif", "an unknown compression", _tiff({256: 64, 257: 64, 258: 8, 259: 4242, 262: 1, 273: 8, 279: 64})
    yield "a.ppm", "a PPM of words", b"P6 wide high bright\n" + bytes(64)
    yield "a.ppm", "a PPM of an endless number", b"P6 " + b"9" * 100_000
    yield "a.ppm", "a PPM of an endless remark", b"P6 #" + b"x" * 100_000
    yield "a.webp", "a WebP that is all head", _riff(b"VP8X", bytes(10))
    yield "a.jpg", "a JPEG of segments without end", b"\xff\xd8" + b"\xff\xe1\xff\xff" * 20_000


def _other_formats() -> Iterator[tuple[str, str, bytes]]:
    """Yields other files with an image's name; the first would start a program."""
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(out) (w) file closefile\nshowpage\n"
    yield "a.jpg", "a PostScript program", script
    yield (
        "a.png",
        "an SVG that names a file",
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
    )
    yield "a.png", "a PDF", b"%PDF-1.7\n1 0 obj <<>> endobj\n%%EOF"
    yield "a.png", "a shell script", b"#!/bin/sh\ntouch owned\n"
    yield "a.jpg", "an archive", b"PK\x03\x04" + bytes(200)
    yield "a.png", "an icon of an icon", b"\0\0\1\0\1\0" + bytes(300)
    yield (
        "a.jpg",
        "a Photoshop file",
        b"8BPS\0\1" + bytes(20) + struct.pack(">HIIHH", 3, 30000, 30000, 8, 3) + bytes(90),
    )
    yield "a.png", "text", b"this is no image\n" * 50


def scans_jpeg(size_wh: tuple[int, int], scans: int) -> bytes:
    """Returns a progressive JPEG file whose last scan is repeated until it has so many scans."""
    file = BytesIO()
    Image.new("RGB", size_wh, (90, 110, 130)).save(file, "jpeg", progressive=True)
    whole = file.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * (scans - whole.count(b"\xff\xda") + 1) + whole[-2:]


def slow_images() -> Iterator[tuple[str, str, bytes]]:
    """Yields images whose decoding takes much longer than their bytes and pixels suggest."""
    yield "a.jpg", "a scan 5000 times", scans_jpeg((7900, 8000), 5000)
    yield "a.jpg", "a scan 5000 times after a thumbnail", _with_exif(scans_jpeg((7900, 8000), 5000), b"\xff\xd9" * 99)
    yield "a.pbm", "remarks between pixels", b"P1 1000 1000\n" + b"#\n" * 600_000
    yield "a.ppm", "pixels in digits", b"P3 1000 1000 255\n" + b"0 " * 3_000_000


def _bmp(width: int, height: int, bits: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, bits, 0, 0, 1, 1, 0, 0)


def _tiff(tags: dict[int, int]) -> bytes:
    """Returns a TIFF file of one directory of 32-bit tags."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + bytes(64)


def _riff(kind: bytes, content: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _with_exif(jpeg: bytes, tags: bytes) -> bytes:
    content = b"Exif\0\0" + tags
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def _animation(frames: int) -> bytes:
    file = BytesIO()
    images = [Image.new("P", (8, 8), index % 200) for index in range(frames)]
    images[0].save(file, "gif", save_all=True, append_images=images[1:])
    return file.getvalue()
