"""A comparison in tables and sentences, for the terminal and the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from lmms.comparison.compare import Comparison, TaskComparison
from lmms.comparison.effects import CORRECTIONS, MetricComparison
from lmms.comparison.settings import SettingDifference
from lmms.comparison.verdicts import verdict
from lmms.report.digits import decimals_for, fixed
from lmms.report.settings import setting_text
from lmms.report.tables import Column, Table
from lmms.report.wording import counted
from lmms.types import Sample

_SHOWN_IDS = 5
_NAMED = 3
"""Settings that a heading names."""
_NAMED_WIDTH = 40
_TINY = 1e-4
_KINDS = {"task": "", "model": "model ", "run": "", "version": "version of "}


def comparison_table(comparison: Comparison) -> Table:
    """Returns a row per task and metric; columns that say nothing of any row are left out."""
    rows = comparison.rows
    level = f"{comparison.options.confidence * 100:g} % CI"
    corrected = comparison.options.correction != "none"
    optional = {
        "p adj.": corrected and len(rows) > 1,
        "McNemar": any(_mcnemar(row) is not None for row in rows),
        "sign flip": any(row.sign_flip_p is not None for row in rows),
        "clusters": any(row.clusters is not None for row in rows),
        "deff": any(row.clusters is not None for row in rows),
    }
    columns = (
        Column("Tasks"),
        Column("Metric", keep=True),
        Column("", keep=True),
        Column("n", right=True, keep=True),
        Column("A", right=True, keep=True),
        Column("B", right=True, keep=True),
        Column("B − A", right=True, keep=True),
        Column(level, keep=True),
        Column("p", right=True, keep=True),
        Column("p adj.", right=True, keep=True),
        Column("better", right=True, keep=True),
        Column("worse", right=True, keep=True),
        Column("McNemar", right=True, keep=True),
        Column("sign flip", right=True, keep=True),
        Column("clusters", right=True, keep=True),
        Column("deff", right=True, keep=True),
    )
    kept = [i for i, c in enumerate(columns) if optional.get(c.title, True)]
    cells, previous = [], ""
    for row in rows:
        shown = "" if row.task == previous else row.shown
        whole = _cells(row, shown, max_lost=comparison.options.max_lost)
        cells.append(tuple(whole[i] for i in kept))
        previous = row.task
    return Table(tuple(columns[i] for i in kept), tuple(cells), ())


def _cells(row: MetricComparison, task: str, *, max_lost: float) -> tuple[str, ...]:
    decimals = decimals_of(row)
    interval = "–"
    if row.low is not None and row.high is not None:
        interval = f"[{signed(row.low, decimals)}, {signed(row.high, decimals)}]"
    return (
        task,
        row.metric,
        "↑" if row.higher_is_better else "↓",
        str(row.n) if row.lost_share <= max_lost else f"{row.n} of {row.n + row.lost}!",
        fixed(row.a, decimals),
        fixed(row.b, decimals),
        signed(row.difference, decimals),
        interval,
        p_text(row.p_value),
        p_text(row.p_adjusted),
        str(row.better),
        str(row.worse),
        p_text(_mcnemar(row)),
        p_text(row.sign_flip_p),
        "–" if row.clusters is None else str(row.clusters),
        fixed(row.design_effect, 2),
    )


def _mcnemar(row: MetricComparison) -> float | None:
    """The test takes samples as independent, so beside clusters it would mislead."""
    return row.mcnemar_p if row.clusters is None else None


def decimals_of(row: MetricComparison) -> int:
    """Returns the decimals that the standard error of the difference supports."""
    return decimals_for(row.difference, row.stderr, row.low, row.high, n=row.n)


def signed(value: float | None, decimals: int) -> str:
    """Returns a difference with its sign."""
    text = fixed(value, decimals)
    return f"+{text}" if value is not None and value > 0 and float(text) else text


def p_text(p: float | None) -> str:
    """Returns a p-value as people read it; the machine formats have all digits."""
    if p is None:
        return "–"
    return f"<{_TINY:.4f}" if p < _TINY else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def heading_lines(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Gives the lines above the table, as name and text."""
    for letter, role, side in (
        ("A", "baseline", comparison.a),
        ("B", "candidate", comparison.b),
    ):
        same = "" if side.model in side.name else f", {side.model}"
        yield f"{letter}, the {role}", f"{side.name}{same}"


def reading_line(comparison: Comparison) -> str:
    """Returns how to read the table."""
    tests = sum(row.p_value is not None for row in comparison.rows)
    by = CORRECTIONS[comparison.options.correction]
    adjusting = (
        f", adjusted over {counted(tests, 'test')} ({by}); intervals are not adjusted"
        if tests > 1 and by != "none"
        else ""
    )
    clustered = any(row.clusters is not None for row in comparison.rows)
    effect = (
        " sign flip: p by random signs of whole clusters, right however unequal they are."
        " deff: variance of the difference with clusters over that without."
    ) * clustered
    if any(_mcnemar(row) is not None for row in comparison.rows):
        effect = f" McNemar: exact p of these two counts.{effect}"
    return (
        "Differences are B − A over pairs of samples of the same document; p is two-sided"
        f"{adjusting}. better, worse: samples on which B scores better or worse than A.{effect}"
    )


