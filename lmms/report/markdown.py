"""`report.md`: the numbers of a run, how to get them again, and what went wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lmms.report.adaptive import NOT_COMPARABLE, adaptive_lines
from lmms.report.digits import decimals_for, fixed
from lmms.report.groups import group_lines, groups_table
from lmms.report.media import media_lines
from lmms.report.repeats import REPEATS, repeats_table
from lmms.report.tables import render_table, rendered
from lmms.report.wording import (
    displayable,
    embedded_notice,
    failure_lines,
    reproduce_command,
    status_line,
    warning_lines,
)
from lmms.types import MetricResult, RunResult, TaskResult


def markdown_report(run: RunResult) -> str:
    """Returns the report of a run as Markdown (GitHub's dialect)."""
    return displayable("\n".join(_lines(run))).rstrip() + "\n"


def _lines(run: RunResult) -> Iterator[str]:
    yield f"# {escaped(run.model)}"
    yield ""
    yield escaped(status_line(run))
    notice = embedded_notice(run)
    if notice:
        yield from ("", f"> **Embedded run.** {escaped(notice)}")
    yield from ("", "## Results", "", render_table(run, "md"))
    yield from _groups(run)
    adaptive = adaptive_lines(run)
    if adaptive:
        yield from ("", "## Ability", "", *(f"- {escaped(line)}" for line in adaptive))
        yield from ("", NOT_COMPARABLE)
    repeats = repeats_table(run)
    if repeats is not None:
        yield from ("", "### Repeated answers", "", rendered(repeats, "md"))
    for task in run.tasks.values():
        for metric in task.metrics:
            if metric.breakdown:
                yield from _breakdown(task, metric)
    problems = [*failure_lines(run), *warning_lines(run)]
    if problems:
        yield from ("", "## Failures and warnings", "")
        yield from (f"- {escaped(line)}" for line in problems)
    media = media_lines(run)
    if media:
        yield from ("", "## Media", "", *(f"- {escaped(line)}" for line in media))
    yield from ("", "## Reproduce", "", *_code(reproduce_command(run), "sh"))
    yield from ("", f"Plan fingerprint `{run.raw.get('plan_fingerprint', '')}`")


def _groups(run: RunResult) -> Iterator[str]:
    table, lines = groups_table(run), list(group_lines(run))
    if table is not None or lines:
        yield from ("", "### Groups", "")
    if table is not None:
        yield from (rendered(table, "md"), "")
    yield from (f"- {escaped(line)}" for line in lines)


def _breakdown(task: TaskResult, metric: MetricResult) -> Iterator[str]:
    rows = [
        (name, entry)
        for name, entry in metric.breakdown.items()
        if isinstance(entry, dict) and name != REPEATS
    ]
    if not rows:
        return
    yield from ("", f"### {escaped(task.label)}: {escaped(metric.name)} by category", "")
    yield from ("| Category | Value | n |", "| --- | ---: | ---: |")
    for name, entry in rows:
        value, n = entry.get("value"), entry.get("n")
        decimals = decimals_for(
            value, entry.get("stderr"), entry.get("ci_low"), entry.get("ci_high"), n=n
        )
        yield f"| {escaped(str(name))} | {fixed(value, decimals)} | {'–' if n is None else n} |"


def escaped(text: str) -> str:
    """Returns `text` so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _code(text: str, language: str) -> tuple[str, str, str]:
    ticks = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{ticks}{language}", text, ticks
