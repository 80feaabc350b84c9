"""Clips that know their truth: every frame carries its number as black and white blocks."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
import pytest

BLOCK = 8
BITS = 8
WIDTH, HEIGHT, FPS = 96, 64, 25


def counter_frames(count: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(count, height, width, 3): a drifting pattern, and the frame number in blocks on top."""
    rows, columns = np.mgrid[0:height, 0:width]
    frames = np.empty((count, height, width, 3), np.uint8)
    for number in range(count):
        frames[number, ..., 0] = (columns * 3 + number * 5) % 256
        frames[number, ..., 1] = (rows * 4 + columns + number * 3) % 256
        frames[number, ..., 2] = 128 + 100 * np.sin((rows - columns) / 9 + number / 7)
        for bit in range(BITS):
            left = bit * BLOCK
            frames[number, :BLOCK, left : left + BLOCK] = 255 if number >> bit & 1 else 0
    return frames


def read_counter(frame: np.ndarray) -> int:
    """The number that a frame carries."""
    middle = BLOCK // 2
    bits = [frame[middle, bit * BLOCK + middle].mean() > 127 for bit in range(BITS)]
    return sum(1 << bit for bit, lit in enumerate(bits) if lit)


@dataclass(frozen=True)
class Recipe:
    """How a clip is encoded."""

    suffix: str = "mp4"
    count: int = 75
    size: tuple[int, int] = (WIDTH, HEIGHT)
    output: dict[str, Any] = field(default_factory=dict)
    filters: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...] = ()


def h264(**more: Any) -> dict[str, Any]:
    return {"vcodec": "libx264", "pix_fmt": "yuv420p", "preset": "veryfast", **more}


def mpeg(part: int) -> dict[str, Any]:
    return {"vcodec": f"mpeg{part}video", "bf": 2, "g": 12, "q:v": 3}


VFR = "(N+floor(N/7)*3+mod(N,3)*0.4)/25/TB"
OPEN_GOP = h264(**{"x264-params": "open-gop=1:keyint=20:bframes=3:b-pyramid=normal:scenecut=0"})

