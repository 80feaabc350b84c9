"""Result tables: for the terminal, Markdown, LaTeX, CSV and JSON.

Columns and arrows are as users of lm-evaluation-harness know them, with the interval and the
counts that it lacks. Tables for people never show more digits than the standard error supports
(`lmms.report.digits`); CSV and JSON keep full precision.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from lmms.errors import ConfigError, nearest
from lmms.report.digits import decimals_for, fixed
from lmms.report.jsonable import dumps
from lmms.report.settings import setting, setting_text, varying_settings
from lmms.report.terminal import terminal_table
from lmms.types import MetricResult, RunResult, TaskResult

TableFormat: TypeAlias = Literal["table", "md", "csv", "json", "latex"]
FORMATS: tuple[TableFormat, ...] = ("table", "md", "csv", "json", "latex")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table for people."""

    title: str
    right: bool = False
    """Aligned to the right, as numbers are."""
    keep: bool = False
    """Shown in every row; otherwise left blank where the row above says the same."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table for people (`cells`) with the records that machines get instead."""

    columns: tuple[Column, ...]
    cells: tuple[tuple[str, ...], ...]
    records: tuple[Mapping[str, Any], ...]


def render_table(
    result: RunResult,
    format: TableFormat = "table",
    *,
    color: bool | None = None,
    width: int | None = None,
) -> str:
    """Returns the numbers of a run as a table, without a line break at the end.

    Args:
        result: The run.
        format: `table` (terminal), `md`, `latex`, `csv` or `json`; the last two are for machines
            and keep full precision.
        color: For `table`: rich borders and colours; None: if standard output is a terminal and
            `NO_COLOR` is not set.
        width: For `table` in colour: columns of the terminal; None: asked from it.

    Raises:
        ConfigError: There is no such format.
    """
    return rendered(result_table(result), format, color=color, width=width)


def render_summary(
    results: Sequence[RunResult],
    format: TableFormat = "table",
    *,
    color: bool | None = None,
    width: int | None = None,
) -> str:
    """Returns one table over several runs: a row per task, metric and run.

    Settings that differ between the runs get a column each, so that a sweep reads as such.

    Args:
        results: The runs, in the order in which their rows appear below each task.
        format: As for `render_table`.
        color: As for `render_table`.
        width: As for `render_table`.

    Raises:
        ConfigError: There is no such format.
    """
    return rendered(summary_table(results), format, color=color, width=width)


def result_table(result: RunResult) -> Table:
    """Returns the table of one run, as data."""
    confidence = _confidence([result])
    columns = (
        Column("Tasks"),
        Column("Version", right=True),
        Column("Filter"),
        Column("n-shot", right=True),
        Column("Metric", keep=True),
        Column("", keep=True),
        Column("Value", right=True, keep=True),
        Column("±", right=True, keep=True),
        Column(f"{confidence} CI", keep=True),
        Column("n", right=True, keep=True),
        Column("unparsed", right=True, keep=True),
        Column("failed", right=True, keep=True),
    )
    cells, records = [], []
    for task in result.tasks.values():
        for metric in task.metrics:
            head = (task.label, task.version, metric.filter, str(task.num_fewshot), metric.name)
            cells.append(head + _numbers(metric))
            records.append(metric_record(result, task, metric))
    return Table(columns, tuple(blank_repeats(columns, cells)), tuple(records))


def summary_table(results: Sequence[RunResult]) -> Table:
    """Returns the table over several runs, as data."""
    settings = varying_settings(results)
    columns = (
        Column("Tasks"),
        Column("Metric"),
        Column("Model", keep=True),
        *(Column(name, keep=True) for name in settings),
        Column("", keep=True),
        Column("Value", right=True, keep=True),
        Column("±", right=True, keep=True),
        Column(f"{_confidence(results)} CI", keep=True),
        Column("n", right=True, keep=True),
        Column("unparsed", right=True, keep=True),
        Column("failed", right=True, keep=True),
        Column("Run", keep=True),
    )
    rows: list[tuple[tuple[int, int, int], tuple[str, ...], Mapping[str, Any]]] = []
    tasks: dict[str, int] = {}
    metrics: dict[tuple[str, str], int] = {}
    for position, result in enumerate(results):
        for task in result.tasks.values():
            for metric in task.metrics:
                name = metric.name if metric.filter == "none" else f"{metric.name},{metric.filter}"
                values = {key: setting(result, key) for key in settings}
                head = (task.label, name, result.model, *map(setting_text, values.values()))
                order = (
                    tasks.setdefault(task.label, len(tasks)),
                    metrics.setdefault((task.label, name), len(metrics)),
                    position,
                )
                record = metric_record(result, task, metric) | {"settings": values}
                rows.append((order, (*head, *_numbers(metric), result.status), record))
    rows.sort(key=lambda row: row[0])
    cells = blank_repeats(columns, [row[1] for row in rows])
    return Table(columns, tuple(cells), tuple(row[2] for row in rows))


