"""Animated WebP against Pillow, which composes frames with libwebp."""

from __future__ import annotations

import io
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image, ImageSequence

from lmms.media import (
    MediaDecodeError,
    MediaTooLargeError,
    decode,
    frame_times,
    iter_frames,
    key_frames,
    load_image,
    nearest_key_frames,
    probe,
    read_frames,
    resize_image,
)
from lmms.types import FramePolicy

COUNT = 12
SIZE = (90, 60)
DURATIONS = [40, 100, 20, 60, 40, 200, 40, 40, 80, 40, 40, 300]


def drawn(number, alpha):
    """Mostly transparent pictures with a moving block; the encoder stores what changes."""
    picture = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    picture[..., 0] = rows * 4
    picture[..., 1] = columns * 2
    picture[..., 2] = 90
    picture[..., 3] = {"opaque": 255, "holes": 0, "veiled": 120}[alpha]
    left = number * 5
    picture[10:30, left : left + 25] = (250 - number * 9, number * 20, 77, 255)
    if alpha == "veiled":
        picture[35:50, left : left + 30, 3] = np.arange(30) * 8
    return Image.fromarray(picture)


def animation(alpha="opaque", **options):
    file = io.BytesIO()
    first, *others = [drawn(number, alpha) for number in range(COUNT)]
    settings = {"lossless": True, "duration": DURATIONS, "save_all": True, **options}
    first.save(file, "WEBP", append_images=others, **settings)
    return file.getvalue()


def by_pillow(data):
    white = Image.new("RGBA", SIZE, "white")
    with Image.open(io.BytesIO(data)) as image:
        return np.stack(
            [
                np.asarray(Image.alpha_composite(white, frame.convert("RGBA")).convert("RGB"))
                for frame in ImageSequence.Iterator(image)
            ]
        )


@pytest.mark.parametrize(
    "options",
    [{}, {"minimize_size": True}, {"kmin": 2, "kmax": 4}, {"kmax": 0}, {"allow_mixed": True}],
    ids=str,
)
@pytest.mark.parametrize("alpha", ["opaque", "holes"])
def test_all_frames_equal_pillows(alpha, options):
    if options.get("allow_mixed"):
        options = {**options, "lossless": False, "quality": 100}
    data = animation(alpha, **options)
    expected = by_pillow(data)
    frames = read_frames(data, range(COUNT))
    assert frames.shape == expected.shape
    different = np.abs(frames.astype(int) - expected).max()
    assert different <= (2 if "allow_mixed" in options else 0)


def test_half_transparent_frames_are_pillows_within_rounding():
    for options in ({}, {"minimize_size": True}, {"kmax": 0}):
        data = animation("veiled", **options)
        frames = read_frames(data, range(COUNT)).astype(int)
        assert np.abs(frames - by_pillow(data)).max() <= 1


def test_lossy_frames(tmp_path):
    data = animation("holes", lossless=False, quality=80)
    frames = read_frames(data, range(COUNT)).astype(int)
    assert np.abs(frames - by_pillow(data)).max() <= 2


def test_some_frames_in_any_order():
    data = animation("holes", kmin=2, kmax=4)
    every = read_frames(data, range(COUNT))
    for wanted in ([7], [11, 0, 3, 3, 7], [5, 6], []):
        assert np.array_equal(read_frames(data, wanted), every[wanted])
    out = np.zeros((2, 60, 90, 3), np.uint8)
    assert read_frames(data, [4, 2], out=out) is out
    assert np.array_equal(out, every[[4, 2]])
    small = read_frames(data, [9, 1], size=(20, 30))
    assert np.array_equal(small, [resize_image(every[i], (20, 30)) for i in (9, 1)])
    assert np.array_equal(read_frames(data, [3], rotate=False), every[[3]])


@pytest.mark.parametrize("options", [{}, {"kmin": 2, "kmax": 4}], ids=str)
def test_chunks(options):
    data = animation("holes", **options)
    for chunk in (1, 2, 5, 40):
        parts = list(iter_frames(data, chunk=chunk))
        frames = np.concatenate([part.frames for part in parts])
        assert np.array_equal(frames, read_frames(data, range(COUNT)))


def test_facts_and_times(tmp_path):
    path = tmp_path / "clip.webp"
    path.write_bytes(animation())
    info = probe(path)
    assert (info.codec, info.container, info.pixel_format) == ("webp", "webp", "rgba")
    assert (info.width, info.height, info.rotation) == (*SIZE, 0)
    assert (info.num_frames, info.declared_frames) == (COUNT, None)
    assert info.duration_seconds == pytest.approx(1.0)
    assert info.frame_rate == COUNT
    assert info.is_vfr
    assert info.warnings == ()
    starts = np.cumsum([0, *DURATIONS])[:-1] / 1000
    np.testing.assert_allclose(frame_times(path), starts, atol=1e-12)
    keys = key_frames(path)
    assert keys[0] == 0
    assert info.key_frames == len(keys)
    assert nearest_key_frames(path, [0]) == (0,)
    batch = decode(path, FramePolicy(num_frames=4))
    assert batch.frames.shape == (4, 60, 90, 3)
    assert np.array_equal(load_image(path), read_frames(path, [0])[0])


def test_a_frame_of_no_duration_is_shown_for_a_tenth_of_a_second():
    data = animation(duration=0)
    np.testing.assert_allclose(frame_times(data), np.arange(COUNT) / 10)
    assert probe(data).average_fps == 10


