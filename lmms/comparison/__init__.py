"""Two runs beside each other: pairing, tests, gates.

    compare_runs   pairs the samples of two runs by document and tests every difference
    open_side      what was given as one side: a run of ours, or samples of another harness

`wording` makes tables and sentences of a `Comparison`, `document` JSON, `page` HTML; `pilot` is
what `lmms power` measures from two runs.
"""

from __future__ import annotations

from lmms.comparison.compare import (
    Comparison,
    ComparisonOptions,
    TaskComparison,
    compare_runs,
)
from lmms.comparison.effects import MetricComparison
from lmms.comparison.gates import Gate, GateVerdict, parse_gate
from lmms.comparison.sides import Side, open_side

__all__ = [
    "Comparison",
    "ComparisonOptions",
    "Gate",
    "GateVerdict",
    "MetricComparison",
    "Side",
    "TaskComparison",
    "compare_runs",
    "open_side",
    "parse_gate",
]
