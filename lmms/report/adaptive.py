"""What the reports say of tasks whose documents were chosen by ability."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from lmms.report.digits import decimals_for, fixed
from lmms.report.wording import counted
from lmms.report.xy_plots import Axis, Color, Mark, Series, xy_plot
from lmms.types import MetricResult, RunResult, TaskResult

_STOPS: Final[Mapping[str, str]] = {
    "se": "the standard error was small enough",
    "max_items": "the number of answers was reached",
    "bank_used_up": "no document with item parameters was left",
    "failures": "too many documents gave no answer",
}
NOT_COMPARABLE: Final = (
    "The documents were chosen by the model's ability, so the share of right answers among them is "
    "no score of the benchmark."
)


_MOST_TICKS = 8
_HALF_HEIGHT = 0.6
"""Ability shown above and below the course at least."""


@dataclass(frozen=True, slots=True)
class AskedItem:
    """A row of the table of items."""

    number: int
    document: str
    row: int
    """Index of the document."""
    difficulty: str
    discrimination: str
    right: bool
    ability: str
    anchor: str
    """Where its sample is on the page; empty if it is not shown."""


@dataclass(frozen=True, slots=True)
class AdaptiveView:
    """The section of one task."""

    label: str
    facts: tuple[tuple[str, str], ...]
    plot: str
    items: tuple[AskedItem, ...]


def adaptive_lines(run: RunResult) -> list[str]:
    """Returns a line per task whose documents were chosen by ability: what came of it."""
    lines = []
    for task in run.tasks.values():
        if task.adaptive:
            facts = dict(_facts(task, task.adaptive))
            lines.append(f"{task.label}: " + "; ".join(f"{k} {v}" for k, v in facts.items()))
    return lines


def adaptive_view(task: TaskResult, anchors: Mapping[int, str]) -> AdaptiveView | None:
    """Returns the section of a task; None where every document was asked, or none was answered.

    Args:
        task: The task.
        anchors: Where the samples are that the page shows, by index of the document.
    """
    block = task.adaptive
    if not block or not block.get("trajectory"):
        return None
    steps = block["trajectory"]
    return AdaptiveView(
        label=task.label,
        facts=tuple(_facts(task, block)),
        plot=course_plot(steps, title=f"ability of the model in {task.label} after each answer"),
        items=tuple(_item(i, step, anchors) for i, step in enumerate(steps, 1)),
    )


def course_plot(steps: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """Returns the course of a task: the ability after each answer with its band, a mark per item.

    A mark stands at the item's difficulty, its colour and form tell the answer.

    Args:
        steps: Of the task's trajectory, in the order of the answers; at least one.
        title: For readers that cannot see it.
    """
    numbers = range(1, len(steps) + 1)
    low, high = zip(*(_interval(step) for step in steps), strict=True)
    return xy_plot(
        [
            Series("ability", numbers, [s["ability"] for s in steps], low=low, high=high),
            _marks(steps, "right", "green", "circle"),
            _marks(steps, "wrong", "red", "square"),
        ],
        title=title,
        x=Axis("documents answered", 1, len(steps), ticks=_counts(len(steps))),
        y=Axis("", *_domain(steps)),
        width=960,
    )


def verdict_metric(task: TaskResult) -> MetricResult | None:
    """Returns the metric that says which samples were right: the first, or what was chosen by."""
    if task.adaptive and (key := task.adaptive.get("right_if", {}).get("metric")):
        name, _, chain = str(key).partition(",")
        return MetricResult(name=name, value=None, filter=chain or "none")
    return task.metrics[0] if task.metrics else None


def _facts(task: TaskResult, block: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    decimals = decimals_for(block.get("ability"), block.get("stderr"))
    ability = fixed(block.get("ability"), decimals)
    if block.get("stderr") is not None:
        ability += f" ± {fixed(block['stderr'], decimals)}"
    yield "ability", ability
    if predicted := block.get("predicted"):
        yield _predicted_name(predicted), f"{_predicted_value(predicted)} {_coverage(predicted)}"
    total = block.get("n_documents")
    asked = block.get("n_asked", 0)
    yield "asked", f"{asked:,} of {counted(total, 'document')}" if total else f"{asked:,} so far"
    if saved := block.get("saved"):
        yield "saved", f"{saved['share']:.0%}"
    left = {k.replace("_", " "): n for k, n in (block.get("left_out") or {}).items() if n}
    if left:
        yield "left out", ", ".join(f"{n:,} {words}" for words, n in left.items())
    if reason := block.get("stopped_because"):
        yield "stopped because", _STOPS.get(reason, str(reason))
    if bank := block.get("bank"):
        yield "item bank", _bank(bank, block.get("n_bank"))


def _bank(bank: Mapping[str, Any], items: int | None) -> str:
    parts = [] if items is None else [counted(items, "item")]
    if (subjects := bank.get("n_subjects")) is not None:
        parts.append(f"from {counted(subjects, 'subject')}")
    name = PurePath(str(bank.get("path", ""))).name
    return f"{name} ({' '.join(parts)})" if parts else name


def headline_lines(block: Mapping[str, Any]) -> Iterator[str]:
    """Gives what stands below the ability at the top of a page: the score it predicts."""
    if predicted := block.get("predicted"):
        yield f"{_predicted_name(predicted)} {_predicted_value(predicted)}"
        yield _coverage(predicted)


def _predicted_name(predicted: Mapping[str, Any]) -> str:
    return str(predicted["metric"]).replace("_", " ", 1)


def _predicted_value(predicted: Mapping[str, Any]) -> str:
    value, low, high = (predicted[k] for k in ("value", "low", "high"))
    places = decimals_for(value, predicted["stderr"], low, high)
    return f"{fixed(value, places)} [{fixed(low, places)}, {fixed(high, places)}]"


def _coverage(predicted: Mapping[str, Any]) -> str:
    """Says what a predicted score is about: nothing is predicted outside the bank."""
    covered, total = predicted["n_items"], predicted.get("n_documents")  # absent in older files
    if total is None or covered >= total:
        return f"of the {counted(covered, 'document')} in the bank"
    return f"of the {counted(covered, 'document')} in the bank, not of all {total:,}"


def _interval(step: Mapping[str, Any]) -> tuple[float | None, float | None]:
    ability, stderr = step["ability"], step["stderr"]
    return (None, None) if stderr is None else (ability - stderr, ability + stderr)


def _marks(steps: Sequence[Mapping[str, Any]], answer: str, color: Color, mark: Mark) -> Series:
    chosen = [(i, s) for i, s in enumerate(steps, 1) if bool(s["response"]) == (answer == "right")]
    return Series(
        answer,
        [i for i, _ in chosen],
        [step["b"] for _, step in chosen],
        "dots",
        color=color,
        mark=mark,
        titles=[f"{i}. {s['document_id']}: {answer}; difficulty {s['b']:.2f}" for i, s in chosen],
    )


def _domain(steps: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The abilities, their intervals once there are a few answers, and some room."""
    settled = steps[min(len(steps) - 1, 2) :]
    edges = [v for step in settled for v in _interval(step) if v is not None]
    known = [*(step["ability"] for step in steps), *edges]
    middle = steps[-1]["ability"]
    low = min(*known, middle - _HALF_HEIGHT)
    high = max(*known, middle + _HALF_HEIGHT)
    return math.floor(low * 2) / 2, math.ceil(high * 2) / 2


def _counts(total: int) -> list[int]:
    """Returns about eight numbers from 1 to the number of answers."""
    if total <= _MOST_TICKS:
        return list(range(1, total + 1))
    rough = total / _MOST_TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough)
    return [1, *range(int(step), total + 1, int(step))]


def _item(number: int, step: Mapping[str, Any], anchors: Mapping[int, str]) -> AskedItem:
    stderr = step["stderr"]
    return AskedItem(
        number=number,
        document=str(step["document_id"]),
        row=step["doc_id"],
        difficulty=f"{step['b']:.2f}",
        discrimination=f"{step['a']:.2f}",
        right=bool(step["response"]),
        ability=f"{step['ability']:.2f}" + ("" if stderr is None else f" ± {stderr:.2f}"),
        anchor=anchors.get(step["doc_id"], ""),
    )
