"""Where the time went, for the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from lmms.report.plots import Segment, bar
from lmms.report.wording import duration
from lmms.types import RunResult

# Field of `TaskResult.efficiency` -> (what it is called, how it is written).
_FACTS: Mapping[str, tuple[str, str]] = {
    "requests": ("requests", "count"),
    "requests_reused": ("answers reused", "count"),
    "requests_failed": ("attempts without an answer", "count"),
    "samples_per_second": ("samples per second", "rate"),
    "tokens_in": ("tokens in", "count"),
    "tokens_out": ("tokens out", "count"),
    "tokens_reasoning": ("of these reasoning", "count"),
    "ttft_seconds_median": ("time to first token, median", "short"),
    "tpot_seconds_median": ("time per output token, median", "short"),
    "frames_seen": ("frames seen", "count"),
    "frames_decoded": ("frames decoded", "count"),
    "media_cache_hits": ("clips and pictures reused", "count"),
    "decode_seconds": ("decoding, all threads", "seconds"),
    "scoring_seconds": ("scoring, all threads", "seconds"),
}


@dataclass(frozen=True, slots=True)
class TimeView:
    """The time of a task or of the whole run."""

    label: str
    wall: str
    bar: Markup
    parts: tuple[tuple[str, str, str], ...]
    """Class of the style sheet, name, seconds with their share."""
    facts: tuple[tuple[str, str], ...]


def efficiency_view(run: RunResult) -> list[TimeView]:
    """Returns a view per task with known times; the whole run first if it has several tasks."""
    entries = [(task.label, task.efficiency) for task in run.tasks.values()]
    overall = run.raw.get("efficiency", {}).get("overall", {})
    if overall and len(entries) != 1:
        entries.insert(0, ("whole run", overall))
    return [_view(label, known) for label, known in entries if _number(known, "wall_seconds")]


def _view(label: str, known: Mapping[str, Any]) -> TimeView:
    wall = _number(known, "wall_seconds") or 0.0
    pieces = list(_pieces(known, wall))
    title = f"where the time of {label} went"
    segments = [
        Segment(f"t-{key}", seconds, f"{name}: {seconds:.1f} s") for key, name, seconds in pieces
    ]
    return TimeView(
        label=label,
        wall=duration(wall),
        bar=Markup(bar(segments, title=title)),
        parts=tuple(
            (key, name, f"{duration(seconds)} · {seconds / wall:.0%}")
            for key, name, seconds in pieces
        ),
        facts=tuple(_facts(known)),
    )


def _pieces(known: Mapping[str, Any], wall: float) -> Iterator[tuple[str, str, float]]:
    """Splits the wall time by what it was waited for; scoring runs beside the model."""
    left = wall
    for key, field, name in (
        ("model", "model_seconds", "model"),
        ("media", "media_wait_seconds", "waiting for media"),
    ):
        seconds = min(_number(known, field) or 0.0, left)
        if seconds > 0:
            left -= seconds
            yield key, name, seconds
    if left > 0:
        yield "rest", "start, scoring, writing", left


def _facts(known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field, (name, style) in _FACTS.items():
        value = _number(known, field)
        if not value:
            continue
        if style == "count":
            yield name, f"{value:,.0f}"
        elif style == "rate":
            yield name, f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
        elif style == "seconds":
            yield name, duration(value)
        else:
            yield name, f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"


def _number(known: Mapping[str, Any], field: str) -> float | None:
    value = known.get(field)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
