"""CPU of a call against the least it could cost: libavcodec alone on just the needed packets."""

from __future__ import annotations

import shutil
import statistics
import subprocess
from functools import partial
from pathlib import Path

import pytest

from benches.media import children, clips, peers
from benches.media.cases import uniform
from benches.media.table import Goal, Row, Table
from benches.media.timing import Contestant, allowed, race

ROUNDS = 3
CASES = {
    "8 frames, 55 s 720p": ("film720", 8),
    "32 frames, 55 s 720p": ("film720", 32),
    "8 frames, 55 s 360p": ("film360", 8),
    "32 frames, 55 s 360p": ("film360", 32),
    "8 frames, 55 s 360p HEVC": ("hevc", 8),
}


@pytest.fixture(scope="module", name="bare")
def _bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C program beside this file, built against the libraries that lmms uses."""
    if not (shutil.which("cc") and shutil.which("pkg-config")):
        pytest.skip("cc and pkg-config are needed")
    libraries = ["libavformat", "libavcodec", "libavutil"]
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", *libraries], capture_output=True, text=True
    )
    if flags.returncode:
        pytest.skip("FFmpeg's development files are needed")
    program = tmp_path_factory.mktemp("bare") / "bare"
    source = Path(__file__).with_name("bare.c")
    subprocess.run(["cc", "-O2", source, *flags.stdout.split(), "-o", program], check=True)
    return program


@pytest.mark.parametrize("case", CASES)
def test_limit(case: str, bare: Path, table: Table, fresh: clips.Freshener) -> None:
    clip, count = CASES[case]
    path = clips.encoded(clip)
    indices = uniform(clips.facts(path).frames, count)
    words = [bare, path, "3", *map(str, indices)]
    ours, least = [], []
    for _ in range(allowed(ROUNDS)):  # in turns, so that a busy machine is busy for both
        found = children.answer(words)
        assert found["frames"] >= count
        least.append(found["cpu_ms"])
        timing = race(
            [Contestant("lmms", lambda: partial(peers.lmms, fresh(path), indices))], rounds=2
        )
        ours.append(timing["lmms"].cpu)
    ratio = statistics.median(mine / bound for mine, bound in zip(ours, least, strict=True))
    table.add(
        Row(
            f"CPU of a call against libavcodec alone, {case}, cold, CPU ms",
            f"{statistics.median(ours):.0f}",
            f"libavcodec, 1 thread, {found['packets']} packets: {statistics.median(least):.0f}",
            (Goal("libavcodec", ratio, 1.1, at_most=True),),
            record={"cpu_ms": ours, "libavcodec_cpu_ms": least, "plan": found},
        )
    )
