"""Decoding takes no more memory per pixel than docs/security.md says, whatever the format."""

import struct
import subprocess
import sys
from io import BytesIO

import pytest
from PIL import Image
from tests.hostile.images import scans_jpeg, zeros_png

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from /proc")

SIZE_WH, BYTES_PER_PIXEL, OTHER_BYTES = (3200, 2500), 17, 8_000_000
MEASURE = """
import re, sys
from pathlib import Path
from PIL import Image
from rsgnet.errors import ImageError
from rsgnet.images import decode_image

def read(name):
    return int(re.findall(rf"{name}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024

Image.init()
content = sys.stdin.buffer.read()
Path("/proc/self/clear_refs").write_text("5")
before = read("VmRSS")
"""
DECODE = f"""{MEASURE}
height, width, _ = decode_image(content, "image").shape
print(width * height, read("VmHWM") - before)
"""
KEEP_ERRORS = f"""{MEASURE}
kept = []
for _ in range(8):
    try:
        decode_image(content, "image")
    except ImageError as error:
        kept.append(error)
print(len(kept), read("VmRSS") - before)
"""


def save(mode, kind, **options):
    file = BytesIO()
    Image.new(mode, SIZE_WH).save(file, kind, **options)
    return file.getvalue()


def animation(kind):
    return save("RGBA", kind, save_all=True, append_images=[Image.new("RGBA", SIZE_WH, "red")])


def turned(jpeg):
    tags = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 8 + len(tags)) + b"Exif\0\0" + tags + jpeg[2:]


IMAGES = {
    "JPEG, turned": lambda: turned(save("RGB", "jpeg")),
    "JPEG of 100 scans": lambda: scans_jpeg(SIZE_WH, 100),
    "JPEG, CMYK, progressive": lambda: save("CMYK", "jpeg", progressive=True, subsampling=0),
    "PNG of 16 bits with alpha": lambda: zeros_png(SIZE_WH, 16, 6),
    "PNG of 16 bits, grey": lambda: zeros_png(SIZE_WH, 16, 0),
    "PNG, a tall column": lambda: zeros_png((122, 65_500), 8, 6),
    "PNG, animated": lambda: animation("png"),
    "PNG, palette with transparency": lambda: save("P", "png", transparency=0),
    "WebP, animated": lambda: animation("webp"),
    "WebP, lossless": lambda: save("RGBA", "webp", lossless=True),
    "GIF, animated": lambda: animation("gif"),
    "TIFF, RGBA, LZW": lambda: save("RGBA", "tiff", compression="tiff_lzw"),
    "TIFF, floats": lambda: save("F", "tiff"),
    "TIFF, Lab": lambda: save("LAB", "tiff"),
}


def measure(script, content):
    done = subprocess.run([sys.executable, "-c", script], input=content, capture_output=True, check=True)
    return map(int, done.stdout.split())


@pytest.mark.parametrize("name", IMAGES)
def test_bytes_per_pixel(name):
    pixels, peak_bytes = measure(DECODE, IMAGES[name]())
    assert pixels >= 7_900_000 and peak_bytes < BYTES_PER_PIXEL * pixels + OTHER_BYTES


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif"])
def test_errors_that_are_kept_hold_no_pixels(kind):
    content = save("RGB", kind)
    errors, bytes_more = measure(KEEP_ERRORS, content[: len(content) * 2 // 3])
    assert errors == 8 and bytes_more < 8 * SIZE_WH[0] * SIZE_WH[1]  # less than two images' pixels
