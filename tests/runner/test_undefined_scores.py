"""Scores that a task's own code cannot give: the run goes on, and nothing is silently NaN."""

from __future__ import annotations

from pathlib import Path

from .conftest import Bed

UNDEFINED = """\
from lmms.types import Score

def score(given):
    right = float(given.document.id != "q0")
    undefined = given.document.id in {all_of} or (
        given.document.id == "q5" and given.seed.endswith("\\0" + "1")
    )
    return {{"right": Score(value=float("nan") if undefined else right)}}
"""


def test_an_answer_that_code_scores_nan_has_no_score_and_is_told(bed: Bed) -> None:
    code = UNDEFINED.format(all_of=["q3", "q4"])
    bed.task(count=10, scorer="code.py:score", metric="right", code=code)
    result = bed.run("repeats=2")
    assert result.status == "complete"
    (metric,) = result["sums"].metrics
    assert (metric.n, metric.n_failed, metric.value) == (8, 0, 7 / 8)
    assert metric.ci_low is not None
    assert metric.breakdown["not_a_number"] == 3
    told = "right: the task's code gave NaN as score of 3 samples: left out of the value"
    assert result["sums"].warnings == (told,)
    assert told in Path(result.path, "report.md").read_text()
    assert [line["right"] for line in bed.samples(result)][:6] == [0.0, 1.0, 1.0, None, None, 1.0]


def test_only_undefined_scores_leave_no_value(bed: Bed) -> None:
    code = UNDEFINED.format(all_of=[f"q{i}" for i in range(4)])
    bed.task(count=4, scorer="code.py:score", metric="right", code=code)
    (metric,) = bed.run()["sums"].metrics
    assert (metric.value, metric.stderr, metric.n) == (None, None, 0)
    assert metric.breakdown["not_a_number"] == 4


AGGREGATION = """\
import math
from lmms.scoring.aggregations import Aggregate
from lmms.statistics import Mean

class Undefined:
    def add(self, score, cluster):
        pass

    def result(self, options):
        return Aggregate(mean=Mean(value=math.nan, n=3, stderr=0.1))
"""


def test_an_aggregation_that_gives_nan_gives_no_value(bed: Bed) -> None:
    metric = "{name: exact_match, aggregation: 'code.py:Undefined'}"
    bed.task(count=3, metric=metric, code=AGGREGATION)
    result = bed.run()
    (found,) = result["sums"].metrics
    assert (found.value, found.stderr) == (None, None)
    assert result["sums"].warnings == ("exact_match: there is no value: the aggregation gave NaN",)
