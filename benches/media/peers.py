"""The readers that lmms is measured against, each used as its users would for the case.

A reader takes a file and ascending frame positions and returns RGB frames, (n, h, w, 3) uint8, as
an array or something that `pixels` turns into one. Each allocates its output and opens the file
anew. Libraries are imported when a reader is asked for; a missing one is named, not fatal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from importlib import metadata
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

Reader = Callable[[Path, Sequence[int]], Any]

CORES = len(os.sched_getaffinity(0))
#: Reader -> the module it needs and the package that has it.
PACKAGES = {
    "TorchCodec": ("torchcodec", "torchcodec"),
    "hand-split": ("torchcodec", "torchcodec"),
    "SPDL": ("spdl.io", "spdl"),
    "decord": ("decord", "decord"),
    "OpenCV": ("cv2", "opencv-python-headless"),
    "PyAV": ("av", "av"),
}
TORCHCODEC_SETTINGS = tuple(
    (threads, mode) for threads in (1, 2, 0) for mode in ("approximate", "exact")
)


def missing(name: str) -> bool:
    """Whether a reader's library is not installed."""
    module = PACKAGES[name][0].split(".")[0]
    return find_spec(module) is None


def versions() -> dict[str, str]:
    """Versions of every installed library that takes part."""
    wanted = {package for _, package in PACKAGES.values()}
    wanted |= {"lmms", "torch", "numpy", "pillow", "transformers", "pyarrow"}
    found = {}
    for package in sorted(wanted):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def same_ffmpeg() -> bool:
    """Whether TorchCodec runs on the very libavcodec that lmms runs on."""
    if missing("TorchCodec"):
        return False
    from torchcodec._core import get_ffmpeg_library_versions

    from lmms import _media

    theirs = ".".join(str(part) for part in get_ffmpeg_library_versions()["libavcodec"])
    return theirs == _media.ffmpeg_version()


def pixels(result: Any) -> Any:
    """Frames as one NumPy array, for the check before the race."""
    import numpy as np

    if isinstance(result, list | tuple):
        return np.concatenate([pixels(part) for part in result])
    return result.numpy() if hasattr(result, "numpy") else np.asarray(result)


def lmms(path: Path, indices: Sequence[int]) -> Any:
    """This package, with nothing set."""
    from lmms.media import read_frames

    return read_frames(path, indices)


def torchcodec(path: Path, indices: Sequence[int], *, threads: int, mode: str) -> Any:
    """A decoder for the call; `threads` are FFmpeg's, 0 lets FFmpeg choose."""
    return torchcodec_decoder(path, threads, mode).get_frames_at(indices=list(indices)).data


def torchcodec_decoder(path: Path, threads: int, mode: str) -> Any:
    """A decoder that gives frames in the order of the others' arrays."""
    from torchcodec.decoders import VideoDecoder

    return VideoDecoder(
        str(path), dimension_order="NHWC", num_ffmpeg_threads=threads, seek_mode=mode
    )


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CORES)


def hand_split(path: Path, indices: Sequence[int]) -> Any:
    """One TorchCodec decoder per core, each for a stretch of the positions, on Python threads.

    The parts are not joined into one array, which is in its favour.
    """
    parts = split(list(indices), CORES)
    read = partial(torchcodec, threads=1, mode="approximate")
    return list(_threads().map(lambda part: read(path, part), parts))


def split(items: list[int], parts: int) -> list[list[int]]:
    """Contiguous stretches of about the same length, none empty."""
    ends = [len(items) * i // parts for i in range(parts + 1)]
    return [items[a:b] for a, b in pairwise(ends) if b > a]


def spdl(path: Path, indices: Sequence[int]) -> Any:
    """SPDL's own way to sample frames."""
    import spdl.io

    packets = spdl.io.demux_video(str(path))
    frames = spdl.io.sample_decode_video(packets, list(indices))
    return spdl.io.to_numpy(spdl.io.convert_frames(frames))


def decord(path: Path, indices: Sequence[int]) -> Any:
    """One FFmpeg thread per core."""
    from decord import VideoReader

    return VideoReader(str(path), num_threads=CORES).get_batch(list(indices)).asnumpy()


def opencv(path: Path, indices: Sequence[int]) -> Any:
    """Steps from frame to frame and converts the wanted ones: seeking is not frame-exact."""
    import cv2
    import numpy as np

    capture, wanted, position = cv2.VideoCapture(str(path)), list(indices), 0
    frames: Any = None
    try:
        for slot, index in enumerate(wanted):
            while position <= index:
                if not capture.grab():
                    raise RuntimeError(f"OpenCV ends before frame {index}")
                position += 1
            picture = capture.retrieve()[1]
            if frames is None:
                frames = np.empty((len(wanted), *picture.shape), np.uint8)
            cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=frames[slot])
    finally:
        capture.release()
    return frames


def pyav(path: Path, indices: Sequence[int]) -> Any:
    """From the start to the last wanted frame, as LMMs-Eval's default reader goes."""
    import av
    import numpy as np

    wanted, kept = set(indices), []
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                kept.append(frame)
            if len(kept) == len(wanted):
                break
    output: Any = None
    for slot, frame in enumerate(kept):
        picture = frame.to_ndarray(format="rgb24")
        if output is None:
            output = np.empty((len(kept), *picture.shape), np.uint8)
        output[slot] = picture
    return output


READERS: dict[str, Reader] = {
    "hand-split": hand_split,
    "SPDL": spdl,
    "decord": decord,
    "OpenCV": opencv,
    "PyAV": pyav,
}


class ReusedHandSplit:
    """The hand-split opponent with decoders that stay open between calls."""

    def __init__(self, path: Path, indices: Sequence[int]) -> None:
        self._work = [
            (torchcodec_decoder(path, 1, "approximate"), part)
            for part in split(list(indices), CORES)
        ]

    def __call__(self) -> Any:
        """Reads every part on a thread of its own."""
        return list(_threads().map(lambda w: w[0].get_frames_at(indices=w[1]).data, self._work))
