"""Means over the tasks of a group, in runs with the dummy model."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmms
from lmms.cli.outcome import Outcome, print_result
from lmms.errors import RunInterruptedError
from lmms.report import comparable, load_run
from lmms.report.groups import group_lines, groups_of, groups_table
from lmms.runner.observer import RunProgress
from lmms.scoring.groups import GroupScores
from lmms.statistics import clustered_stderr, group_mean, mean_stderr, summarize_mean
from lmms.types import RunResult

from .conftest import Bed, Watch

CODE = """\
import hashlib
from lmms.types import Score

def right(given):
    key = given.document.id + given.document.fields["question"]
    return hashlib.sha256(key.encode()).digest()[0] < 150

def score(given):
    return {"right": Score(value=float(right(given)))}

def nothing(given):
    return {"right": Score(value=None)}

class Broken:
    def add(self, score, cluster):
        pass

    def result(self, options):
        raise ValueError("no number")
"""
OTHER = "Which number is {}?".format
PAIR = "groups: [pair]"


def pair(bed: Bed, second: int = 8, *, scorer: str = "code.py:score", more: str = "", **same: Any):
    """Two tasks of one group; over the same rows if nothing else is said."""
    shared: dict[str, Any] = {"metric": "right", "code": CODE}
    bed.task("first", 20, scorer="code.py:score", more=f"{PAIR}\n{more}", **shared)
    bed.task("second", second, scorer=scorer, more=f"{PAIR}\n{more}", **(shared | same))


def scores(bed: Bed, result: RunResult, task: str) -> list[float]:
    return [line["right"] for line in bed.samples(result, task)]


def interrupt_at(count: int) -> Callable[[RunProgress], None]:
    def act(progress: RunProgress) -> None:
        if progress.done >= count and not progress.stopping:
            os.kill(os.getpid(), signal.SIGINT)

    return act


def only(result: RunResult):
    (group,) = groups_of(result)
    (metric,) = group.metrics
    return group, metric


def test_tasks_over_different_documents_are_independent(bed: Bed) -> None:
    pair(bed, question=OTHER)
    result = bed.run(task="pair")
    parts = [summarize_mean(scores(bed, result, t), proportions=True) for t in ("first", "second")]
    group, metric = only(result)
    assert (group.group, group.label, group.tasks) == ("pair", "pair", ("first", "second"))
    assert (metric.name, metric.n, metric.shared) == ("right", 28, ())
    for average in ("micro", "macro"):
        expected, found = group_mean(parts, average), getattr(metric, average)
        assert found.value == pytest.approx(expected.value)
        assert found.stderr == pytest.approx(expected.stderr)
        assert found.ci_low == pytest.approx(expected.low)
        assert found.interval_method == f"{average}_t"
    assert metric.micro.value != metric.macro.value
    raw = result.raw
    assert raw["group_subtasks"] == {"first": [], "second": [], "pair": ["first", "second"]}
    assert raw["groups"]["pair"] == {
        "name": "pair",
        "alias": "pair",
        "right,none": metric.micro.value,
        "right_stderr,none": metric.micro.stderr,
    }
    assert Outcome("x", 0, result).to_json()["groups"] == raw["groups"]


def test_tasks_over_the_same_documents_are_not(bed: Bed) -> None:
    pair(bed, 20)
    result = bed.run(task="pair")
    _, metric = only(result)
    assert scores(bed, result, "first") == scores(bed, result, "second")
    assert metric.shared == (("first", "second"),)
    # The same answers twice are as uncertain as once.
    assert metric.macro.stderr == pytest.approx(mean_stderr(scores(bed, result, "first")))
    assert any("same documents or clusters" in line for line in group_lines(result))


def test_tasks_over_the_same_clusters_are_not(bed: Bed) -> None:
    clustered = 'derived: {clip: "answer | int // 3"}\ncluster: clip'
    pair(bed, 20, more=clustered, question=OTHER)
    path = bed.tasks / "second.yaml"
    path.write_text(path.read_text().replace("second.jsonl", "first.jsonl"))
    (bed.tasks / "first.jsonl").open("a").close()
    result = bed.run(task="pair")
    _, metric = only(result)
    assert metric.shared == (("first", "second"),)
    clips = np.arange(20) // 3
    stacked = clustered_stderr(scores(bed, result, "first"), clips)
    assert metric.micro.stderr == pytest.approx(stacked)


def test_clusters_of_other_data_are_others(bed: Bed) -> None:
    pair(bed, 20, more='derived: {clip: "answer | int // 3"}\ncluster: clip', question=OTHER)
    _, metric = only(bed.run(task="pair"))
    assert metric.shared == ()


def test_reports_show_groups_below_the_tasks(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    pair(bed, question=OTHER)
    result = bed.run("output.html=true", task="pair")
    print_result(result)
    out = capsys.readouterr().out
    _, metric = only(result)
    assert out.index("Tasks") < out.index("Groups")
    assert f"{metric.macro.value:.2f}" in out.split("Groups")[1]
    assert "micro: every sample counts the same" in out
    report = Path(result.path, "report.md").read_text()
    assert "### Groups" in report
    assert "| pair | 2 | none | right | micro | ↑ |" in report
    page = Path(result.path, "report.html").read_text()
    assert '<section id="groups">' in page
    assert "macro" in page
    table = groups_table(result)
    assert table is not None
    assert [record["average"] for record in table.records] == ["micro", "macro"]


def test_tasks_of_one_size_have_one_row(bed: Bed) -> None:
    pair(bed, 20, question=OTHER)
    table = groups_table(bed.run(task="pair"))
    assert table is not None
    assert [row[4] for row in table.cells] == ["micro = macro"]


def test_tasks_without_a_common_metric_have_no_group(bed: Bed) -> None:
    pair(bed, scorer="exact_match", metric="exact_match")
    result = bed.run("output.html=true", task="pair")
    assert (result.raw["groups"], result.raw["group_results"]) == ({}, {})
    assert result.raw["group_subtasks"]["pair"] == ["first", "second"]
    assert groups_table(result) is None
    assert list(group_lines(result)) == []
    assert "Groups" not in Path(result.path, "report.html").read_text()


def test_a_metric_in_another_sense_is_not_shared(bed: Bed) -> None:
    pair(bed, metric="{name: right, higher_is_better: false}")
    assert bed.run(task="pair").raw["group_results"] == {}


def test_an_undefined_task_makes_its_group_undefined(bed: Bed) -> None:
    pair(bed, scorer="code.py:nothing")
    result = bed.run(task="pair")
    _, metric = only(result)
    assert (metric.micro.value, metric.macro.value) == (None, None)
    assert metric.macro.reason == "second without a value"
    assert result.raw["groups"]["pair"]["right_stderr,none"] == "N/A"
    (_, line) = group_lines(result)
    assert line == "pair, right micro, right macro: not available: second without a value"


def test_a_task_whose_aggregation_fails_says_why_there_is_no_mean(bed: Bed) -> None:
    pair(bed, metric="{name: right, aggregation: 'code.py:Broken'}")
    (group,) = groups_of(bed.run(task="pair"))
    assert (group.metrics, group.reason) == ((), "second without metrics")


def test_means_of_documents_chosen_by_ability_stand_for_nothing(bed: Bed) -> None:
    pair(bed)
    result = bed.run(task="pair")
    tasks = dict(result.tasks) | {"second": replace(result["second"], adaptive={"ability": 0.1})}
    (group,) = GroupScores(lmms.plan(bed.words(task="pair"))).results(tasks)
    assert group.metrics == ()
    assert "documents of second were chosen by ability" in str(group.reason)


def test_one_sample_has_a_value_and_no_interval(bed: Bed) -> None:
    pair(bed, 1, question=OTHER)
    _, metric = only(bed.run(task="pair"))
    assert metric.macro.value is not None
    assert (metric.macro.stderr, metric.macro.ci_low) == (None, None)
    assert metric.macro.reason == "second without a standard error"


def test_equal_scores_everywhere_have_no_interval(bed: Bed) -> None:
    pair(bed, question=OTHER)
    (bed.tasks / "code.py").write_text(CODE.replace("float(right(given))", "1.0"))
    _, metric = only(bed.run(task="pair"))
    assert (metric.macro.value, metric.macro.stderr) == (1.0, 0.0)
    assert metric.macro.reason == "no variance in any task"


def test_medians_have_a_mean_over_tasks_only(bed: Bed) -> None:
    pair(bed, metric="{name: right, aggregation: median}", question=OTHER)
    spec = bed.tasks / "first.yaml"
    spec.write_text(spec.read_text().replace("[right]", "[{name: right, aggregation: median}]"))
    _, metric = only(bed.run(task="pair"))
    assert metric.micro.value is None
    assert "first, second is no mean of its samples' scores" in str(metric.micro.reason)
    assert metric.macro.value is not None
    assert metric.macro.stderr is not None


def test_medians_over_the_same_documents_have_no_standard_error(bed: Bed) -> None:
    pair(bed, metric="{name: right, aggregation: median}")
    spec = bed.tasks / "first.yaml"
    spec.write_text(spec.read_text().replace("[right]", "[{name: right, aggregation: median}]"))
    _, metric = only(bed.run(task="pair"))
    assert metric.macro.value is not None
    assert metric.macro.stderr is None
    assert "tasks share documents" in str(metric.macro.reason)


def test_an_unfinished_run_shows_what_is_there(bed: Bed) -> None:
    pair(bed, 60, question=OTHER)
    slowly = (
        "model.kwargs.delay_seconds=0.01",
        "model.batch_size=1",
        "executor.max_open_documents=2",
    )
    with pytest.raises(RunInterruptedError):
        bed.run(*slowly, task="pair", observer=Watch(interrupt_at(25)))
    (folder,) = bed.runs()
    result = load_run(folder)
    assert result.status == "interrupted"
    _, metric = only(result)
    assert metric.n == sum(task.metrics[0].n for task in result.tasks.values())
    assert 20 < metric.n < 80
    resumed = bed.run(*slowly, task="pair")
    fresh = bed.run(*slowly, "run.resume=never", task="pair")
    assert resumed.path == str(folder)
    assert only(resumed) == only(fresh)
    assert comparable(resumed.raw)["groups"] == comparable(fresh.raw)["groups"]


def test_results_from_before_groups_can_be_read(bed: Bed) -> None:
    bed.task()
    result = bed.run()
    path = Path(result.path, "results.json")
    content = json.loads(path.read_text())
    del content["group_results"]
    path.write_text(json.dumps(content))
    again = load_run(result.path)
    assert groups_of(again) == ()
    assert groups_table(again) is None
