from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.report.adaptive import adaptive_lines, adaptive_view, verdict_metric
from lmms.report.trajectory import CoursePoint, trajectory
from lmms.types import MetricResult, RunResult, TaskResult


def point(ability: float, stderr: float | None = 0.4, difficulty: float = 0.0) -> CoursePoint:
    low, high = (None, None) if stderr is None else (ability - stderr, ability + stderr)
    return CoursePoint(True, difficulty, ability, low, high, "title")


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
        "t: ability 0.52 ± 0.15; predicted acc 0.624 [0.565, 0.680]; asked 60 of 500 documents; "
        "saved 88%; left out 1,200 without parameters, 2 failed; "
        "stopped because the standard error was small enough"
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


def test_the_band_waits_for_a_standard_error() -> None:
    plot = trajectory([point(4.0, None), point(4.0, None), point(1.0), point(0.9)], title="t")
    band = re.search(r'class="band" points="([^"]*)"', plot)
    assert band is not None
    assert len(band[1].split()) == 4
    assert 'class="band"' not in trajectory([point(4.0, None)], title="t")


abilities = st.floats(-4, 4)


@given(
    st.lists(
        st.builds(point, abilities, st.none() | st.floats(0.01, 1.5), st.floats(-9, 9)),
        min_size=1,
        max_size=300,
    )
)
def test_everything_lies_inside(points: list[CoursePoint]) -> None:
    root = ElementTree.fromstring(trajectory(points, title='<a> & "b"'))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    dots = root.findall("circle")
    assert len(dots) == len(points)
    for dot in dots:
        assert 0 <= float(dot.attrib["cx"]) <= width
        assert 0 <= float(dot.attrib["cy"]) <= height
    for shape in (*root.findall("polyline"), *root.findall("polygon")):
        for pair in shape.attrib["points"].split():
            x, y = map(float, pair.split(","))
            assert -1 <= x <= width + 1
            assert -1 <= y <= height + 1
    assert 1 <= len([t for t in root.findall("text") if t.attrib["class"] == "tick"]) <= 12


@pytest.mark.parametrize("count", [1, 2, 8, 9, 60, 100, 1000])
def test_the_axis_counts_answers(count: int) -> None:
    plot = trajectory([point(0.1)] * count, title="t")
    ticks = [int(t) for t in re.findall(r'class="tick"[^>]*>(\d+)<', plot)]
    assert ticks[0] == 1
    assert ticks == sorted(set(ticks))
    assert ticks[-1] <= count
