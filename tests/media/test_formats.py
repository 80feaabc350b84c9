"""Files that say too little, too much or something else on the way: no times, several streams,
cover pictures, mirrored or changing pictures."""

from __future__ import annotations

import io
import struct
import subprocess

import numpy as np
import pytest
from PIL import Image

from lmms.media import MediaDecodeError, decode, frame_times, probe, read_frames
from lmms.types import FramePolicy

ONE = 1 << 16


def ffmpeg(*words):
    command = ["ffmpeg", "-v", "error", "-y", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True)


def all_frames(path):
    return decode(path, FramePolicy(indices=tuple(range(probe(path).num_frames))))


def codes(warnings):
    return {warning.code for warning in warnings}


def test_times_of_a_gif(clips):
    """Its delays are hundredths of a second."""
    expected = [(4 * n + 12 * (n // 7)) / 100 for n in range(40)]
    np.testing.assert_allclose(frame_times(clips["gif"]), expected, atol=1e-9)
    info = probe(clips["gif"])
    assert (info.codec, info.container, info.is_vfr) == ("gif", "gif", True)
    assert info.warnings == ()


def test_a_gif_frame_without_delay_is_shown_for_a_tenth_of_a_second(painted):
    first, *others = map(Image.fromarray, painted(4))
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=[50, 0, 200, 70])
    np.testing.assert_allclose(frame_times(file.getvalue()), [0, 0.05, 0.15, 0.35], atol=1e-9)


@pytest.mark.parametrize("name", ["raw_h264", "raw_hevc", "raw_mpeg2"])
def test_streams_without_times(clips, name):
    """Times follow the stream's rate, which is said where nothing in the stream tells them."""
    times = frame_times(clips[name])
    np.testing.assert_allclose(times, np.arange(75) / 25, atol=1e-3)
    told = codes(probe(clips[name]).warnings)
    assert told == (set() if name == "raw_mpeg2" else {"no_timestamps"})


@pytest.mark.parametrize(
    "name", ["late_mkv", "late_ts", "early_mkv", "mpeg2_ts", "mpeg2_ps", "mpeg1_ps"]
)
def test_times_count_from_the_first_frame(clips, name):
    np.testing.assert_allclose(frame_times(clips[name]), np.arange(75) / 25, atol=1e-3)
    assert probe(clips[name]).warnings == ()


def test_colours_beyond_bt709_are_known(clips):
    info = probe(clips["bt2020"])
    assert (info.codec, info.pixel_format) == ("hevc", "yuv420p10le")


def units_of(stream):
    """The pictures of a raw MPEG-4 stream, each with the headers in front of it."""
    starts = [at for at in range(len(stream) - 3) if stream[at : at + 3] == b"\0\0\1"]
    units, begin = [], 0
    for at, following in zip(starts, [*starts[1:], len(stream)], strict=True):
        if stream[at + 3] == 0xB6:
            units.append(stream[begin:following])
            begin = following
    return units


def picture_kind(unit):
    return "IPBS"[unit[unit.index(b"\0\0\1\xb6") + 4] >> 6]


def packed(units):
    """DivX's way to have B-frames in AVI: two pictures in one chunk, and a placeholder later."""
    mark = b"\0\0\1\xb2DivX503b1393p"
    chunks, late = [], 0
    for unit, following in zip(units, [*units[1:], b""], strict=True):
        if picture_kind(unit) == "B":
            if late:
                late -= 1
            continue
        if following and picture_kind(following) == "B":
            # The placeholder repeats nothing: a picture that is "not coded".
            chunks += [unit + following, b"\0\0\1\xb6\x40\x00\x00\x7f"]
        else:
            chunks.append(unit)
    return [mark + chunks[0], *chunks[1:]]


def avi(chunks, width, height, rate):
    def box(name, payload):
        return name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)

    count = len(chunks)
    main = struct.pack("<14I", 10**6 // rate, 0, 0, 16, count, 0, 1, 0, width, height, 0, 0, 0, 0)
    head = b"vidsFMP4" + struct.pack(
        "<IHHIIIIIIiI4H", *(0,) * 4, 1, rate, 0, count, 0, -1, 0, *(0,) * 4
    )
    form = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"FMP4", 0, 0, 0, 0, 0)
    stream = box(b"LIST", b"strl" + box(b"strh", head) + box(b"strf", form))
    headers = box(b"LIST", b"hdrl" + box(b"avih", main) + stream)
    movie = box(b"LIST", b"movi" + b"".join(box(b"00dc", chunk) for chunk in chunks))
    at, rows = 4, b""
    for number, chunk in enumerate(chunks):
        rows += b"00dc" + struct.pack("<III", 16 * (number == 0), at, len(chunk))
        at += 8 + len(chunk) + len(chunk) % 2
    return box(b"RIFF", b"AVI " + headers + movie + box(b"idx1", rows))


def test_packed_b_frames(clips, reference, counter, tmp_path):
    raw, path = tmp_path / "raw.m4v", tmp_path / "packed.avi"
    source = tmp_path / "one.avi"
    ffmpeg("-i", clips["b_frames"], "-c:v", "mpeg4", "-bf", 1, "-g", 20, "-q:v", 3, source)
    ffmpeg("-i", source, "-c", "copy", "-f", "m4v", raw)
    units = units_of(raw.read_bytes())
    assert len(units) == 75
    path.write_bytes(avi(packed(units), 96, 64, 25))
    batch = all_frames(path)
    expected = reference(path, (64, 96))
    assert batch.frames.shape == expected.shape
    assert np.array_equal(batch.frames, expected)
    numbers = [counter(frame) for frame in batch.frames]
    assert numbers == sorted(numbers)
    assert len(numbers) > 70
    np.testing.assert_allclose(np.diff(batch.times), 1 / 25, atol=1e-6)


def test_repeated_times(clips, reference, counter, tmp_path):
    path = tmp_path / "twice.mkv"
    ffmpeg(
        *("-i", clips["intra"], "-vf", "settb=1/1000,setpts=floor(N/2)*80"),
        *("-c:v", "ffv1", "-fps_mode", "passthrough", "-enc_time_base", "1:1000", path),
    )
    batch = all_frames(path)
    assert [counter(frame) for frame in batch.frames] == list(range(30))
    assert np.array_equal(batch.frames, reference(path, (64, 96)))
    assert codes(batch.warnings) == {"no_timestamps"}
    np.testing.assert_allclose(np.diff(batch.times), np.diff(batch.times)[0], atol=1e-3)
    assert min(np.diff(batch.times)) > 0


@pytest.fixture(scope="module")
def changing(painted, tmp_path_factory):
    """25 pictures of 96x64, then 25 of 128x80, in one transport stream."""
    folder = tmp_path_factory.mktemp("changing")
    whole = b""
    for number, size in enumerate([(96, 64), (128, 80)]):
        part = folder / f"{number}.ts"
        command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
        command += ["-s", "{}x{}".format(*size), "-r", "25", "-i", "-", "-c:v", "libx264"]
        command += ["-pix_fmt", "yuv420p", "-output_ts_offset", str(2 * number), str(part)]
        subprocess.run(command, input=painted(25, *size).tobytes(), check=True)
        whole += part.read_bytes()
    (folder / "changing.ts").write_bytes(whole)
    return folder / "changing.ts"


@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4", "mov"])
def test_pictures_that_change_their_size(changing, reference, tmp_path, suffix):
    """All are scaled to the size of the first ones, as FFmpeg's program scales them."""
    path = changing
    if suffix != "ts":
        path = tmp_path / f"changing.{suffix}"
        ffmpeg("-i", changing, "-c", "copy", path)
    batch = all_frames(path)
    assert (batch.width, batch.height) == (96, 64)
    assert "size_changed" in codes(batch.warnings)
    assert "no_timestamps" not in codes(batch.warnings)
    assert np.array_equal(batch.frames, reference(path, (64, 96)))
    assert len(batch.frames) == 50
    assert np.array_equal(read_frames(path, [40, 3]), batch.frames[[40, 3]])


@pytest.mark.parametrize(
    ("matrix", "size"),
    [
        ((-ONE, 0, 0, ONE), (64, 96)),
        ((ONE, 0, 0, -ONE), (64, 96)),
        ((-ONE, 0, 0, -ONE), (64, 96)),
        ((0, ONE, ONE, 0), (96, 64)),
        ((0, -ONE, -ONE, 0), (96, 64)),
        ((0, ONE, -ONE, 0), (96, 64)),
        ((0, -ONE, ONE, 0), (96, 64)),
    ],
)
def test_display_matrices(clips, reference, tmp_path, matrix, size):
    a, b, c, d = matrix
    plain = struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
    data = clips["h264_mov"].read_bytes()
    track = data.index(b"tkhd")
    at = data.index(plain, track)
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / "turned.mov"
    path.write_bytes(data[:at] + turned + data[at + len(turned) :])
    assert np.array_equal(read_frames(path, range(75)), reference(path, size))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "ts"])
