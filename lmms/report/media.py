"""What the media work of a run was, and what was saved by what had been decoded before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmms.report.wording import counted, duration
from lmms.types import RunResult

if TYPE_CHECKING:
    from lmms.config.schema import MediaConfig


def media_facts(config: MediaConfig, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the section `media` of `results.json`; empty if the run loaded no media.

    Args:
        config: How media work was run.
        figures: Times and counts of the whole run, over all sittings.
    """
    decoded = int(figures.get("media_loads", 0))
    cached = int(figures.get("media_cache_hits", 0))
    stored = int(figures.get("media_store_hits", 0))
    failed = int(figures.get("media_failures", 0))
    if not decoded + cached + stored + failed:
        return {}
    looked_up = stored + int(figures.get("media_store_misses", 0))
    return {
        "loaded": decoded + cached + stored,
        "decoded": decoded,
        "failed": failed,
        "frames_decoded": int(figures.get("frames_decoded", 0)),
        "decoded_bytes": int(figures.get("decoded_bytes", 0)),
        "decode_seconds": float(figures.get("decode_seconds", 0.0)),
        "cache": {"hits": cached, "hit_rate": _rate(cached, decoded + cached + stored)},
        "frame_store": {
            "hits": stored,
            "hit_rate": _rate(stored, looked_up),
            "bytes_read": int(figures.get("media_store_bytes", 0)),
        }
        if config.frame_store
        else None,
        "isolation": {
            "mode": config.isolation,
            "decoded_in_workers": int(figures.get("media_isolated", 0)),
            "workers_lost": int(figures.get("media_workers_lost", 0)),
        },
    }


def media_lines(run: RunResult) -> list[str]:
    """Returns sentences about the media work of a run; none if it loaded no media."""
    facts = run.raw.get("media") or {}
    if not facts:
        return []
    lines = [
        f"{facts['loaded']:,} media loaded: "
        f"{facts['decoded']:,} decoded ({counted(facts['frames_decoded'], 'frame')}, "
        f"{duration(facts['decode_seconds'])} over all threads), "
        f"{facts['cache']['hits']:,} from memory ({_share(facts['cache']['hit_rate'])})"
        + (f", {facts['failed']:,} could not be loaded" if facts["failed"] else "")
    ]
    store = facts["frame_store"]
    if store:
        lines.append(
            f"frame store: {store['hits']:,} found there of what was not in memory "
            f"({_share(store['hit_rate'])}, {store['bytes_read'] / 2**20:,.1f} MiB)"
        )
    isolation = facts["isolation"]
    line = f"isolation {isolation['mode']}: {isolation['decoded_in_workers']:,} in worker processes"
    if isolation["workers_lost"]:
        line += f", {isolation['workers_lost']:,} of them ended by what they decoded"
    return [*lines, line]


def media_line(run: RunResult) -> str:
    """Returns the media work of a run in one line; empty if it loaded no media."""
    facts = run.raw.get("media") or {}
    if not facts:
        return ""
    parts = [f"{facts['decoded']:,} decoded", f"{facts['cache']['hits']:,} from memory"]
    if facts["frame_store"]:
        parts.append(f"{facts['frame_store']['hits']:,} from the frame store")
    if facts["failed"]:
        parts.append(f"{facts['failed']:,} could not be loaded")
    return f"{facts['loaded']:,} loaded: {', '.join(parts)}"


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _share(rate: float | None) -> str:
    return "none asked for" if rate is None else f"{rate:.0%}"
