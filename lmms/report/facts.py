"""What the runner knows about how a run went, beyond its plan and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict


class RunFacts(TypedDict, total=False):
    """Facts that `write_run` takes. All optional; times are Unix seconds or ISO 8601 text."""

    status: Literal["running", "complete", "incomplete", "interrupted"]
    """Default: "complete" if no sample failed, else "incomplete"."""
    run_id: str
    """Name of this run; default: the folder's name."""
    manifest: str | None
    """Digest over the request digests of all tasks, in order."""
    start_time: float | str
    end_time: float | str
    seconds: float
    """Wall seconds of all sittings together; default: end less start."""
    efficiency: Mapping[str, Any]
    """Times and counts over the whole run; the per-task figures are in each `TaskResult`."""
    warnings: Sequence[str]
    """About the run as a whole (journal, network disk, dropped rows)."""
    environment: Mapping[str, Any]
    """Added to what is found out here, e.g. the name of the GPU."""
    resumed: int
    """How often the run was taken up again."""


def utc_text(moment: float | str | None) -> str | None:
    """Returns a moment as ISO 8601 text in UTC, to the second.

    Args:
        moment: Unix seconds, or ISO 8601 text (taken as UTC where it names no zone).
    """
    if moment is None:
        return None
    when = _moment(moment)
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_between(start: float | str | None, end: float | str | None) -> float | None:
    """Returns the seconds from `start` to `end`, or None if one of them is not known."""
    if start is None or end is None:
        return None
    return (_moment(end) - _moment(start)).total_seconds()


def _moment(moment: float | str) -> datetime:
    if isinstance(moment, int | float):
        return datetime.fromtimestamp(moment, UTC)
    when = datetime.fromisoformat(moment)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