RECIPES: dict[str, Recipe] = {
    "b_frames": Recipe(output=h264(bf=3, g=30)),
    "one_key": Recipe(output=h264(bf=3, g=250)),
    "intra": Recipe(count=30, output=h264(g=1)),
    "open_gop": Recipe(output=OPEN_GOP),
    "open_gop_ts": Recipe(suffix="ts", output=OPEN_GOP),
    "mkv": Recipe(suffix="mkv", output=h264(bf=2, g=25)),
    "vfr": Recipe(
        output=h264(
            bf=5, g=40, fps_mode="vfr", enc_time_base="1:90000", video_track_timescale=90000
        ),
        # The default time base of 1/25 s would round the times.
        filters=(("settb", ("1/90000",), {}), ("setpts", (VFR,), {})),
    ),
    "vfr_mkv": Recipe(
        suffix="mkv",
        output=h264(bf=3, g=40, fps_mode="vfr", enc_time_base="1:1000"),
        # The default time base of 1/25 s would round the times.
        filters=(("settb", ("1/90000",), {}), ("setpts", (VFR,), {})),
    ),
    "ten_bit": Recipe(output=h264(pix_fmt="yuv420p10le", bf=3, g=30)),
    "odd_444": Recipe(size=(97, 65), output=h264(pix_fmt="yuv444p", bf=2, g=25)),
    "odd_vp9": Recipe(
        suffix="webm",
        size=(97, 65),
        output={
            "vcodec": "libvpx-vp9",
            "pix_fmt": "yuv420p",
            "g": 25,
            "deadline": "realtime",
            "cpu-used": 8,
        },
    ),
    "vp8_hidden": Recipe(
        suffix="webm",
        output={
            "vcodec": "libvpx",
            "pix_fmt": "yuv420p",
            "auto-alt-ref": 1,
            "b:v": "200k",
            "lag-in-frames": 16,
            "deadline": "good",
            "cpu-used": 5,
        },
    ),
    "full_range": Recipe(
        output=h264(bf=2, colorspace="bt709", color_range="pc"),
        filters=(("scale", (), {"out_range": "full", "out_color_matrix": "bt709"}),),
    ),
    "bt709": Recipe(
        output=h264(bf=2, colorspace="bt709"),
        filters=(("scale", (), {"out_color_matrix": "bt709"}),),
    ),
    "avi_mpeg4": Recipe(suffix="avi", output={"vcodec": "mpeg4", "bf": 2, "g": 20, "q:v": 3}),
    "hevc": Recipe(
        output={
            "vcodec": "libx265",
            "pix_fmt": "yuv420p",
            "preset": "ultrafast",
            "x265-params": "log-level=error:bframes=3:keyint=25",
        },
    ),
    "hevc_layers": Recipe(
        output={
            "vcodec": "libx265",
            "pix_fmt": "yuv420p",
            "preset": "ultrafast",
            "x265-params": "log-level=error:bframes=3:keyint=25:temporal-layers=3",
        },
    ),
    "av1": Recipe(
        count=40, output={"vcodec": "libaom-av1", "pix_fmt": "yuv420p", "g": 20, "cpu-used": 8}
    ),
    "bt2020": Recipe(
        output={
            "vcodec": "libx265",
            "pix_fmt": "yuv420p10le",
            "preset": "ultrafast",
            "x265-params": "log-level=error:keyint=25:colorprim=bt2020:transfer=smpte2084"
            ":colormatrix=bt2020nc",
        },
        filters=(("scale", (), {"out_color_matrix": "bt2020"}),),
    ),
    "mpeg2_ts": Recipe(suffix="ts", output=mpeg(2)),
    "mpeg2_ps": Recipe(suffix="vob", output=mpeg(2)),
    "mpeg1_ps": Recipe(suffix="mpg", output=mpeg(1)),
    "raw_mpeg2": Recipe(suffix="m2v", output=mpeg(2)),
    "raw_h264": Recipe(suffix="h264", output=h264(bf=2, g=25)),
    "raw_hevc": Recipe(
        suffix="hevc",
        output={
            "vcodec": "libx265",
            "pix_fmt": "yuv420p",
            "preset": "ultrafast",
            "x265-params": "log-level=error:bframes=2:keyint=25",
        },
    ),
    "mjpeg_avi": Recipe(suffix="avi", output={"vcodec": "mjpeg", "q:v": 3}),
    "prores_mov": Recipe(suffix="mov", output={"vcodec": "prores", "q:v": 5}),
    "h264_mov": Recipe(suffix="mov", output=h264(bf=2, g=25)),
    "gif": Recipe(
        suffix="gif",
        count=40,
        output={"fps_mode": "vfr", "enc_time_base": "1:100"},
        filters=(("settb", ("1/100",), {}), ("setpts", ("4*N+12*floor(N/7)",), {})),
    ),
    "vp9_alpha": Recipe(
        suffix="webm",
        output={
            "vcodec": "libvpx-vp9",
            "pix_fmt": "yuva420p",
            "g": 25,
            "deadline": "realtime",
            "cpu-used": 8,
        },
        filters=(
            ("format", ("rgba",), {}),
            ("colorchannelmixer", (), {"ar": 0.5, "aa": 0.5}),
        ),
    ),
    "interlaced": Recipe(output=h264(flags="+ilme+ildct", bf=2, g=25)),
    "rotated_422": Recipe(output=h264(pix_fmt="yuv422p", bf=2, g=25)),
    "rotated_odd": Recipe(size=(97, 65), output=h264(pix_fmt="yuv444p", bf=2, g=25)),
    "audio_first": Recipe(output=h264(bf=2, g=25)),
}


@dataclass(frozen=True)
class Derived:
    """A clip made from another without encoding again."""

    source: str
    suffix: str = "mp4"
    input: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)


