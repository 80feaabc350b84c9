"""A comparison as one JSON document, with all digits and all flipped samples."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lmms.comparison.compare import Comparison, TaskComparison
from lmms.comparison.effects import MetricComparison
from lmms.comparison.sides import Side
from lmms.comparison.verdicts import verdict
from lmms.comparison.wording import answer_text, problem_lines, repeated_answers
from lmms.report.jsonable import jsonable
from lmms.types import Sample

COMPARE_SCHEMA = "lmms-compare/1"


def comparison_document(comparison: Comparison, *, flips: int | None = None) -> dict[str, Any]:
    """Returns everything that a comparison found.

    Args:
        comparison: What was found.
        flips: Flipped samples per row and direction; None: all.

    Raises:
        DataError: A flipped sample cannot be read any more.
    """
    options = comparison.options
    document: dict[str, Any] = jsonable(
        {
            "schema": COMPARE_SCHEMA,
            "a": _side(comparison.a),
            "b": _side(comparison.b),
            "difference": "b - a",
            "confidence": options.confidence,
            "correction": options.correction,
            "tests": sum(row.p_value is not None for row in comparison.rows),
            "cluster": options.cluster,
            "pair_by": options.pair_by,
            "max_lost": options.max_lost,
            "results": [_row(row, options.max_lost) for row in comparison.rows],
            "pairs": {label: _pairs(task) for label, task in comparison.tasks.items()},
            "flips": [entry for row in comparison.rows for entry in _flips(comparison, row, flips)],
            "settings": [asdict(found) for found in comparison.settings],
            "warnings": list(problem_lines(comparison)),
            "gates": [asdict(gate) for gate in comparison.gates],
            "closed": comparison.closed,
        }
    )
    return document


def _side(side: Side) -> dict[str, Any]:
    return {
        "run": side.name,
        "path": side.path,
        "model": side.model,
        "status": side.status,
        "fingerprint": None if side.run is None else side.run.raw.get("plan_fingerprint"),
    }


def _row(row: MetricComparison, max_lost: float) -> dict[str, Any]:
    told = {"verdict": verdict(row, max_lost=max_lost), "warnings": list(row.warnings)}
    return asdict(row) | {"lost": row.lost} | told


def _pairs(task: TaskComparison) -> dict[str, Any]:
    pairing = task.pairing
    return {
        "pairs": task.pairs,
        "samples_a": task.samples_a,
        "samples_b": task.samples_b,
        "only_a": list(pairing.only_a),
        "only_b": list(pairing.only_b),
        "other_content": pairing.other_content,
        "failed": pairing.failed,
        "failed_a": pairing.failed_a,
        "failed_b": pairing.failed_b,
    }


def _flips(
    comparison: Comparison, row: MetricComparison, limit: int | None
) -> list[dict[str, Any]]:
    found = []
    for better in (False, True):
        for a, b in comparison.flipped(row, better=better, limit=limit):
            found.append(
                {
                    "task": row.task,
                    "metric": row.metric,
                    "direction": "better" if better else "worse",
                    "document_id": a.document_id,
                    "doc_hash": a.doc_hash,
                    "target": a.target,
                    "a": _answer(a, row.metric),
                    "b": _answer(b, row.metric),
                }
            )
    return found


def _answer(sample: Sample, metric: str) -> dict[str, Any]:
    score = sample.scores.get(metric)
    found = {
        "score": None if score is None else score.value,
        "status": sample.status if score is None else score.status,
        "answer": answer_text(sample, metric),
    }
    answers = repeated_answers(sample, metric)
    return found if answers is None else found | {"answers": answers}