def chunks_of(data):
    """(name, first byte, size of the payload) of each chunk."""
    at, found = 12, []
    while at + 8 <= len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        found.append((data[at : at + 4], at, size))
        at += 8 + size + size % 2
    return found


def frame_chunks(data):
    return [(at, size) for name, at, size in chunks_of(data) if name == b"ANMF"]


def test_a_truncated_animation_gives_its_whole_frames():
    data = animation("holes")
    at, size = frame_chunks(data)[6]
    cut = data[: at + size // 2]
    info = probe(cut)
    assert info.num_frames == 6
    assert [warning.code for warning in info.warnings] == ["truncated"]
    batch = decode(cut, FramePolicy(indices=tuple(range(6))))
    assert np.array_equal(batch.frames, by_pillow(data)[:6])
    assert [warning.code for warning in batch.warnings] == ["truncated"]


def spoilt(data, number):
    """The same with noise in the picture of one frame."""
    at, size = frame_chunks(data)[number]
    start = at + 8 + 16 + 8 + 6
    noise = np.random.default_rng(3).integers(0, 256, at + 8 + size - start, dtype=np.uint8)
    return data[:start] + noise.tobytes() + data[at + 8 + size :]


def test_an_earlier_frame_stands_in_for_a_damaged_one():
    data = spoilt(animation(kmin=1, kmax=1), 5)
    every = decode(data, FramePolicy(indices=tuple(range(COUNT))))
    assert [warning.code for warning in every.warnings] == ["decode_errors", "missing_frames"]
    expected = by_pillow(animation(kmin=1, kmax=1))
    expected[5] = expected[4]
    assert np.array_equal(every.frames, expected)
    for wanted in ((5,), (5, 6), (4, 5, 9)):
        some = decode(data, FramePolicy(indices=wanted))
        assert np.array_equal(some.frames, every.frames[list(wanted)])
    later = decode(spoilt(animation("holes"), 2), FramePolicy(indices=(9,)))
    assert [warning.code for warning in later.warnings] == ["decode_errors"]
    first = decode(spoilt(data, 0), FramePolicy(indices=(0, 1)))
    assert np.array_equal(first.frames[0], first.frames[1])
    for number in range(COUNT):
        data = spoilt(data, number)
    with pytest.raises(MediaDecodeError, match="no frame of it can be decoded"):
        read_frames(data, [3])


def test_absurd_canvases_and_frames_outside_of_it():
    data = bytearray(animation())
    huge = data.copy()
    huge[24:30] = b"\xff" * 6
    with pytest.raises(MediaTooLargeError, match="16777216x16777216"):
        probe(bytes(huge))
    outside = data.copy()
    at, _ = frame_chunks(data)[4]
    outside[at + 8 : at + 11] = b"\xff\xff\xff"
    info = probe(bytes(outside))
    assert info.num_frames == COUNT - 1
    assert [warning.code for warning in info.warnings] == ["corrupt_packets"]
    assert read_frames(bytes(outside), [10]).shape == (1, 60, 90, 3)
    at, _ = frame_chunks(data)[0]
    with pytest.raises(MediaDecodeError, match="no whole frame"):
        probe(bytes(data[:at]))


def endless(frames):
    """A large picture again and again, in a small file."""
    first, second = (Image.new("RGB", (1500, 1000), colour) for colour in ("red", "blue"))
    file = io.BytesIO()
    first.save(file, "WEBP", append_images=[second], save_all=True, lossless=True, duration=40)
    data = file.getvalue()
    at, size = frame_chunks(data)[0]
    chunk = data[at : at + 8 + size + size % 2]
    body = data[8:at] + frames * chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_decoding_can_be_broken_off():
    class Enough(Exception):
        pass

    def ring(*_):
        raise Enough

    data = endless(5000)
    assert probe(data).num_frames == 5000
    previous = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        started = time.monotonic()
        with pytest.raises(Enough):
            read_frames(data, range(0, 5000, 5), size=(2, 3))
        assert time.monotonic() - started < 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_memory_is_that_of_the_asked_frames(tmp_path):
    """Of 400 frames of 1500x1000, 1.8 GB in all, two are asked and a few pictures are held."""
    path = tmp_path / "long.webp"
    path.write_bytes(endless(400))
    code = f"""
import resource
from lmms.media import read_frames
read_frames({str(path)!r}, [0], size=(4, 4))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frames = read_frames({str(path)!r}, range(0, 400, 4), size=(4, 4))
assert frames.shape == (100, 4, 4, 3)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60_000


def test_flipped_bits_never_crash():
    from lmms.errors import MediaError

    data = animation("holes", lossless=False)
    generator = np.random.default_rng(8)
    readable = 0
    for number in range(60):
        broken = bytearray(data)
        reach = len(broken) if number % 2 else 400
        for at in generator.integers(0, reach, generator.choice([1, 3, 20])):
            broken[at] ^= 1 << generator.integers(8)
        if number % 3 == 0:
            del broken[generator.integers(len(broken)) :]
        try:
            total = probe(bytes(broken)).num_frames
            wanted = tuple(sorted({0, total // 2, total - 1}))
            batch = decode(bytes(broken), FramePolicy(indices=wanted), size=lambda n, h, w: (9, 9))
        except MediaError:
            continue
        assert batch.frames.shape == (len(wanted), 9, 9, 3)
        readable += 1
    assert readable > 10


def test_a_still_picture_is_left_to_ffmpeg():
    file = io.BytesIO()
    drawn(0, "opaque").convert("RGB").save(file, "WEBP", lossless=True)
    info = probe(file.getvalue())
    assert info.num_frames == 1
    assert info.container != "webp"
