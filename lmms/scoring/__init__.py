"""Scoring: reasoning removal, filters, extraction, metrics and their aggregation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmms.scoring.aggregations import AGGREGATIONS, Aggregator
    from lmms.scoring.inputs import SCORERS, ScoringInput
    from lmms.scoring.scorer import TaskScorer, make_scorer, metric_warnings

__all__ = [
    "AGGREGATIONS",
    "SCORERS",
    "Aggregator",
    "ScoringInput",
    "TaskScorer",
    "make_scorer",
    "metric_warnings",
]

_HOMES = {
    "AGGREGATIONS": "lmms.scoring.aggregations",
    "Aggregator": "lmms.scoring.aggregations",
    "SCORERS": "lmms.scoring.inputs",
    "ScoringInput": "lmms.scoring.inputs",
    "TaskScorer": "lmms.scoring.scorer",
    "make_scorer": "lmms.scoring.scorer",
    "metric_warnings": "lmms.scoring.scorer",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lmms.scoring' has no attribute {name!r}")
