"""The rows that LMMs-Eval's notes of version 0.7 print, for their readers.

Theirs are ratios to PyAV on one clip of 55 s, with TorchCodec's threads set by hand: 8, 16 and 32
frames, one frame a second, and (nearly) all frames.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from benches.media import clips, peers
from benches.media.cases import Case, check, cold, uniform
from benches.media.table import Goal, Row, Table, milliseconds
from benches.media.timing import Contestant, fastest, race

THREADS = (0, 1, 2, 4, 8)
CASES = {"8 frames": 8, "16 frames": 16, "32 frames": 32, "fps=1": 55, "dense": 1650}

pytestmark = pytest.mark.skipif(
    peers.missing("TorchCodec") or peers.missing("PyAV"), reason="torchcodec and av are needed"
)


@pytest.mark.parametrize("name", CASES)
def test_notes(name: str, table: Table, fresh: clips.Freshener) -> None:
    path = clips.encoded("film360")
    indices = uniform(clips.facts(path).frames, CASES[name])
    case = Case(f"v0.7 notes: {name}, 55 s 360p", path, indices, {})
    check(case)
    readers: dict[str, Any] = {"lmms": peers.lmms, "PyAV": peers.pyav}
    settings = {
        f"TorchCodec {threads}": partial(peers.torchcodec, threads=threads, mode="exact")
        for threads in THREADS
    }
    contestants = [Contestant(n, cold(r, case, fresh)) for n, r in (readers | settings).items()]
    timings = race(contestants, rounds=3)
    best = fastest({key: timings[key] for key in settings})
    ours, pyav = timings["lmms"].wall, timings["PyAV"].wall
    record = {key: timing.as_json() for key, timing in timings.items()}
    speeds = {key: round(pyav / timing.wall, 2) for key, timing in timings.items()}
    table.add(
        Row(
            case.name,
            f"{milliseconds(timings['lmms'])}, {pyav / ours:.2f} × PyAV",
            f"PyAV {milliseconds(timings['PyAV'])}; "
            + "; ".join(f"{k} {milliseconds(timings[k])}, {speeds[k]:.2f} ×" for k in settings),
            (Goal("PyAV", pyav / ours, None), Goal(best, timings[best].wall / ours, None)),
            record={"timings": record, "times_pyav": speeds},
        )
    )
