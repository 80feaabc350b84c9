from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.report.adaptive import adaptive_lines, adaptive_view, course_plot, verdict_metric
from lmms.types import MetricResult, RunResult, TaskResult


def step(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "document_id": f"<doc {number}>",
        "doc_id": number,
        "a": 1.25,
        "b": -0.5,
        "response": number % 2,
        "ability": 0.123,
        "stderr": 0.3,
        **changes,
    }


def task(**changes: Any) -> TaskResult:
    block = {
        "ability": 0.523,
        "stderr": 0.1512,
        "predicted": {
            "metric": "predicted_acc",
            "n_items": 500,
            "n_documents": 1700,
            "value": 0.6244,
            "low": 0.565,
            "high": 0.6801,
            "stderr": 0.029,
        },
        "n_asked": 60,
        "n_documents": 500,
        "saved": {"documents": 440, "share": 0.88},
        "left_out": {"without_parameters": 1200, "changed": 0, "failed": 2, "unscored": 0},
        "stopped_because": "se",
        "right_if": {"metric": "acc,strict", "from": None},
        "n_bank": 500,
        "bank": {"path": "banks/t.irt.csv", "n_subjects": 41},
        "trajectory": [step(i) for i in range(4)],
        **changes,
    }
    return TaskResult(
        task="t",
        label="t",
        version="1",
        num_fewshot=0,
        metrics=(MetricResult(name="ability", value=0.5),),
        n_original=500,
        n_effective=60,
        adaptive=block,
    )


def test_a_line_says_what_came_of_it() -> None:
    run = RunResult(path="p", status="complete", model="m", tasks={"t": task()})
    assert adaptive_lines(run) == [
        "t: ability 0.52 ± 0.15; predicted acc 0.624 [0.565, 0.680] of the 500 documents in the "
        "bank, not of all 1,700; asked 60 of 500 documents; "
        "saved 88%; left out 1,200 without parameters, 2 failed; "
        "stopped because the standard error was small enough; "
        "item bank t.irt.csv (500 items from 41 subjects)"
    ]


def test_a_run_that_has_just_begun_says_what_it_has() -> None:
    early = task(ability=None, stderr=None)
    assert early.adaptive is not None
    block = {"ability": None, "stderr": None, "n_asked": 0}
    begun = RunResult(path="p", status="running", model="m", tasks={"t": _with_block(early, block)})
    assert adaptive_lines(begun) == ["t: ability –; asked 0 so far"]
    assert adaptive_view(_with_block(early, block), {}) is None


def _with_block(given: TaskResult, block: dict[str, Any]) -> TaskResult:
    from dataclasses import replace

    return replace(given, adaptive=block)


def test_the_view_links_to_the_samples_that_are_shown() -> None:
    view = adaptive_view(task(), {2: "sample-1-2"})
    assert view is not None
    assert [item.anchor for item in view.items] == ["", "", "sample-1-2", ""]
    assert [item.right for item in view.items] == [False, True, False, True]
    assert view.items[0].difficulty == "-0.50"
    assert "&lt;doc 0&gt;" in view.plot
    ElementTree.fromstring(view.plot)


def test_samples_are_judged_by_what_documents_were_chosen_by() -> None:
    metric = verdict_metric(task())
    assert metric is not None
    assert (metric.name, metric.filter) == ("acc", "strict")
    ordinary = _with_block(task(), {})
    assert verdict_metric(ordinary) == ordinary.metrics[0]


abilities = st.floats(-4, 4)


@given(
    st.lists(
        st.builds(
            lambda ability, stderr, b, right: step(int(right), ability=ability, stderr=stderr, b=b),
            abilities,
            st.none() | st.floats(0.01, 1.5),
            st.floats(-9, 9),
            st.booleans(),
        ),
        min_size=1,
        max_size=300,
    )
)
def test_everything_lies_inside(steps: list[dict[str, Any]]) -> None:
    plot = course_plot(steps, title='<a> & "b"')
    root = ElementTree.fromstring(plot)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    marks = re.findall(
        r'class="mark" (?:cx="|d="M)([-\d.]+)(?:" cy="| )([-\d.]+)[^/]*<title>', plot
    )
    assert len(marks) == len(steps)
    lines = re.findall(r'class="(?:line|band)" d="([^"]+)"', plot)
    places = [place for line in lines for place in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", line)]
    for x, y in (*marks, *places):
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= height
    assert 1 <= plot.count('class="tick"') <= 11


def test_right_and_wrong_answers_differ_in_form_too() -> None:
    plot = course_plot([step(0), step(1), step(3)], title="t")
    right = re.findall(r"<circle[^>]*><title>[^<]*: right;", plot)
    wrong = re.findall(r"<path[^>]*><title>[^<]*: wrong;", plot)
    assert (len(right), len(wrong)) == (2, 1)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 60, 100, 1000])
def test_the_axis_counts_answers(count: int) -> None:
    plot = course_plot([step(0)] * count, title="t")
    ticks = [int(t.replace(",", "")) for t in re.findall(r'class="tick"[^>]*>([\d,]+)<', plot)]
    assert ticks[0] == 1
    assert ticks == sorted(set(ticks))
    assert ticks[-1] <= count