def metric_record(result: RunResult, task: TaskResult, metric: MetricResult) -> dict[str, Any]:
    """Returns one metric with everything that identifies it, at full precision."""
    return {
        "run": result.raw.get("run_id", result.path),
        "status": result.status,
        "model": result.model,
        "task": task.label,
        "version": task.version,
        "filter": metric.filter,
        "n_shot": task.num_fewshot,
        "metric": metric.name,
        "higher_is_better": metric.higher_is_better,
        "value": metric.value,
        "stderr": metric.stderr,
        "ci_low": metric.ci_low,
        "ci_high": metric.ci_high,
        "confidence": metric.confidence,
        "interval_method": metric.interval_method,
        "n": metric.n,
        "n_unparsed": metric.n_unparsed,
        "n_failed": metric.n_failed,
    }


def _confidence(results: Iterable[RunResult]) -> str:
    levels = {m.confidence for r in results for t in r.tasks.values() for m in t.metrics} or {0.95}
    return "/".join(f"{level * 100:g} %" for level in sorted(levels))


def metric_cells(metric: MetricResult) -> tuple[str, str, str]:
    """Returns value, standard error and interval as text, to the digits that are supported."""
    decimals = decimals_for(metric.value, metric.stderr, metric.ci_low, metric.ci_high, n=metric.n)
    value, stderr = fixed(metric.value, decimals), fixed(metric.stderr, decimals)
    if metric.ci_low is None or metric.ci_high is None:
        return value, stderr, "–"
    interval = f"[{fixed(metric.ci_low, decimals)}, {fixed(metric.ci_high, decimals)}]"
    return value, stderr, interval


def _numbers(metric: MetricResult) -> tuple[str, ...]:
    counts = (str(metric.n), str(metric.n_unparsed), str(metric.n_failed))
    return ("↑" if metric.higher_is_better else "↓", *metric_cells(metric), *counts)


def blank_repeats(
    columns: Sequence[Column], rows: Sequence[tuple[str, ...]]
) -> Iterable[tuple[str, ...]]:
    """Leaves leading cells blank that say what the row above says, as the harnesses do."""
    previous: tuple[str, ...] = ()
    for row in rows:
        shown = list(row)
        for i, column in enumerate(columns):
            if column.keep or not previous or previous[i] != row[i]:
                break
            shown[i] = ""
        yield tuple(shown)
        previous = row


def rendered(
    table: Table, format: str, *, color: bool | None = None, width: int | None = None
) -> str:
    """Returns any table in one of `FORMATS`; arguments and errors as for `render_table`."""
    if format == "table":
        return terminal_table(table, color=color, width=width)
    if format not in _RENDERERS:
        raise ConfigError(
            f"unknown table format {format!r}",
            allowed=list(FORMATS),
            suggestions=nearest(format, FORMATS),
        )
    return _RENDERERS[format](table)


def _markdown(table: Table) -> str:
    titles = [c.title for c in table.columns]
    rules = ["---:" if c.right else "---" for c in table.columns]
    rows = [titles, rules, *table.cells]
    return "\n".join("| " + " | ".join(map(_markdown_cell, row)) + " |" for row in rows)


def _markdown_cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


_LATEX_ESCAPES = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    | {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "–": "--", "\n": " "}
)


def _latex(table: Table) -> str:
    """A `tabular` for the booktabs package."""
    spec = "".join("r" if c.right else "l" for c in table.columns)
    rows = [
        " & ".join(cell.translate(_LATEX_ESCAPES) for cell in row) + r" \\"
        for row in ([c.title for c in table.columns], *table.cells)
    ]
    head = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", rows[0], r"\midrule"]
    return "\n".join([*head, *rows[1:], r"\bottomrule", r"\end{tabular}"])


def _csv(table: Table) -> str:
    records = [_flat_record(record) for record in table.records]
    names = list({name: None for record in records for name in record})
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue().rstrip("\n")


def _flat_record(record: Mapping[str, Any]) -> dict[str, Any]:
    flat = {k: v for k, v in record.items() if k != "settings"}
    settings: Mapping[str, Any] = record.get("settings", {})
    return flat | {k: v if isinstance(v, str) else dumps(v) for k, v in settings.items()}


def _json(table: Table) -> str:
    return dumps(list(table.records), indent=2)


_RENDERERS: dict[str, Callable[[Table], str]] = {
    "md": _markdown,
    "latex": _latex,
    "csv": _csv,
    "json": _json,
}
