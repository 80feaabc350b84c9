from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lmms.report import load_run
from lmms.report.markdown import markdown_report
from lmms.report.page import html_report
from lmms.report.repeats import repeats_table
from lmms.report.tables import rendered
from lmms.types import RunResult

FOUND = {
    "questions": 8,
    "fewest": 4,
    "most": 4,
    "stability": {
        "expected_accuracy": 0.5,
        "consensus_accuracy": 0.5,
        "internal_variance": 0.09,
        "consistency_rate": 0.375,
    },
    "variance": {"questions": -0.01, "answers": 0.09, "means": 0.02},
    "pass_at": {
        k: {"value": v, "stderr": 0.1, "ci_low": 0.3, "ci_high": 1.0, "n": 8}
        for k, v in (("1", 0.5), ("2", 0.7), ("4", 0.875))
    },
    "pass_hat": {"4": {"value": 0.25, "stderr": 0.1, "ci_low": 0.0, "ci_high": 0.5, "n": 8}},
    "majority": None,
}


@pytest.fixture
def run(run_folder: Path) -> RunResult:
    loaded = load_run(run_folder)
    label, task = next(iter(loaded.tasks.items()))
    first = task.metrics[0]
    repeated = replace(first, breakdown={**first.breakdown, "repeats": FOUND})
    tasks = dict(loaded.tasks) | {label: replace(task, metrics=(repeated, *task.metrics[1:]))}
    return replace(loaded, tasks=tasks)


def test_a_row_per_metric_with_repeats(run: RunResult, run_folder: Path) -> None:
    assert repeats_table(load_run(run_folder)) is None
    table = repeats_table(run)
    assert table is not None
    (row,) = table.cells
    # No vote; pass@4 and pass^4; a spread of questions that cannot be told from none.
    assert row[1:] == ("lvb_acc", "4", "0.87", "–", "0.88", "0.25", "0.38", "0.300", "0.000")
    assert rendered(table, "md").count("|") > 20


def test_reports_show_repeats_apart_from_categories(run: RunResult) -> None:
    text = markdown_report(run)
    assert "### Repeated answers" in text
    assert "| repeats |" not in text
    page = html_report(run, {}, lambda label: lambda sample: None)  # type: ignore[arg-type, return-value]
    assert '<section id="repeats">' in page
    assert "pass^k" in page
