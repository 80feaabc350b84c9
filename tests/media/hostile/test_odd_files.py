"""Odd names, files that are none, and files that change while they are read."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lmms.errors import MediaError
from lmms.media import (
    MediaDamageWarning,
    MediaNotFoundError,
    MediaUnreadableError,
    encode_image,
    hash_file,
    image_size,
    load_image,
    probe,
    read_frames,
)

NAMES = [
    "with space.mp4",
    " leading and trailing ",
    "日本語 é ñ 🎬.mp4",
    "e\u0301.mp4",  # a letter and its accent apart
    "two\nlines.mp4",
    "tab\tand\rreturn.mp4",
    "-vf.mp4",
    "--",
    "concat:a|b.mp4",
    "file:clip.mp4",
    "pipe:0",
    "data:video,mp4;base64,AAAA",
    "http:__example.org_clip.mp4",
    "%d.mp4",
    "%03d.mkv",
    "glob*[a-z]?.mp4",
    "quote\"and's\\.mp4",
    "~",
    "$HOME.mp4",
    "#?fragment&query=1.mp4",
    ".hidden",
    "a" * 251 + ".mp4",
]


@pytest.mark.parametrize("name", NAMES, ids=[ascii(n)[1:24] for n in NAMES])
def test_a_name_is_only_a_name(clips, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(clips["intra"].read_bytes())
    for spelled in (name, Path(name), tmp_path / name, f"../{tmp_path.name}/{name}"):
        assert probe(spelled).num_frames == 30
        assert read_frames(spelled, [29]).shape == (1, 64, 96, 3)
    assert len(hash_file(name)) == 64
    Path(name).write_bytes(encode_image(np.zeros((3, 4, 3), np.uint8)))
    assert image_size(name) == load_image(name).shape[:2] == (3, 4)


def test_a_name_that_is_no_text(clips, tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\xfe.mp4"
    Path(os.fsdecode(path)).write_bytes(clips["intra"].read_bytes())
    assert probe(os.fsdecode(path)).num_frames == 30


@pytest.mark.parametrize("read", [probe, load_image, hash_file])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, read):
    pipe, loop, hanging = tmp_path / "pipe.mp4", tmp_path / "loop.mp4", tmp_path / "hanging.mp4"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    hanging.symlink_to(tmp_path / "nowhere")
    started = time.perf_counter()
    for path in (pipe, loop, tmp_path, "/dev/zero", "/dev/null", f"{tmp_path}/"):
        with pytest.raises(MediaUnreadableError):
            read(path)
    for path in (hanging, tmp_path / "none" / "deep.mp4"):
        with pytest.raises(MediaNotFoundError):
            read(path)
    for path in (f"{tmp_path}/nul\0.mp4", "a" * 5000):
        with pytest.raises((MediaError, ValueError)):
            read(path)
    assert time.perf_counter() - started < 2


def test_a_huge_sparse_file_is_refused_quickly(tmp_path):
    """Ten gigabytes that take no room: nothing reads them whole to find that they are empty."""
    for name in ("zeros.mp4", "zeros.mkv", "zeros.png"):
        path = tmp_path / name
        path.touch()
        os.truncate(path, 10 * 2**30)
        started = time.perf_counter()
        with pytest.raises(MediaError):
            (load_image if name.endswith("png") else probe)(path)
        assert time.perf_counter() - started < 5


def test_a_clip_before_ten_empty_gigabytes_is_read(clips, tmp_path):
    path = tmp_path / "long.mp4"
    path.write_bytes(clips["faststart"].read_bytes())
    expected = read_frames(path, [3, 70])
    os.truncate(path, 10 * 2**30)
    started = time.perf_counter()
    assert np.array_equal(read_frames(path, [3, 70]), expected)
    assert time.perf_counter() - started < 5


def encoded(path: Path, frames: np.ndarray) -> Path:
    height, width = frames.shape[1:3]
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", "25", "-i", "-", "-c:v", "libx264", "-g", "5"]
    command += ["-pix_fmt", "yuv420p", "-preset", "veryfast", str(path)]
    subprocess.run(command, input=frames.tobytes(), check=True, capture_output=True)
    return path


@pytest.mark.timeout(60)
def test_a_file_that_is_replaced_gives_one_or_the_other(painted, tmp_path):
    """Never frames of both; an error is allowed, for the file was not the same throughout."""
    dark = encoded(tmp_path / "dark.mp4", painted(40, 96, 64) // 4)
    light = encoded(tmp_path / "light.mp4", 255 - painted(40, 96, 64) // 4)
    wanted = list(range(0, 40, 3))
    allowed = [read_frames(path, wanted) for path in (dark, light)]
    path, spare = tmp_path / "clip.mp4", tmp_path / "spare.mp4"
    path.write_bytes(dark.read_bytes())
    stop, seen, errors = threading.Event(), [0, 0], []

    def work() -> None:
        while not stop.is_set():
            try:
                frames = read_frames(path, wanted)
            except MediaError:
                continue
            same = [np.array_equal(frames, other) for other in allowed]
            if any(same):
                seen[same.index(True)] += 1
            else:
                errors.append(frames)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    ends = time.perf_counter() + 2.5
    content = [light.read_bytes(), dark.read_bytes()]
    while time.perf_counter() < ends:
        spare.write_bytes(content[0])
        spare.replace(path)
        content.reverse()
        time.sleep(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    assert all(seen)
    assert errors == []


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings(f"ignore::{MediaDamageWarning.__module__}.MediaDamageWarning")
@pytest.mark.parametrize("name", ["faststart", "mkv", "open_gop_ts"])
def test_a_file_that_shrinks_while_it_is_read_ends_nothing(clips, tmp_path, name):
    data = clips[name].read_bytes()
    path = tmp_path / clips[name].name
    path.write_bytes(data)
    stop, done = threading.Event(), [0]

    def work() -> None:
        while not stop.is_set():
            with contextlib.suppress(MediaError):
                assert read_frames(path, [0, 30, 60]).shape == (3, 64, 96, 3)
            done[0] += 1

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    ends = time.perf_counter() + 1
    while time.perf_counter() < ends:
        os.truncate(path, len(data) // 3)
        time.sleep(0.003)
        path.write_bytes(data)
        time.sleep(0.003)
    stop.set()
    for thread in threads:
        thread.join()
    assert done[0] > 10
    path.write_bytes(data)
    assert np.array_equal(read_frames(path, [7, 70]), read_frames(clips[name], [7, 70]))


READS = {
    "frames of a long clip": "read_frames(path, range(probe(path).num_frames), size=(720, 1280))",
    "the index of a damaged clip": "probe(path)",
    "the index of an endless clip": "probe(path)",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("what", READS)
def test_ctrl_c_within_a_second(clips, tmp_path, what):
    path = tmp_path / "long.ts"
    data = clips["open_gop_ts"].read_bytes()
    # Cut in front: then it is indexed by decoding it.
    path.write_bytes(data * 400 if "index" not in what else data[len(data) // 3 :] * 1500)
    if "endless" in what:
        # Matroska's reader looks for the next cluster through all of the hole.
        path.write_bytes(clips["mkv"].read_bytes())
        os.truncate(path, 200 * 2**30)
    code = f"""
        import signal, sys
        from lmms.media import probe, read_frames
        # A program started in the background inherits an ignored SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        path = {str(path)!r}
        print("ready", flush=True)
        try:
            {READS[what]}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    sent = time.perf_counter()
    try:
        output, _ = process.communicate(timeout=10)
    finally:
        process.kill()
    assert output == "interrupted\n"
    # A second by itself; some more where all cores are busy with other tests.
    assert time.perf_counter() - sent < 2
