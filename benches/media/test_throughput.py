"""Sixty-four different videos on all cores: what a whole evaluation does."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benches.media import clips, peers
from benches.media.cases import uniform
from benches.media.table import Goal, Row, Table
from benches.media.timing import allowed

COUNT, FRAMES, ROUNDS = 64, 8, 3


def _read(reader: Any, work: tuple[Path, list[int]]) -> tuple[int, float]:
    """Frames read and CPU seconds of the process; the frames themselves stay where they are."""
    before = time.process_time()
    frames = reader(*work)
    return len(frames), time.process_time() - before


def _ready(reader: Any, work: tuple[Path, list[int]], started: Any) -> None:
    """Imports and a first decode in every worker, before any clock runs."""
    _read(reader, work)
    started.wait()


@pytest.mark.skipif(peers.missing("TorchCodec"), reason="torchcodec is not installed")
def test_many_videos(table: Table, fresh: clips.Freshener) -> None:
    videos = clips.many(COUNT)
    indices = {path: uniform(clips.facts(path).frames, FRAMES) for path in videos}
    context = multiprocessing.get_context("spawn")
    settings = {
        f"TorchCodec 1 {mode}, a process per core": partial(peers.torchcodec, threads=1, mode=mode)
        for mode in ("approximate", "exact")
    }
    walls: dict[str, list[float]] = {"lmms": [], **{name: [] for name in settings}}
    cpus: dict[str, list[float]] = {name: [] for name in walls}
    first = (videos[0], indices[videos[0]])
    with (
        ThreadPoolExecutor(peers.CORES) as threads,
        ProcessPoolExecutor(peers.CORES, mp_context=context) as processes,
    ):
        with context.Manager() as manager:
            barrier = manager.Barrier(peers.CORES)
            for reader in settings.values():
                waits = [
                    processes.submit(_ready, reader, first, barrier) for _ in range(peers.CORES)
                ]
                for wait in waits:
                    wait.result()
        _read(peers.lmms, first)
        pools: dict[str, tuple[Any, Executor]] = {"lmms": (peers.lmms, threads)}
        pools |= {name: (reader, processes) for name, reader in settings.items()}
        for number in range(allowed(ROUNDS)):
            for name in list(pools)[number % 3 :] + list(pools)[: number % 3]:
                wall, cpu = _round(*pools[name], indices, fresh, in_process=name == "lmms")
                walls[name].append(wall)
                cpus[name].append(cpu)
    _row(table, walls, cpus)


def _round(
    reader: Any,
    pool: Executor,
    indices: dict[Path, list[int]],
    fresh: clips.Freshener,
    *,
    in_process: bool,
) -> tuple[float, float]:
    work = [(fresh(path), wanted) for path, wanted in indices.items()]
    wall, cpu = time.perf_counter(), time.process_time()
    done = list(pool.map(partial(_read, reader), work))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert sum(frames for frames, _ in done) == COUNT * FRAMES
    fresh.clear()
    return wall, cpu if in_process else sum(seconds for _, seconds in done)


def _row(table: Table, walls: dict[str, list[float]], cpus: dict[str, list[float]]) -> None:
    rate = {n: COUNT * FRAMES / statistics.median(v) for n, v in walls.items()}
    cpu = {n: statistics.median(v) for n, v in cpus.items()}
    best = max((n for n in rate if n != "lmms"), key=rate.__getitem__)
    table.add(
        Row(
            f"{COUNT} different videos, 8 frames each, 55 s 360p, all cores, frames/s [CPU s]",
            f"{rate['lmms']:.0f} [{cpu['lmms']:.1f}]",
            "; ".join(f"{n} {rate[n]:.0f} [{cpu[n]:.1f}]" for n in rate if n != "lmms"),
            (
                Goal("TorchCodec", rate["lmms"] / rate[best], 1.2),
                Goal("CPU", cpu[best] / cpu["lmms"], None),
            ),
            record={"wall_seconds": walls, "cpu_seconds": cpus},
        )
    )
