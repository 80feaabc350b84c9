"""The clips of the media benches: made once with ffmpeg, kept in benches/out/clips.

A clip's file carries a digest of how it is made, so that another recipe makes another file. Whole
hours come from copying the streams of shorter encodes end to end.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from benches.media import scenes

FOLDER = Path(__file__).resolve().parents[1] / "out" / "clips"

RATE = 30
X264 = {"vcodec": "libx264", "preset": "medium", "crf": 23, "pix_fmt": "yuv420p"}
#: name -> (suffix, encoder options); every source is encoded to all its outputs in one pass.
ENCODINGS: dict[str, dict[str, tuple[str, dict[str, object]]]] = {
    "film720": {
        "film720": (".mp4", X264),
        "gop250": (".mp4", X264 | {"g": 250, "keyint_min": 250, "sc_threshold": 0}),
        "one_key": (".mp4", X264 | {"g": 100_000, "keyint_min": 100_000, "sc_threshold": 0}),
    },
    "film360": {
        "film360": (".mp4", X264),
        "hevc": (".mp4", {"vcodec": "libx265", "preset": "medium", "x265-params": "log-level=1"}),
        "vp9": (".webm", {"vcodec": "libvpx-vp9", "crf": 34, "video_bitrate": 0, "cpu-used": 4,
                          "row-mt": 1, "tile-columns": 1}),
        "av1": (".mp4", {"vcodec": "libsvtav1", "preset": 8, "crf": 35}),
    },
    "feature": {"feature": (".mp4", X264)},
}  # fmt: skip
#: source -> (height, width), seconds, seed.
SOURCES = {
    "film720": ((720, 1280), 55, 1),
    "film360": ((360, 640), 55, 2),
    "feature": ((360, 640), 900, 3),
}
QUESTION_CLIP_SECONDS = (60, 66, 73, 80, 87, 93, 100, 107, 114, 120)
#: Minutes of the eight hour-scale clips.
REPLAY_MINUTES = (20, 25, 30, 35, 40, 45, 50, 60)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a clip is like, for the record beside the figures."""

    frames: int
    key_frames: int
    median_gop: int
    longest_gop: int
    megabytes: float


@cache
def encoded(name: str) -> Path:
    """A clip named in ENCODINGS; encodes its source if that was not done yet."""
    source = next(source for source, outputs in ENCODINGS.items() if name in outputs)
    paths = {
        output: _place(output, suffix, [source, SOURCES[source], options, RATE])
        for output, (suffix, options) in ENCODINGS[source].items()
    }
    if not all(path.exists() for path in paths.values()):
        _encode(source, paths)
    return paths[name]


@cache
def ten_minutes() -> Path:
    """The first ten minutes of the feature."""
    return _copied("ten_minutes", encoded("feature"), start=0, seconds=600)


@cache
def one_hour() -> Path:
    """Ten minutes, six times."""
    return _copied("one_hour", ten_minutes(), loops=5)


@cache
def question_clips() -> tuple[Path, ...]:
    """Ten clips of 60 to 120 seconds, 15 minutes in all."""
    keys, clips, at = key_times(encoded("feature")), [], 0.0
    for number, seconds in enumerate(QUESTION_CLIP_SECONDS):
        start = _at_or_before(keys, at)
        clips.append(_copied(f"question{number}", encoded("feature"), start=start, seconds=seconds))
        at += seconds
    return tuple(clips)


@cache
def many(count: int = 64, seconds: int = 55) -> tuple[Path, ...]:
    """Different stretches of the feature, each a file of its own."""
    keys = key_times(encoded("feature"))
    length = SOURCES["feature"][1]
    starts = [_at_or_before(keys, i * (length - seconds) / (count - 1)) for i in range(count)]
    return tuple(
        _copied(f"many{i:02d}", encoded("feature"), start=start, seconds=seconds)
        for i, start in enumerate(starts)
    )


