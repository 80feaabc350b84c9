"""Damaged, truncated and hostile files: what can be read plus a warning, or one clear error."""

import os
import random
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest

from lmms import _media
from lmms.errors import MediaError
from lmms.media import (
    MediaDamageWarning,
    MediaDecodeError,
    MediaNotFoundError,
    MediaUnreadableError,
    MediaUnsupportedError,
    decode,
    frame_times,
    probe,
    read_frames,
)
from lmms.types import FramePolicy

LONG = os.environ.get("LMMS_FUZZ") == "long"


def codes(warnings):
    return {warning.code for warning in warnings}


@pytest.mark.parametrize("share", [0.5, 0.83])
@pytest.mark.parametrize("name", ["faststart", "open_gop_ts", "mkv"])
def test_a_truncated_video_gives_what_is_readable(clips, reference, damaged, name, share):
    path = damaged(clips[name], share)
    info = probe(path)
    assert 5 < info.num_frames < 75
    batch = decode(path, FramePolicy(indices=tuple(range(info.num_frames))))
    if path.suffix != ".ts":
        assert "truncated" in codes(info.warnings)
        assert "truncated" in codes(batch.warnings)
    expected = reference(path, (64, 96))
    assert batch.frames.shape == expected.shape
    assert np.array_equal(batch.frames, expected)