DERIVED: dict[str, Derived] = {
    "edit_list": Derived("open_gop", input={"ss": 1.3}),
    "cut_mkv": Derived("open_gop", suffix="mkv", input={"ss": 1.3}),
    "fragmented": Derived("b_frames", output={"movflags": "frag_keyframe+empty_moov"}),
    "rotated_90": Derived("b_frames", output={"metadata:s:v": "rotate=90"}),
    "rotated_180": Derived("b_frames", output={"metadata:s:v": "rotate=180"}),
    "rotated_270": Derived("odd_444", output={"metadata:s:v": "rotate=270"}),
    "rotated_422_90": Derived("rotated_422", output={"metadata:s:v": "rotate=90"}),
    "rotated_vp9": Derived("odd_vp9", output={"metadata:s:v": "rotate=90"}),
    "rotated_mov": Derived("h264_mov", suffix="mov", output={"metadata:s:v": "rotate=90"}),
    "late_mkv": Derived("mkv", suffix="mkv", output={"output_ts_offset": 7.5}),
    "late_ts": Derived("open_gop_ts", suffix="ts", output={"output_ts_offset": 7.5}),
    "early_mkv": Derived(
        "mkv",
        suffix="mkv",
        output={"output_ts_offset": -0.5, "avoid_negative_ts": "disabled"},
    ),
    "early_mp4": Derived(
        "b_frames", output={"output_ts_offset": -0.5, "avoid_negative_ts": "disabled"}
    ),
    "faststart": Derived("b_frames", output={"movflags": "faststart"}),
}


class Clips:
    """Makes clips when first asked for and keeps them for the session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        if name not in self._made:
            self._made[name] = self._derive(name) if name in DERIVED else self._encode(name)
        return self._made[name]

    def _encode(self, name: str) -> Path:
        recipe = RECIPES[name]
        path = self.folder / f"{name}.{recipe.suffix}"
        width, height = recipe.size
        stream = ffmpeg.input(
            "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", framerate=FPS
        )
        for kind, arguments, options in recipe.filters:
            stream = stream.filter(kind, *arguments, **options)
        raw = counter_frames(recipe.count, width, height).tobytes()
        _run(stream.output(str(path), threads=1, **recipe.output), raw)
        return path

    def _derive(self, name: str) -> Path:
        derived = DERIVED[name]
        path = self.folder / f"{name}.{derived.suffix}"
        stream = ffmpeg.input(str(self[derived.source]), **derived.input)
        _run(stream.output(str(path), c="copy", **derived.output))
        return path


def _run(output: Any, raw: bytes | None = None) -> None:
    try:
        output.global_args("-v", "error", "-y").run(
            input=raw, quiet=True, capture_stdout=True, capture_stderr=True
        )
    except ffmpeg.Error as error:
        raise AssertionError(error.stderr.decode()) from error


def reference_frames(path: Path, size: tuple[int, int], *, rotate: bool = True) -> np.ndarray:
    """Every frame as FFmpeg's own tool decodes it; `size` is (height, width) as shown.

    One thread: what FFmpeg paints over damage depends on the number of threads.
    """
    autorotate = [] if rotate else ["-noautorotate"]
    command = ["ffmpeg", "-v", "quiet", "-threads", "1", *autorotate, "-i", str(path)]
    command += ["-map", "v:0", "-fps_mode", "passthrough", "-pix_fmt", "rgb24"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=False).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, *size, 3)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return Clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def reference() -> Callable[..., np.ndarray]:
    return reference_frames


@pytest.fixture(scope="session")
def counter() -> Callable[[np.ndarray], int]:
    return read_counter


@pytest.fixture(scope="session")
def painted() -> Callable[..., np.ndarray]:
    return counter_frames


@pytest.fixture
def damaged(tmp_path: Path) -> Callable[[Path, float], Path]:
    """Copies the first part of a file."""

    def cut(path: Path, share: float) -> Path:
        data = path.read_bytes()
        target = tmp_path / f"cut_{path.name}"
        target.write_bytes(data[: int(len(data) * share)])
        return target

    return cut
