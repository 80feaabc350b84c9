"""A thousand mutated files: no crash, no hang, bounded memory, an error or a picture for each."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.media import decode, probe
from lmms.types import FramePolicy
from tests.media.hostile import mutations, reader

LONG = os.environ.get("LMMS_FUZZ") == "long"
COUNT = 20_000 if LONG else 1000
CASES = Path(__file__).parent / "cases"
LIMIT_SECONDS = 10.0
#: FFmpeg may hold several tables of half a gigabyte while it reads a lying index.
LIMIT_BYTES = 2 * 2**30
_READERS = 2


@dataclass
class Reports:
    """What became of the files."""

    reports: list[dict[str, Any]] = field(default_factory=list)
    fatal: list[str] = field(default_factory=list)
    """Files that ended the process or took too long."""


class _Reader:
    """One reading process; started anew after it was ended."""

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self._process = subprocess.Popen(
            [sys.executable, reader.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def read(self, path: Path, patience: float = 0.0) -> dict[str, Any] | str:
        """The report of a file, or in words how it ended the process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(str(path)) + "\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=LIMIT_SECONDS + patience)
        except queue.Empty:
            self.close()
            return f"took more than {LIMIT_SECONDS:.0f} s"
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        assert self._process.stderr is not None
        words = self._process.stderr.read()[-2000:]
        return f"ended the process with {self._process.wait()}: {words}"

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def read_all(paths: Iterable[Path]) -> Reports:
    """Reads files one after another, in a fresh process after each that ends one."""
    found = Reports()
    process, fresh = _Reader(), True
    for path in paths:
        # The first file also waits for the imports.
        report = process.read(path, patience=50 if fresh else 0)
        fresh = isinstance(report, str)
        if isinstance(report, str):
            found.fatal.append(f"{path.name} {report}")
            process.close()
            process = _Reader()
        else:
            found.reports.append(report)
    process.close()
    return found


def problems(found: Reports) -> list[str]:
    """Everything that should not have happened."""
    words = list(found.fatal)
    peak = 0
    for report in found.reports:
        name = Path(report["path"]).name
        words += [f"{name}: {v}" for v in report.values() if str(v).startswith("DEFECT")]
        if report["seconds"] > LIMIT_SECONDS:
            words.append(f"{name}: {report['seconds']:.1f} s")
        if report["peak"] > LIMIT_BYTES and peak <= LIMIT_BYTES:
            words.append(f"{name}: memory rose to {report['peak'] / 2**20:.0f} MiB")
        peak = report["peak"]
    return words


@pytest.mark.timeout(3600 if LONG else 240)
def test_mutated_files(tmp_path):
    paths = []
    for name, content in mutations.mutated(COUNT):
        path = tmp_path / name
        path.write_bytes(content)
        paths.append(path)
    with ThreadPoolExecutor(_READERS) as pool:
        parts = list(pool.map(read_all, (paths[i::_READERS] for i in range(_READERS))))
    assert [word for part in parts for word in problems(part)] == []
    reports = [report for part in parts for report in part.reports]
    assert len(reports) == COUNT
    for door, good in (("read_video", ("frames", "damaged")), ("read_image", ("image",))):
        outcomes = Counter(report[door] for report in reports)
        # Neither everything refused, which would test nothing, nor everything taken.
        assert sum(outcomes[g] for g in good) > COUNT // 10, outcomes
        assert outcomes["MediaDecodeError"] > COUNT // 10, outcomes


def test_bombs_and_earlier_findings(tmp_path):
    for name, content in mutations.bombs().items():
        (tmp_path / name).write_bytes(content)
    found = read_all([*sorted(tmp_path.iterdir()), *sorted(CASES.iterdir())])
    assert problems(found) == []
    by_name = {Path(report["path"]).name: report for report in found.reports}
    for name in ("huge.png", "wide16.png", "screen.gif", "huge.bmp", "huge.jpg", "huge.tiff"):
        assert by_name[name]["read_image"].startswith("Media"), by_name[name]


@pytest.mark.parametrize("name", ["damaged_mjpeg.avi", "mjpeg_keeps_the_last_picture.avi"])
def test_a_damaged_picture_shows_nothing_of_another(name):
    """Motion JPEG: what could not be read of a picture held the rest of an earlier one."""
    path = CASES / name
    batch = decode(path, FramePolicy(indices=tuple(range(min(6, probe(path).num_frames)))))
    for index, frame in enumerate(batch.frames):
        assert np.array_equal(decode(path, FramePolicy(indices=(index,))).frames[0], frame)


def test_good_seeds_are_read(tmp_path):
    """The mutated files start from files that are read without a word."""
    for name, content in mutations.seeds().items():
        (tmp_path / name).write_bytes(content)
    found = read_all(sorted(tmp_path.iterdir()))
    assert problems(found) == []
    assert len(found.reports) >= 30
    for report in found.reports:
        name = Path(report["path"]).name
        door = "read_image" if name.startswith("image") else "read_video"
        expected = "MediaDecodeError" if name.endswith(".wav") else door.removeprefix("read_")
        assert report[door] == ("frames" if expected == "video" else expected), report


def test_the_reader_itself_tells_a_crash_and_a_hang(tmp_path, monkeypatch):
    """A fake that kills itself and one that sleeps are both attributed to their file."""
    fake = tmp_path / "fake.py"
    fake.write_text(
        "import json, os, sys, time\n"
        "for line in sys.stdin:\n"
        "    if 'crash' in line: os.abort()\n"
        "    if 'hang' in line: time.sleep(100)\n"
        "    print(json.dumps({'path': json.loads(line), 'seconds': 0, 'peak': 0}), flush=True)\n"
    )
    monkeypatch.setattr(reader, "__file__", str(fake))
    monkeypatch.setattr(sys.modules[__name__], "LIMIT_SECONDS", 1.0)
    names = ("a", "crash", "b", "hang", "c")
    found = read_all([tmp_path / "first", *(tmp_path / name for name in names)])
    assert [Path(r["path"]).name for r in found.reports] == ["first", "a", "b", "c"]
    assert [word.split()[0] for word in found.fatal] == ["crash", "hang"]