def test_a_cut_transport_stream_is_never_silently_wrong(clips, tmp_path):
    """It announces no length: either every picture is whole, or damage is told."""
    whole = clips["open_gop_ts"]
    data, times = whole.read_bytes(), frame_times(whole)
    every = read_frames(whole, range(75))
    path = tmp_path / "cut.ts"
    told = 0
    for packets in range(len(data) // 376, len(data) // 188, 9):
        path.write_bytes(data[: 188 * packets])
        batch = decode(path, FramePolicy(indices=tuple(range(probe(path).num_frames))))
        originals = [int(np.abs(times - time).argmin()) for time in batch.times]
        told += bool(batch.warnings)
        assert batch.warnings or np.array_equal(batch.frames, every[originals])
    assert told > 0


def test_read_frames_tells_about_damage(clips, damaged):
    path = damaged(clips["faststart"], 0.5)
    with pytest.warns(MediaDamageWarning) as told:
        read_frames(path, [0])
    assert any("truncated: " in str(warning.message) for warning in told)


def test_a_stream_that_starts_in_the_middle(clips, reference, tmp_path):
    data = clips["open_gop_ts"].read_bytes()
    path = tmp_path / "middle.ts"
    # The first packets (tables) are kept, then a third of the stream is missing.
    path.write_bytes(data[: 188 * 3] + data[188 * (len(data) // 188 // 3) :])
    info = probe(path)
    expected = reference(path, (64, 96))
    assert 0 < info.num_frames < 75
    with_warnings = decode(path, FramePolicy(indices=tuple(range(info.num_frames))))
    assert np.array_equal(with_warnings.frames, expected)


def test_undecodable_frames_are_told_and_stood_in_for(clips, tmp_path):
    """Damage in the pictures, which the container does not show."""
    data = bytearray(clips["b_frames"].read_bytes())
    start = data.index(b"mdat") + 4
    middle = (start + data.index(b"moov")) // 2
    for at in range(middle, middle + 4000):
        data[at] = 0xFF
    path = tmp_path / "holes.mp4"
    path.write_bytes(data)
    every = decode(path, FramePolicy(indices=tuple(range(75))))
    assert codes(every.warnings) & {"decode_errors", "missing_frames"}
    assert probe(path).num_frames == 75
    # What stands in does not depend on what else was asked.
    for wanted in ((37,), (20, 40, 60), (74, 1)):
        some = decode(path, FramePolicy(indices=wanted))
        assert np.array_equal(some.frames, every.frames[list(wanted)])


def test_frames_that_change_their_size_are_scaled_and_told(clips, painted, tmp_path):
    import subprocess

    parts = []
    for number, size in enumerate([(96, 64), (128, 80)]):
        part = tmp_path / f"{number}.ts"
        command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
        command += ["-s", "{}x{}".format(*size), "-r", "25", "-i", "-", "-c:v", "libx264"]
        command += ["-pix_fmt", "yuv420p", "-output_ts_offset", str(number), str(part)]
        raw = painted(25, *size).tobytes()
        subprocess.run(command, input=raw, check=True, capture_output=True)
        parts.append(part.read_bytes())
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    total = probe(path).num_frames
    batch = decode(path, FramePolicy(indices=(0, total - 1)))
    assert batch.frames.shape == (2, batch.height, batch.width, 3)
    assert "size_changed" in codes(batch.warnings)


def test_what_is_no_video_is_named_with_the_reason(clips, tmp_path):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("this is not a video\n" * 500)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(random.Random(1).randbytes(50_000))
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    cases = [
        (tmp_path / "none.mp4", MediaNotFoundError, "none.mp4: no such file"),
        (tmp_path, MediaUnreadableError, "it is a folder"),
        (pipe, MediaUnreadableError, "it is not a regular file"),
        (empty, MediaDecodeError, "empty.mp4: the file is empty"),
        (text, MediaDecodeError, "text.mp4: not a readable video file"),
        (noise, MediaDecodeError, "noise.mp4: not a readable video file"),
    ]
    for path, kind, message in cases:
        with pytest.raises(kind, match=message) as caught:
            probe(path)
        assert isinstance(caught.value, MediaError)
        assert caught.value.exit_code == 4


def test_an_unreadable_file_is_named(clips):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "secret.mp4"
        path.write_bytes(clips["b_frames"].read_bytes())
        path.chmod(0)
        # Root may read everything, so it becomes nobody for a moment.
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(MediaUnreadableError, match=r"secret.mp4: cannot be read: .*denied"):
                probe(path)
        finally:
            os.seteuid(user)


def test_sound_alone_has_no_video_stream(tmp_path):
    import subprocess

    path = tmp_path / "sound.mp4"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", path]
    subprocess.run(command, check=True)
    with pytest.raises(MediaDecodeError, match=r"sound.mp4: the file has no video stream"):
        probe(path)


def test_a_playlist_cannot_reach_other_files(clips, tmp_path):
    playlists = {
        "list.mp4": f"ffconcat version 1.0\nfile '{clips['b_frames']}'\n",
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{clips['b_frames']}\n",
    }
    for name, text in playlists.items():
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(MediaDecodeError, match="not a readable video file"):
            probe(path)


def test_a_name_that_looks_like_a_protocol_is_a_name(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "concat:a|b.mp4").write_bytes(clips["b_frames"].read_bytes())
    assert probe("concat:a|b.mp4").num_frames == 75

    def refuse(*arguments: object) -> None:
        raise AssertionError(f"opened a connection: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(MediaUnsupportedError, match="URLs are not decoded"):
        probe("http://127.0.0.1:9/clip.mp4")


def survives(path) -> bool:
    """Reads what it can; anything but a MediaError or frames is a failure of the test."""
    try:
        total = probe(path).num_frames
        wanted = sorted({0, total // 2, total - 1})
        batch = decode(path, FramePolicy(indices=tuple(wanted)), size=lambda n, h, w: (32, 32))
    except MediaError:
        return False
    assert batch.frames.shape == (len(wanted), 32, 32, 3)
    return True


@pytest.mark.parametrize(
    "name", ["faststart", "mkv", "open_gop_ts", "odd_vp9", "avi_mpeg4", "hevc"]
)
def test_hostile_bytes_never_crash(clips, tmp_path, name):
    """Flipped bits and cuts anywhere; a crash would end the test process."""
    data = clips[name].read_bytes()
    generator = random.Random(name)
    path = tmp_path / clips[name].name
    readable = 0
    rounds = 400 if LONG else 12
    for number in range(rounds):
        broken = bytearray(data)
        # Half of the damage goes to the first kilobytes, where the headers are.
        reach = len(broken) if number % 2 else min(2048, len(broken))
        for _ in range(generator.choice([1, 3, 20])):
            broken[generator.randrange(reach)] ^= 1 << generator.randrange(8)
        if number % 3 == 0:
            del broken[generator.randrange(len(broken)) :]
        path.write_bytes(broken)
        readable += survives(path)
    assert readable > 0


def test_damaged_pictures_do_not_depend_on_what_is_asked(clips, tmp_path):
    """A few frames of a damaged file are the same as in a decode of all of it."""
    data = clips["b_frames"].read_bytes()
    start, end = data.index(b"mdat") + 4, data.index(b"moov")
    generator = random.Random(4)
    path = tmp_path / "flipped.mp4"
    for _ in range(60 if LONG else 6):
        broken = bytearray(data)
        for _ in range(3):
            broken[generator.randrange(start, end)] ^= 1 << generator.randrange(8)
        path.write_bytes(broken)
        every = decode(path, FramePolicy(indices=tuple(range(75)))).frames
        for wanted in (generator.sample(range(75), 3), [generator.randrange(75)]):
            some = decode(path, FramePolicy(indices=tuple(wanted))).frames
            assert np.array_equal(some, every[wanted])


@pytest.mark.parametrize("name", ["one_key", "hevc", "open_gop"])
def test_damaged_pictures_do_not_depend_on_the_number_of_threads(clips, tmp_path, name):
    """Long groups are decoded by several threads, which hide damage and paint over it at random."""
    data = clips[name].read_bytes()
    start, end = data.index(b"mdat") + 4, data.index(b"moov")
    generator = random.Random(5)
    path = tmp_path / "flipped.mp4"
    try:
        for _ in range(60 if LONG else 6):
            broken = bytearray(data)
            for _ in range(generator.choice([1, 4])):
                broken[generator.randrange(start, end)] ^= 1 << generator.randrange(8)
            path.write_bytes(broken)
            wanted = tuple(sorted(generator.sample(range(75), 20)))
            seen = []
            for threads in (1, 4):
                _media.set_thread_budget(threads)
                seen.append(decode(path, FramePolicy(indices=wanted)))
            assert np.array_equal(seen[0].frames, seen[1].frames)
            assert seen[0].warnings == seen[1].warnings
    finally:
        _media.set_thread_budget(0)
