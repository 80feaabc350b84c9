"""What a run of the benches found: rows of one table, and the same as JSON with the machine."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches.media import peers
from benches.media.timing import Timing

OUT = Path(__file__).resolve().parents[1] / "out"


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure of a case and where it should lie."""

    label: str
    value: float | None
    """None: not measured."""
    goal: float | None
    """None: reported, without a goal."""
    at_most: bool = False
    """Whether less is better."""
    unit: str = "×"

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without figure or goal."""
        if self.value is None or self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


@dataclass(frozen=True, slots=True)
class Row:
    """One case."""

    case: str
    ours: str
    theirs: str
    goals: tuple[Goal, ...]
    notes: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)

    def markdown(self) -> str:
        """As a line of the table."""
        found = "; ".join(f"{g.label} {_figure(g)}".strip() for g in self.goals)
        goals = "; ".join(_goal(g) for g in self.goals)
        met = "; ".join({None: "–", True: "yes", False: "**no**"}[g.met] for g in self.goals)
        cells = (self.case, self.ours, self.theirs, found, goals, met)
        return "| " + " | ".join(cells) + " |"

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        goals = [
            {"label": g.label, "value": g.value, "goal": g.goal, "at_most": g.at_most, "met": g.met}
            for g in self.goals
        ]
        return {"case": self.case, "goals": goals, "notes": self.notes, **self.record}


HEADER = "| case | lmms | peers | ratio | goal | met |\n| --- | --- | --- | --- | --- | --- |"


def _figure(goal: Goal) -> str:
    return "not measured" if goal.value is None else f"{goal.value:.2f} {goal.unit}".strip()


def _goal(goal: Goal) -> str:
    if goal.goal is None:
        return "–"
    return f"{'≤' if goal.at_most else '≥'} {goal.goal:g} {goal.unit}".strip()


def milliseconds(timing: Timing) -> str:
    """`wall [CPU]`, median milliseconds."""
    digits = 1 if timing.wall < 20 else 0
    return f"{timing.wall:.{digits}f} [{timing.cpu:.{digits}f}]"


def machine() -> dict[str, Any]:
    """What the figures belong to."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cores": peers.CORES,
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libavcodec": _libavcodec(),
        "torchcodec_uses_the_same_ffmpeg": peers.same_ffmpeg(),
        "versions": peers.versions(),
    }


def load() -> float:
    """The one-minute load average."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _libavcodec() -> str:
    from lmms import _media

    return str(_media.ffmpeg_version())


class Table:
    """Rows of a run in the order in which they were found, each written down at once."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.missed: list[str] = []
        self._file = OUT / "media.jsonl"

    def add(self, row: Row) -> None:
        """Prints a row and appends it to benches/out/media.jsonl."""
        self.rows.append(row)
        line = row.as_json() | {"load": load(), "machine": machine()}
        OUT.mkdir(exist_ok=True)
        with self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"\n{row.markdown()}", flush=True)
        self.missed += [f"{row.case}: {g.label}" for g in row.goals if g.met is False]

    def markdown(self) -> str:
        """The whole table."""
        return "\n".join([HEADER, *(row.markdown() for row in self.rows)])
