"""Ten minutes, an hour, and eight hour-scale videos as LMMs-Eval's notes replayed them."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benches.media import clips, peers
from benches.media.cases import Case, check, run_case, uniform, write_row
from benches.media.table import Goal, Row, Table
from benches.media.timing import Contestant, once, race


def test_ten_minutes_cold(table: Table, fresh: clips.Freshener) -> None:
    path = clips.ten_minutes()
    case = Case(
        "8 frames of 10 minutes, 360p, cold",
        path,
        uniform(clips.facts(path).frames, 8),
        {"hand-split": 1.15, "TorchCodec": 1.4},
        others=("hand-split", "SPDL", "decord", "PyAV"),
        own_rounds={"PyAV": 1},
    )
    run_case(case, table, fresh)


@pytest.mark.skipif(peers.missing("TorchCodec"), reason="torchcodec is not installed")
def test_ten_minutes_warm(table: Table) -> None:
    """Both sides keep what they know of the file: our index, their decoder."""
    path = clips.ten_minutes()
    case = Case(
        "8 frames of 10 minutes, 360p, warm",
        path,
        uniform(clips.facts(path).frames, 8),
        {"hand-split": 1.15, "TorchCodec": 1.3},
    )
    check(case)
    readers: dict[str, Any] = {"lmms": partial(peers.lmms, path, case.indices)}
    settings = []
    for threads, mode in peers.TORCHCODEC_SETTINGS:
        decoder = peers.torchcodec_decoder(path, threads, mode)
        settings.append(f"TorchCodec {threads} {mode} reused")
        readers[settings[-1]] = partial(decoder.get_frames_at, indices=case.indices)
    readers["hand-split"] = peers.ReusedHandSplit(path, case.indices)
    timings = race([Contestant(name, once(job)) for name, job in readers.items()], rounds=5)
    write_row(case, timings, settings, ["decoders reused"], table)


def test_one_hour(table: Table, fresh: clips.Freshener) -> None:
    path = clips.one_hour()
    case = Case(
        "8 frames of one hour, 360p, cold",
        path,
        uniform(clips.facts(path).frames, 8),
        {"PyAV": 100, "TorchCodec": 1.4},
        others=("hand-split", "PyAV"),
        own_rounds={"PyAV": 1},
    )
    run_case(case, table, fresh)


def test_replay_of_eight_long_videos(table: Table, fresh: clips.Freshener) -> None:
    """Four frames of each of eight videos, everything twice: the same frames, how long in sum."""
    videos = clips.hours()
    indices = {path: uniform(clips.facts(path).frames, 4) for path in videos}
    readers: dict[str, Any] = {"lmms": peers.lmms}
    if not peers.missing("TorchCodec"):
        for threads, mode in ((8, "exact"), (2, "exact"), (1, "approximate")):
            name = f"TorchCodec {threads} {mode}"
            readers[name] = partial(peers.torchcodec, threads=threads, mode=mode)
        readers["hand-split"] = peers.hand_split
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    digests: dict[str, list[list[str]]] = {name: [] for name in readers}
    for _ in range(2):
        for name, reader in readers.items():
            spent, found = _replay(reader, indices, fresh)
            seconds[name].append(spent)
            digests[name].append(found)
    ours = digests["lmms"]
    assert ours[0] == ours[1], "the same video gave other frames the second time"
    same = {name: sum(map(str.__eq__, ours[0], d[0])) for name, d in digests.items()}
    best = {name: min(values) for name, values in seconds.items()}
    pyav = _first_of(videos[0], indices[videos[0]]) if not peers.missing("PyAV") else None
    ratios = {name: best[name] / best["lmms"] for name in readers if name != "lmms"}
    notes = f"same frames A/A {len(videos)}/{len(videos)}; as TorchCodec: {same}"
    if pyav:
        notes += f"; PyAV takes {pyav:.1f} s for the shortest of the eight alone"
    table.add(
        Row(
            "replay, 8 videos of 20 to 60 minutes, 4 frames each, cold, decode s in all (A/A)",
            "/".join(f"{value:.2f}" for value in seconds["lmms"]),
            "; ".join(
                f"{name} " + "/".join(f"{value:.2f}" for value in values)
                for name, values in seconds.items()
                if name != "lmms"
            )
            + f"; {notes}",
            tuple(Goal(name, ratio, None) for name, ratio in ratios.items()),
            notes=notes,
            record={"seconds": seconds, "identical": same, "pyav_first_video_seconds": pyav},
        )
    )


def _replay(
    reader: Any, indices: dict[Path, list[int]], fresh: clips.Freshener
) -> tuple[float, list[str]]:
    spent, found = 0.0, []
    for path, wanted in indices.items():
        name = fresh(path)
        start = time.perf_counter()
        frames = reader(name, wanted)
        spent += time.perf_counter() - start
        found.append(hashlib.sha256(peers.pixels(frames).tobytes()).hexdigest())
    fresh.clear()
    return spent, found


def _first_of(path: Path, indices: list[int]) -> float:
    start = time.perf_counter()
    peers.pyav(path, indices)
    return time.perf_counter() - start
