"""Hostile clips: broken containers, frames that grow, and playlists that name other files and addresses."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from tests.hostile.cases import Case, Link, Pipe, Sparse, damage, file_case

_FORMATS = {"a.mp4": "mp4", "a.mkv": "matroska", "a.avi": "avi", "a.ts": "mpegts"}
SECRET = "secret.png"


def clip_file(container_format: str, size_wh: tuple[int, int] = (64, 48), frames: int = 8) -> bytes:
    """Returns a small valid clip. Needs PyAV."""
    import av

    file = BytesIO()
    options = {"fflags": "+bitexact"}
    with av.open(file, "w", format=container_format, container_options=options) as container:
        stream = container.add_stream(
            "mpeg4" if container_format != "mpegts" else "mpeg2video", 10 if container_format != "mpegts" else 25
        )
        stream.width, stream.height = size_wh
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for index in range(frames):
            pixels = np.full((size_wh[1], size_wh[0], 3), 20 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def clip_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields all cases; none where PyAV is not installed."""
    try:
        valid_clips = {name: clip_file(each) for name, each in _FORMATS.items()}
    except ImportError:
        return
    for name, whole in valid_clips.items():
        for fault, content in damage(whole, rng):
            yield file_case("clips", "clip", name, f"{name}: {fault}", content, fault == "cut to its head")
    for fault, content in _playlists():
        files = {"a.mp4": content, SECRET: b"not for others"}
        yield Case(f"clips/{fault}", "clip", "a.mp4", files)
    yield file_case("clips", "clip", "a.mp4", "an empty file", b"")
    yield file_case("clips", "clip", "a.mp4", "text", b"this is no clip\n" * 99)
    yield file_case("clips", "clip", "a.mp4", "zeros", bytes(4096))
    yield file_case(
        "clips", "clip", "a.mp4", "a box that holds itself", b"".join([struct.pack(">I", 8) + b"moov"] * 9999)
    )
    yield file_case(
        "clips", "clip", "a.mp4", "a box of 2^63 bytes", struct.pack(">I4sQ", 1, b"ftyp", 2**63 - 1) + bytes(99)
    )
    yield file_case("clips", "clip", "a.mp4", "a named pipe", Pipe())
    yield file_case("clips", "clip", "a.mp4", "a link to endless zeros", Link("/dev/zero"))
    yield file_case(
        "clips", "clip", "a.avi", "64 MB of zeros behind a head", Sparse(valid_clips["a.avi"][:200], 64 << 20)
    )
    yield file_case(
        "clips", "clip", "a.mp4", "frames said to be 65520x65520", _resized(valid_clips["a.mp4"], 65520), False
    )
    yield file_case(
        "clips", "clip", "a.avi", "frames said to be 60000x60000", _resized_avi(valid_clips["a.avi"], 60_000), False
    )
    grown = clip_file("mpegts", frames=4) + clip_file("mpegts", (2048, 1536), 2)
    yield file_case("clips", "small clip", "a.ts", "frames that grow over the limit", grown)


def _playlists() -> Iterator[tuple[str, bytes]]:
    """Yields texts that FFmpeg takes for clips made of the files and addresses in them."""
    yield "a list of files", f"ffconcat version 1.0\nfile {SECRET}\n".encode()
    yield "a list of files elsewhere", b"ffconcat version 1.0\nfile '/etc/passwd'\n"
    head = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n"
    yield "a playlist of an address", head + b"http://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    yield "a playlist of a file", head + b"file:///etc/passwd\n#EXT-X-ENDLIST\n"
    yield "a playlist of parts", head + b"concat:/etc/passwd|/etc/hosts\n#EXT-X-ENDLIST\n"
    yield (
        "a session that opens ports",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
    )
    dash = b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation>'
    yield (
        "a manifest of an address",
        dash + b"<BaseURL>http://127.0.0.1:9/</BaseURL></Representation></AdaptationSet></Period></MPD>",
    )
    yield "subtitles", b"1\n00:00:00,000 --> 00:00:09,000\n<font face=x>hello</font>\n"
    yield "an image", b"P6 8 8 255\n" + bytes(192)


def _resized(mp4: bytes, side: int) -> bytes:
    """Returns the clip with another size in its sample entry, and without the stream's own header."""
    place = mp4.index(b"mp4v") + 4 + 24
    return mp4[:place] + struct.pack(">HH", side, side) + mp4[place + 4 :].replace(b"\0\0\1\xb0", b"\0\0\1\xb8", 1)


def _resized_avi(avi: bytes, side: int) -> bytes:
    place = avi.index(b"strf") + 8 + 4
    return avi[:place] + struct.pack("<ii", side, side) + avi[place + 8 :].replace(b"\0\0\1\xb0", b"\0\0\1\xb8")
