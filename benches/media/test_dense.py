"""Many frames in a row: each side allocates its output; with `out=` in a row of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from benches.media import clips, peers
from benches.media.cases import Case, calibrated, cold, run_case, write_row
from benches.media.table import Table
from benches.media.timing import Contestant, race

CASES = {"300": ("film720", "dense, 300 frames, 720p"), "1650": ("film360", "dense, 1,650, 360p")}


def _case(key: str, suffix: str = "") -> Case:
    clip, name = CASES[key]
    path = clips.encoded(clip)
    first = 300 if key == "300" else 0
    others = ("hand-split", "decord") if key == "1650" else ("hand-split", "decord", "OpenCV")
    indices = range(first, first + int(key))
    slow = {"OpenCV": 2, "decord": 2}
    return Case(name + suffix, path, indices, {"TorchCodec": 1.2}, others, own_rounds=slow)


@pytest.mark.parametrize("key", CASES)
def test_dense(key: str, table: Table, fresh: clips.Freshener) -> None:
    run_case(_case(key), table, fresh)


@pytest.mark.parametrize("key", CASES)
def test_dense_into_a_buffer(key: str, table: Table, fresh: clips.Freshener) -> None:
    """Ours writes into an array of the caller's; the peers have nothing of the kind."""
    import numpy as np

    from lmms.media import probe, read_frames

    case = _case(key, ", into the caller's array (out=)")
    info = probe(case.path)
    buffer = np.zeros((len(case.indices), info.height, info.width, 3), np.uint8)

    def into(path: Any, indices: Any) -> Any:
        return read_frames(path, indices, out=buffer)

    readers: dict[str, Any] = {"lmms": into}
    settings = {} if peers.missing("TorchCodec") else calibrated(case, fresh)
    readers |= settings
    timings = race([Contestant(n, cold(r, case, fresh)) for n, r in readers.items()])
    write_row(case, timings, list(settings), [], table)


def test_dense_in_chunks(table: Table, fresh: clips.Freshener) -> None:
    """Going through a video 64 frames at a time, against the same with a TorchCodec decoder."""
    from lmms import media

    case = replace(_case("1650", ", in chunks of 64"), goals={})  # for memory, not for speed

    def ours(path: Any, indices: Any) -> int:
        return sum(len(part.frames) for part in media.iter_frames(path, chunk=64))

    def theirs(path: Any, indices: Any, threads: int) -> int:
        decoder = peers.torchcodec_decoder(path, threads, "exact")
        parts = (decoder.get_frames_in_range(i, min(i + 64, len(indices))).data
                 for i in range(0, len(indices), 64))  # fmt: skip
        return sum(len(part) for part in parts)

    readers: dict[str, Any] = {"lmms": ours}
    if not peers.missing("TorchCodec"):
        readers |= {f"TorchCodec {n} exact": partial(theirs, threads=n) for n in (1, 2, 0)}
    assert {reader(case.path, case.indices) for reader in readers.values()} == {len(case.indices)}
    timings = race([Contestant(n, cold(r, case, fresh)) for n, r in readers.items()])
    write_row(case, timings, [n for n in readers if n != "lmms"], [], table)
