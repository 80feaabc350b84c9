"""Eight uniform frames of a video, against PyAV used as LMMs-Eval uses it.

Claim: at least three times as fast in wall time for a minute of video with a keyframe every two
seconds, as streaming services encode. The gain is work avoided, so it shrinks with longer groups
of pictures (two keyframes in a minute leave little to skip) and grows with longer clips. The peer
decodes from the start and converts one frame at a time; both return (n, h, w, 3) RGB.
Rounds are interleaved and in random order after one warm-up round; medians are compared.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

av = pytest.importorskip("av", reason="the peer PyAV is not installed (pip install av)")

SECONDS, FPS, GOP = 60, 30, 60
ROUNDS = 5
CLAIM = 3
CLIPS = {"240p": (426, 240), "360p": (640, 360)}
OUT = Path(__file__).parent / "out"


def make_clip(path: Path, size: tuple[int, int]) -> Path:
    """A moving test picture with B-frames."""
    import ffmpeg

    source = f"testsrc2=size={size[0]}x{size[1]}:rate={FPS}:duration={SECONDS}"
    ffmpeg.input(source, f="lavfi").output(
        str(path), vcodec="libx264", pix_fmt="yuv420p", preset="veryfast", bf=3, g=GOP
    ).global_args("-v", "error").run()
    return path


def read_native(path: Path) -> object:
    from lmms.media import read_video

    return read_video(path, num_frm=8)


def read_peer(path: Path) -> object:
    """Decodes sequentially up to the last wanted frame with automatic threads."""
    import numpy as np

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        wanted = set(np.linspace(0, stream.frames - 1, 8, dtype=int).tolist())
        frames = []
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == len(wanted):
                break
    return np.stack(frames)


def timed(reader: Callable[[Path], object], path: Path) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    reader(path)
    return time.perf_counter() - wall, time.process_time() - cpu


@pytest.mark.parametrize("name", CLIPS)
def test_eight_frames_against_pyav(name: str, tmp_path: Path) -> None:
    import numpy as np

    path = make_clip(tmp_path / f"{name}.mp4", CLIPS[name])
    readers = {"lmms": read_native, "pyav": read_peer}
    native, peer = (np.asarray(reader(path)).astype(int) for reader in readers.values())
    # Same frames; another build of FFmpeg may round colours differently.
    assert native.shape == peer.shape
    assert np.abs(native - peer).mean() < 1
    taken: dict[str, list[tuple[float, float]]] = {reader: [] for reader in readers}
    order = [reader for reader in readers for _ in range(ROUNDS)]
    random.Random(0).shuffle(order)
    for reader in order:
        # The index is remembered between calls; a new name makes every call a cold one.
        fresh = path.with_name(f"{reader}{len(taken[reader])}.mp4")
        path.rename(fresh)
        path = fresh
        taken[reader].append(timed(readers[reader], path))
    median = {
        reader: tuple(statistics.median(column) for column in zip(*rows, strict=True))
        for reader, rows in taken.items()
    }
    result = {
        "clip": name,
        "wall_ms": {reader: round(m[0] * 1e3, 1) for reader, m in median.items()},
        "cpu_ms": {reader: round(m[1] * 1e3, 1) for reader, m in median.items()},
        "wall_ratio": round(median["pyav"][0] / median["lmms"][0], 2),
        "cpu_ratio": round(median["pyav"][1] / median["lmms"][1], 2),
        "rounds": ROUNDS,
    }
    report(result)
    assert result["wall_ratio"] >= CLAIM


def report(result: dict[str, object]) -> None:
    """Prints one row and appends it to benches/out/decode_latency.jsonl."""
    wall, cpu = f"wall ms {result['wall_ms']}", f"CPU ms {result['cpu_ms']}"
    print(f"\n| {result['clip']}, 8 frames | {wall} | {cpu} | {result['wall_ratio']} x |")
    OUT.mkdir(exist_ok=True)
    with (OUT / "decode_latency.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")
