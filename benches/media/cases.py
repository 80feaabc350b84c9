"""A decode case: check that all give the same frames, find TorchCodec's best setting, race."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benches.media import clips, peers
from benches.media.table import Goal, Row, Table, milliseconds
from benches.media.timing import Contestant, Timing, fastest, race

#: The most that another conversion from YUV may differ on average, in steps of 255.
SAME_PICTURE = 2.0
#: Frames of a long answer that are compared.
_COMPARED = 32
#: A TorchCodec call that takes longer is calibrated by one round after the warm-up, not two.
_SLOW_SECONDS = 1.0
OTHERS = ("hand-split", "SPDL", "decord", "OpenCV", "PyAV")
_SETTINGS: dict[str, Callable[[Path, Sequence[int]], Any]] = {
    f"TorchCodec {threads} {mode}": partial(peers.torchcodec, threads=threads, mode=mode)
    for threads, mode in peers.TORCHCODEC_SETTINGS
}
_CALIBRATED: dict[tuple[Path, tuple[int, ...]], list[str]] = {}


@dataclass(frozen=True, slots=True)
class Case:
    """Frames of one clip, and what must be beaten by how much."""

    name: str
    path: Path
    indices: Sequence[int]
    goals: Mapping[str, float]
    """Opponent -> least ratio of its wall time to ours."""
    others: Sequence[str] = OTHERS
    rounds: int = 5
    own_rounds: Mapping[str, int] = field(default_factory=dict)
    """Rounds of the opponents that take too long for the usual number."""


def uniform(total: int, count: int) -> list[int]:
    """The evenly spread positions that every peer's users ask for."""
    import numpy as np

    return [int(i) for i in np.linspace(0, total - 1, count).astype(int)]


def run_case(case: Case, table: Table, fresh: clips.Freshener) -> dict[str, Timing]:
    """Checks, calibrates, races and writes the row; returns all timings."""
    notes: list[str] = []
    able = [name for name in case.others if _able(name, case, notes)]
    settings: dict[str, Callable[[Path, Sequence[int]], Any]] = {}
    if peers.missing("TorchCodec"):
        notes.append("TorchCodec: not installed")
    else:
        settings = calibrated(case, fresh)
    readers = {"lmms": peers.lmms} | settings | {name: peers.READERS[name] for name in able}
    contestants = [
        Contestant(name, cold(reader, case, fresh), rounds=case.own_rounds.get(name))
        for name, reader in readers.items()
    ]
    timings = race(contestants, rounds=case.rounds)
    fresh.clear()
    write_row(case, timings, list(settings), notes, table)
    return timings


def cold(
    reader: Callable[[Path, Sequence[int]], Any], case: Case, fresh: clips.Freshener
) -> Callable[[], Callable[[], Any]]:
    """Every call sees a file of a new name, made outside the clock."""
    return lambda: partial(reader, fresh(case.path), case.indices)


def calibrated(
    case: Case, fresh: clips.Freshener
) -> dict[str, Callable[[Path, Sequence[int]], Any]]:
    """TorchCodec's two best settings for these frames, by a race of all six; remembered."""
    key = (case.path, tuple(case.indices))
    if key not in _CALIBRATED:
        seconds = check(case)
        contestants = [
            Contestant(name, cold(reader, case, fresh)) for name, reader in _SETTINGS.items()
        ]
        timings = race(contestants, rounds=1 if seconds > _SLOW_SECONDS else 2)
        fresh.clear()
        _CALIBRATED[key] = sorted(_SETTINGS, key=lambda name: timings[name].best)[:2]
    return {name: _SETTINGS[name] for name in _CALIBRATED[key]}


def check(case: Case) -> float:
    """TorchCodec on the same libavcodec must give the very same bytes, on another the same picture.

    Returns:
        Seconds that TorchCodec took.

    Raises:
        AssertionError: It does not.
    """
    import numpy as np

    step = max(1, len(case.indices) // _COMPARED)
    indices = list(case.indices)[::step]
    ours = peers.lmms(case.path, indices)
    start = time.perf_counter()
    theirs = peers.pixels(peers.torchcodec(case.path, indices, threads=1, mode="exact"))
    seconds = time.perf_counter() - start
    assert ours.shape == theirs.shape
    if peers.same_ffmpeg():
        assert np.array_equal(ours, theirs), f"{case.name}: other pixels than TorchCodec's"
    else:
        assert difference(ours, theirs) < SAME_PICTURE
    return seconds


def difference(ours: Any, theirs: Any) -> float:
    """Mean absolute difference, in steps of 255."""
    import numpy as np

    return float(np.abs(ours.astype(np.int16) - theirs).mean())


def _able(name: str, case: Case, notes: list[str]) -> bool:
    """Whether a peer is there and answers with the asked frames."""
    if peers.missing(name):
        notes.append(f"{name}: not installed")
        return False
    if name in case.own_rounds:  # too slow for another pass; it is checked on the short clips
        return True
    step = max(1, len(case.indices) // _COMPARED)
    indices = list(case.indices)[::step]
    try:
        with silence():
            theirs = peers.pixels(peers.READERS[name](case.path, indices))
    except Exception as error:  # noqa: BLE001 - peers raise what they like; the row says so
        notes.append(f"{name}: fails ({type(error).__name__})")
        return False
    ours = peers.lmms(case.path, indices)
    if theirs.shape == ours.shape and difference(ours, theirs) < SAME_PICTURE:
        return True
    notes.append(f"{name}: other frames than asked")
    return False


def write_row(
    case: Case, timings: Mapping[str, Timing], settings: list[str], notes: list[str], table: Table
) -> None:
    """One row: ours, every peer, TorchCodec by its best setting."""
    ours = timings["lmms"]
    shown = {name: timing for name, timing in timings.items() if name not in (*settings, "lmms")}
    if settings:
        best = fastest({name: timings[name] for name in settings})
        shown = {best: timings[best]} | shown
    ratios = {name.split()[0]: timing.wall / ours.wall for name, timing in shown.items()}
    goals = [Goal(name, ratios.get(name), goal) for name, goal in case.goals.items()]
    goals += [Goal(name, value, None) for name, value in ratios.items() if name not in case.goals]
    theirs = [f"{name} {milliseconds(timing)}" for name, timing in shown.items()]
    record = {
        "clip": asdict(clips.facts(case.path)),
        "frames": len(case.indices),
        "timings": {name: timing.as_json() for name, timing in timings.items()},
    }
    table.add(
        Row(
            case.name,
            milliseconds(ours),
            "; ".join(theirs + notes),
            tuple(goals),
            notes="; ".join(notes),
            record=record,
        )
    )


@contextmanager
def silence() -> Any:
    """Libraries print to the file descriptor; a check need not."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
