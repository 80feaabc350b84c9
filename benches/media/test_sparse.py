"""A few frames of a minute of film: the reading that evaluations do most."""

from __future__ import annotations

import pytest

from benches.media import clips
from benches.media.cases import Case, run_case, uniform
from benches.media.table import Table

GOALS = {
    (8, "720"): {"hand-split": 1.25, "TorchCodec": 1.7, "SPDL": 3.5, "PyAV": 8},
    (8, "360"): {"hand-split": 1.25, "TorchCodec": 1.9, "SPDL": 3.5, "PyAV": 8},
    (32, "720"): {"hand-split": 1.25, "TorchCodec": 1.7},
    (32, "360"): {"hand-split": 1.25, "TorchCodec": 2.0},
}


@pytest.mark.parametrize(("count", "lines"), GOALS)
def test_sparse(count: int, lines: str, table: Table, fresh: clips.Freshener) -> None:
    path = clips.encoded(f"film{lines}")
    indices = uniform(clips.facts(path).frames, count)
    name = f"{count} uniform frames, 55 s H.264, {lines}p, cold"
    few = {"SPDL": 3, "OpenCV": 3, "PyAV": 3} if (count, lines) == (32, "720") else {}
    run_case(Case(name, path, indices, GOALS[count, lines], own_rounds=few), table, fresh)