@cache
def hours() -> tuple[Path, ...]:
    """Eight clips of 20 to 60 minutes, no two of the same content."""
    keys = key_times(encoded("feature"))
    clips = []
    for number, minutes in enumerate(REPLAY_MINUTES):
        start = _at_or_before(keys, number * 110.0)
        piece = _copied(f"piece{number}", encoded("feature"), start=start, seconds=100)
        clips.append(_copied(f"hours{number}", piece, loops=round(minutes * 60 / 100) - 1))
    return tuple(clips)


def key_times(path: Path) -> list[float]:
    """Seconds at which key frames are shown."""
    return [time for time, is_key in _packets(path) if is_key]


@cache
def facts(path: Path) -> Facts:
    """Counts packets; decodes nothing."""
    packets = sorted(_packets(path))
    keys = [i for i, (_, is_key) in enumerate(packets) if is_key] + [len(packets)]
    groups = sorted(b - a for a, b in pairwise(keys))
    return Facts(
        frames=len(packets),
        key_frames=len(groups),
        median_gop=groups[len(groups) // 2],
        longest_gop=groups[-1],
        megabytes=round(path.stat().st_size / 1e6, 1),
    )


class Freshener:
    """Names under which a file's content was never seen, so that nothing remembered applies.

    Every call gives a new hard link and moves the modification time: caches that know a file by
    its path, or by inode and time, start from nothing, while the page cache stays warm for all.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(self, path: Path) -> Path:
        self._count += 1
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000))
        link = self._folder / f"{path.stem}-{self._count}{path.suffix}"
        os.link(path, link)
        return link

    def clear(self) -> None:
        """Removes the links."""
        for link in self._folder.iterdir():
            link.unlink()


def _packets(path: Path) -> list[tuple[float, bool]]:
    words = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "csv=p=0",
             "-show_entries", "packet=pts_time,flags", str(path)]  # fmt: skip
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    rows = [line.split(",") for line in lines]
    return [(float(row[0]), row[1].startswith("K")) for row in rows]


def _at_or_before(times: Sequence[float], wanted: float) -> float:
    return max(time for time in times if time <= wanted)


def _place(name: str, suffix: str, recipe: object) -> Path:
    known = json.dumps([scenes.VERSION, recipe], sort_keys=True).encode()
    digest = hashlib.sha256(known).hexdigest()[:12]
    return FOLDER / f"{name}-{digest}{suffix}"


def _encode(source: str, paths: dict[str, Path]) -> None:
    import ffmpeg

    size, seconds, seed = SOURCES[source]
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="yuv420p", s=f"{size[1]}x{size[0]}", r=RATE
    )
    parts = {name: path.with_stem(path.stem + ".part") for name, path in paths.items()}
    streams = [
        picture.output(str(parts[name]), **options)
        for name, (_, options) in ENCODINGS[source].items()
    ]
    print(f"\nmaking {', '.join(path.name for path in paths.values())} (once)", flush=True)
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder talks past FFmpeg's log level
    process = (
        ffmpeg.merge_outputs(*streams)
        .global_args("-v", "error", "-nostats")
        .run_async(pipe_stdin=True, overwrite_output=True)
    )
    for planes in scenes.frames(size, seconds=seconds, rate=RATE, seed=seed):
        for plane in planes:
            process.stdin.write(plane.tobytes())
    process.stdin.close()
    if process.wait():
        raise RuntimeError(f"ffmpeg could not encode {source}")
    for name, path in paths.items():
        parts[name].rename(path)


def _copied(
    name: str, source: Path, *, start: float = 0, seconds: float | None = None, loops: int = 0
) -> Path:
    """Copies a stretch of a clip, or the clip several times over, without encoding."""
    import ffmpeg

    path = _place(name, source.suffix, [source.name, start, seconds, loops])
    if path.exists():
        return path
    part = path.with_stem(path.stem + ".part")
    options: dict[str, object] = {"stream_loop": loops} if loops else {}
    if start:
        options["ss"] = f"{start:.6f}"
    if seconds:
        options["t"] = seconds
    ffmpeg.input(str(source), **options).output(str(part), c="copy").global_args(
        "-v", "error", "-nostats"
    ).run(overwrite_output=True)
    shutil.move(part, path)
    return path
