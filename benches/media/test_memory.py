"""Peak memory of one call in a process of its own, above what stood before the call."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benches.media import children, clips, peers
from benches.media.table import Goal, Row, Table

ALLOWED = 100.0
CASES = {
    "one hour 360p, 8 frames": (clips.one_hour, 8),
    "one hour 360p, 32 frames": (clips.one_hour, 32),
    "55 s 720p, 32 frames": (lambda: clips.encoded("film720"), 32),
}


def _growth(reader: str, path: Path, count: int) -> tuple[float, float, float]:
    """Megabytes: growth of the peak less the output, the output, the peak of the process."""
    small, total = clips.encoded("film360"), clips.facts(path).frames
    words = [sys.executable, "-m", "benches.media.peak", reader, small, path, str(count)]
    growth, output, peak = children.answer([*words, str(total)])
    return (growth - output) / 1e6, output / 1e6, peak / 1e6


@pytest.mark.parametrize("case", CASES)
def test_peak(case: str, table: Table) -> None:
    clip, count = CASES[case]
    ours, output, peak = _growth("lmms", clip(), count)
    shown, record = [], {"lmms": [ours, output, peak]}
    for name in ("TorchCodec", "decord"):
        if peers.missing(name):
            shown.append(f"{name}: not installed")
            continue
        found = _growth(name, clip(), count)
        record[name] = list(found)
        shown.append(f"{name} +{found[0]:.0f} (process {found[2]:.0f})")
    table.add(
        Row(
            f"peak memory beyond the output of {output:.0f} MB, {case}, MB",
            f"+{ours:.0f} (process {peak:.0f})",
            "; ".join(shown),
            (Goal("beyond the output", round(ours, 1), ALLOWED, at_most=True, unit="MB"),),
            record={"megabytes_beyond_output_peak": record},
        )
    )