def test_several_video_streams(clips, reference, tmp_path, suffix):
    """The one that is marked as the default; the others are no part of it."""
    path = tmp_path / f"two.{suffix}"
    ffmpeg(
        *("-i", clips["odd_444"], "-i", clips["b_frames"], "-map", 0, "-map", 1, "-c", "copy"),
        *("-disposition:v:0", 0, "-disposition:v:1", "default", path),
    )
    info = probe(path)
    expected = 1 if suffix != "ts" else None
    frames = read_frames(path, range(75))
    assert info.num_frames == 75
    streams = [reference(clips[name], size) for name, size in SIZES.items()]
    matching = [
        number
        for number, stream in enumerate(streams)
        if stream.shape == frames.shape and np.array_equal(stream, frames)
    ]
    assert len(matching) == 1
    assert expected in (None, *matching)


SIZES = {"odd_444": (65, 97), "b_frames": (64, 96)}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_cover_picture_is_no_video(clips, reference, tmp_path, suffix):
    cover, path = tmp_path / "cover.png", tmp_path / f"film.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=640x480", "-frames:v", 1, cover)
    if suffix == "mkv":
        # FFmpeg itself would rather show the cover than a film with described pictures.
        more = ["-attach", cover, "-metadata:s:t", "mimetype=image/png"]
        ffmpeg(
            "-i", clips["b_frames"], *more, "-c", "copy", "-disposition:v", "visual_impaired", path
        )
    else:
        more = ["-map", 0, "-map", 1, "-c", "copy", "-disposition:v:0", "attached_pic"]
        ffmpeg("-i", cover, "-i", clips["b_frames"], *more, path)
    info = probe(path)
    assert (info.codec, info.num_frames, info.width, info.height) == ("h264", 75, 96, 64)
    frames = read_frames(path, range(75))
    assert np.array_equal(frames, reference(clips["b_frames"], (64, 96)))


def test_a_cover_picture_alone(tmp_path):
    cover, path = tmp_path / "cover.png", tmp_path / "song.m4a"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48", "-frames:v", 1, cover)
    ffmpeg(
        *("-f", "lavfi", "-i", "sine=d=1", "-i", cover, "-map", 0, "-map", 1, "-c:a", "aac"),
        *("-c:v", "copy", "-disposition:v:0", "attached_pic", "-f", "mp4", path),
    )
    with pytest.raises(MediaDecodeError, match=r"song.m4a: .* only a cover picture"):
        probe(path)
