"""A process that reads one file after another through the front doors and reports each.

Paths come on stdin, one a line; one JSON object a line goes to stdout before the next is begun, so
that a crash or a hang names its file. Run as `python reader.py`.
"""

from __future__ import annotations

import faulthandler
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmms import media
from lmms.errors import MediaError


def read_video(path: str) -> str:
    """Indexes a video and reads three small frames of it."""
    info = media.probe(path)
    assert len(media.frame_times(path)) == info.num_frames > 0
    wanted = sorted({0, info.num_frames // 2, info.num_frames - 1})
    frames = media.read_frames(path, wanted, size=(32, 32))
    assert frames.shape == (len(wanted), 32, 32, 3)
    return "damaged" if info.warnings else "frames"


def read_image(path: str) -> str:
    """Loads an image, which must have the size that its header announces."""
    size = media.image_size(path)
    assert media.load_image(path).shape == (*size, 3)
    return "image"


def read_sound(path: str) -> str:
    """Reads the sound of a file."""
    clip = media.read_audio(path, sample_rate=8000, channels=1)
    assert clip.samples.ndim == 1
    return "sound"


def doors() -> list[Callable[[str], str]]:
    """What a file is read through."""
    sound = [read_sound] if "read_audio" in dir(media) else []
    return [read_video, read_image, *sound]


def outcome(door: Callable[[str], str], path: str) -> str:
    """What reading a file through one door gave; only the first letters of a defect matter."""
    try:
        return door(path)
    except media.MediaInternalError as error:
        return f"DEFECT: {error}"
    except MediaError as error:
        return type(error).__name__
    except BaseException as error:
        return f"DEFECT: {type(error).__name__}: {error}"


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Reads until there are no more paths."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        path = json.loads(line)
        started = time.perf_counter()
        report: dict[str, Any] = {d.__name__: outcome(d, path) for d in doors()}
        report |= {"path": path, "seconds": time.perf_counter() - started, "peak": peak_bytes()}
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
