"""Makes hostile files out of small good ones; the same seed gives the same files."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

SEEDS = Path(__file__).resolve().parents[3] / "rust_media" / "fuzz" / "corpus"
_EXTREMES = (0, 1, 7, 8, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
#: (width, height) of the seeds' pictures.
_SIZES = ((64, 48), (48, 64), (48, 32), (56, 40), (24, 20), (20, 16))
_ABSURD = (0, 1, 0x3FFF, 0x7FFF, 0xFFFF)


def seeds() -> dict[str, bytes]:
    """The good files by name, videos and images."""
    paths = [*SEEDS.glob("video/seed_*"), *SEEDS.glob("image/seed_*")]
    return {f"{p.parent.name}_{p.name.removeprefix('seed_')}": p.read_bytes() for p in paths}


def flip_bits(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Flips a few bits, half of the time only among the headers."""
    broken = bytearray(data)
    reach = len(broken) if draw.random() < 0.5 else min(512, len(broken))
    for _ in range(draw.choice((1, 3, 20, 200))):
        broken[draw.randrange(reach)] ^= 1 << draw.randrange(8)
    return bytes(broken)


def truncate(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Cuts the end off."""
    return data[: draw.randrange(len(data))]


def splice(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Puts the start of one file before the end of another."""
    other = draw.choice(others)
    head = draw.choice((16, 64, 256, len(data) // 2))
    return data[:head] + other[draw.randrange(len(other)) :]


def extreme_number(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Overwrites integers of two, four or eight bytes with extreme ones."""
    broken = bytearray(data)
    reach = len(broken) if draw.random() < 0.3 else min(1024, len(broken))
    for _ in range(draw.choice((1, 2, 5))):
        width = draw.choice((2, 4, 4, 8))
        number = draw.choice(_EXTREMES) % (1 << 8 * width)
        at = draw.randrange(max(1, reach - width))
        broken[at : at + width] = number.to_bytes(width, draw.choice(("big", "little")))
    return bytes(broken)


def box_size(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Gives a box, chunk or element of the container another size."""
    places = [m for name in _FOUR_LETTERS for m in _occurrences(data, name)]
    if not places:
        return extreme_number(data, others, draw)
    broken = bytearray(data)
    at = draw.choice(places)
    number = draw.choice((*_EXTREMES, len(data), len(data) * 2))
    if data[:4] == b"RIFF":
        broken[at + 4 : at + 8] = struct.pack("<I", number & 0xFFFFFFFF)
    elif data[:4] == b"\x89PNG" or at >= 4:
        broken[at - 4 : at] = struct.pack(">I", number & 0xFFFFFFFF)
    return bytes(broken)


_FOUR_LETTERS = (
    *(b"ftyp", b"moov", b"trak", b"mdia", b"stbl", b"stsd", b"stts", b"ctts", b"stsz", b"stco"),
    *(b"stsc", b"stss", b"elst", b"mdat", b"moof", b"trun", b"avcC", b"hvcC", b"avc1", b"tkhd"),
    *(b"LIST", b"avih", b"strf", b"strh", b"idx1", b"movi", b"00dc", b"fmt ", b"data", b"VP8 "),
    *(b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"),
)


def absurd_dimensions(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Announces another width and height, wherever the true ones are written down."""
    forms = (">HH", "<HH", ">II", "<II")
    found = [
        (place, form)
        for width, height in _SIZES
        for form in forms
        for pair in ((width, height), (height, width))
        for place in _occurrences(data, struct.pack(form, *pair))
    ]
    if not found:
        return extreme_number(data, others, draw)
    broken = bytearray(data)
    for place, form in found if draw.random() < 0.5 else [draw.choice(found)]:
        limit = 0xFFFF if form[1] == "H" else 0x7FFFFFFF
        pair = [draw.choice((*_ABSURD, limit)) for _ in range(2)]
        broken[place : place + struct.calcsize(form)] = struct.pack(form, *pair)
    return _with_png_checksum(bytes(broken))


def shuffle_parts(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Removes, repeats or blanks a stretch."""
    start = draw.randrange(len(data))
    end = min(len(data), start + draw.choice((1, 4, 64, 1024)))
    part = draw.choice((b"", data[start:end] * 2, bytes(end - start), draw.randbytes(end - start)))
    return data[:start] + part + data[end:]


def _occurrences(data: bytes, needle: bytes) -> Iterator[int]:
    at = data.find(needle)
    while at >= 0:
        yield at
        at = data.find(needle, at + 1)


def _with_png_checksum(data: bytes) -> bytes:
    """Makes the checksum of a PNG's header right again, so that the header is believed."""
    if data[12:16] != b"IHDR":
        return data
    return data[:29] + struct.pack(">I", zlib.crc32(data[12:29])) + data[33:]


Mutation = Callable[[bytes, list[bytes], random.Random], bytes]
MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    truncate,
    splice,
    extreme_number,
    box_size,
    absurd_dimensions,
    shuffle_parts,
)


def bombs() -> dict[str, bytes]:
    """Small files that ask for a lot of memory or time."""

    def png(width: int, height: int, depth: int, color: int, raw: bytes) -> bytes:
        def chunk(kind: bytes, body: bytes) -> bytes:
            checksum = struct.pack(">I", zlib.crc32(kind + body))
            return struct.pack(">I", len(body)) + kind + body + checksum

        header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
        parts = (chunk(b"IHDR", header), chunk(b"IDAT", raw), chunk(b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(parts)

    gif = b"GIF89a" + struct.pack("<HH", 0xFFFF, 0xFFFF) + b"\x80\0\0\0\0\0\xff\xff\xff"
    gif += b"\x2c" + struct.pack("<HHHH", 0, 0, 0xFFFF, 0xFFFF) + b"\0\x02\x02\x4c\x01\0\x3b"
    bmp = b"BM" + struct.pack("<IHHI", 58, 0, 0, 54)
    bmp += struct.pack("<IiiHHIIiiII", 40, 0x7FFFFFFF, 0x7FFFFFFF, 1, 24, 0, 0, 0, 0, 0, 0)
    jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\0\x02\x11\x01\x03\x11\x01"
    tiff = b"II*\0\x08\0\0\0\x04\0"
    for tag, value in ((256, 0x7FFFFFFF), (257, 0x7FFFFFFF), (258, 8), (262, 1)):
        tiff += struct.pack("<HHII", tag, 4, 1, value)
    boxes = b"\0\0\0\x08free" * 20_000
    return {
        "huge.png": png(0x7FFFFFFF, 0x7FFFFFFF, 8, 2, b""),
        "wide16.png": png(60_000, 60_000, 16, 6, zlib.compress(bytes(1000))),
        # A hundred megabytes of zeros in a hundred kilobytes, of which one row is wanted.
        "zlib.png": png(8, 1, 8, 0, zlib.compress(bytes(100_000_000), 9)),
        "screen.gif": gif,
        "huge.bmp": bmp + bytes(64),
        "huge.jpg": jpeg + bytes(64),
        "huge.tiff": tiff + bytes(64),
        "boxes.mp4": b"\0\0\0\x10ftypisom\0\0\0\0" + boxes,
        "nested.mp4": b"\0\0\0\x10ftypisom\0\0\0\0" + b"\xff\xff\xff\xfemoov" * 10_000,
        "nested.mkv": b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\xff" * 10_000,
        "riff.avi": b"RIFF\xff\xff\xff\xffAVI " + b"LIST\xff\xff\xff\xffhdrl" * 5_000,
        "empty": b"",
        "zeros.ts": bytes(188 * 500),
        "sync.ts": (b"\x47" + bytes(187)) * 500,
    }


def mutated(count: int, seed: int = 4) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of `count` hostile files, every seed and mutation in turn.

    The name tells how to make the file again.
    """
    good = seeds()
    names, others = sorted(good), list(good.values())
    for number in range(count):
        name = names[number % len(names)]
        mutation = MUTATIONS[number // len(names) % len(MUTATIONS)]
        draw = random.Random(f"{seed}-{number}")
        content = mutation(good[name], others, draw)
        if draw.random() < 0.2:
            content = flip_bits(content or b"\0", others, draw)
        stem, _, suffix = name.rpartition(".")
        yield f"{number:04}_{mutation.__name__}_{stem}.{suffix}", content