def verdict_lines(comparison: Comparison) -> Iterator[str]:
    """Gives a sentence per row; of a single row without its name."""
    for row in comparison.rows:
        name = f"{row.shown}, {row.metric}: " if len(comparison.rows) > 1 else ""
        yield name + verdict(row, max_lost=comparison.options.max_lost)


def difference_line(comparison: Comparison) -> str | None:
    """Returns what tells the sides apart where both are one model; None where names do."""
    rows = setting_rows(comparison)
    if comparison.a.model != comparison.b.model or not rows:
        return None
    told = "; ".join(f"{name}: {_short(a)} in A, {_short(b)} in B" for name, a, b in rows[:_NAMED])
    return f"{told}; {len(rows) - _NAMED} more" if len(rows) > _NAMED else told


def _short(text: str) -> str:
    return text if len(text) <= _NAMED_WIDTH else f"{text[: _NAMED_WIDTH - 1]}…"


def problem_lines(comparison: Comparison, *, reasons: bool = True) -> Iterator[str]:
    """Gives what to know before the numbers are trusted.

    Args:
        comparison: What was found.
        reasons: Also why an interval or a difference is not available.
    """
    by_task: dict[str, list[SettingDifference]] = {}
    for found in comparison.settings:
        if found.kind == "definition" and found.task is not None:
            by_task.setdefault(found.task, []).append(found)
    for task, differences in by_task.items():
        what = ", ".join(f"{d.name} {setting_text(d.a)} / {setting_text(d.b)}" for d in differences)
        yield f"{task}: the task's definition differs ({what}): scores are made by other rules"
    for compared in comparison.tasks.values():
        yield from _dropped(compared)
    for row in comparison.rows:
        if row.reason is not None and reasons:
            what = "the difference is" if row.difference is None else "interval and p are"
            yield f"{row.task}, {row.metric}: {what} not available: {row.reason}"
        yield from (f"{row.task}, {row.metric}: {text}" for text in row.warnings)
    yield from comparison.notes


def _dropped(task: TaskComparison) -> Iterator[str]:
    pairing = task.pairing
    for letter, ids in (("A", pairing.only_a), ("B", pairing.only_b)):
        if ids:
            more = ", …" if len(ids) > _SHOWN_IDS else ""
            listed = ", ".join(ids[:_SHOWN_IDS]) + more
            left_out = f"left out {counted(len(ids), 'document')} only in {letter}"
            yield f"{task.label}: {left_out}: {listed}"
    if pairing.other_content:
        yield (
            f"{task.label}: of {counted(pairing.other_content, 'pair')} by id the documents' "
            "digests differ: other contents, or digests of another tool"
        )
    if pairing.failed:
        yield (
            f"{task.label}: left out {counted(pairing.failed, 'pair')} with a failed sample "
            f"({pairing.failed_a} in A, {pairing.failed_b} in B)"
        )


def setting_rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Returns name, A's value and B's value of every setting that differs, definitions left out.

    What differs in the same way for several tasks is one row.
    """
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for found in comparison.settings:
        if found.kind == "definition":
            continue
        key = (_KINDS[found.kind] + found.name, setting_text(found.a), setting_text(found.b))
        grouped.setdefault(key, []).append(found.task or "")
    several = len(comparison.tasks) > 1
    shown = []
    for (name, x, y), tasks in grouped.items():
        everywhere = not tasks[0] or len(tasks) == len(comparison.tasks)
        label = name if everywhere or not several else f"{name} of {', '.join(tasks)}"
        shown.append((label, x, y))
    return shown


def answers_text(sample: Sample, metric: str) -> str | None:
    """Returns a sample's answer, or all its answers: `3 of 4 right: B ×3, A ×1`."""
    given = repeated_answers(sample, metric)
    if given is None:
        return answer_text(sample, metric)
    times = Counter("–" if answer is None else str(answer) for answer in given)
    told = ", ".join(f"{answer} ×{count}" for answer, count in times.most_common())
    record = sample.scores[metric].record or {}
    scores = record.get("repeats") or []
    if not scores or any(score not in (0, 1) for score in scores):
        return told
    return f"{sum(map(bool, scores))} of {len(scores)} right: {told}"


def repeated_answers(sample: Sample, metric: str) -> list[Any] | None:
    """Returns the answers to a question that was asked several times; None if it was not."""
    score = sample.scores.get(metric)
    record = None if score is None else score.record
    given = None if record is None else record.get("repeat_answers")
    return list(given) if isinstance(given, list) and len(given) > 1 else None


def answer_text(sample: Sample, metric: str) -> str | None:
    """Returns what was compared of a sample under a metric; None if nothing could be read."""
    score = sample.scores.get(metric)
    if score is not None and score.answer is not None:
        return score.answer
    if score is not None and score.status != "ok":
        return None
    texts = sample.filtered_resps or sample.resps
    return " | ".join(str(text) for text in texts) if texts else None


def flip_title(row: MetricComparison, *, better: bool) -> str:
    """Returns the heading of a list of flipped samples."""
    count = row.better if better else row.worse
    if row.binary:
        told = "A wrong, B right" if better else "A right, B wrong"
    else:
        told = "B scores better" if better else "B scores worse"
    return f"{row.shown}, {row.metric}: {told} in {counted(count, 'sample')}"


def most_shown(rows: Sequence[MetricComparison], asked: int | None, *, few: int, many: int) -> int:
    """Returns how many flips a list shows: as asked, else `few`, and none beside many rows."""
    if asked is not None:
        return asked
    return few if len(rows) <= many else 0
