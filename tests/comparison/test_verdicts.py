"""Sentences about rows."""

from __future__ import annotations

import re

import pytest

from lmms.comparison import ComparisonOptions, compare_runs
from lmms.comparison.effects import MetricComparison
from lmms.comparison.page import comparison_page
from lmms.comparison.verdicts import verdict
from lmms.comparison.wording import reading_line, verdict_lines

from .conftest import sample


def row(**changes):
    given = {
        "task": "quiz", "shown": "quiz", "metric": "acc", "higher_is_better": True, "n": 500,
        "a": 0.4, "b": 0.532, "difference": 0.132, "stderr": 0.0234, "low": 0.086, "high": 0.178,
        "p_value": 3e-8, "unit": True, "better": 100, "worse": 34,
    }  # fmt: skip
    return MetricComparison(**(given | changes))


UNSURE = {"difference": -0.044, "low": -0.096, "high": 0.008, "p_value": 0.1, "stderr": 0.0265}
UNEQUAL = {"clusters": 40, "effective_clusters": 9.0, "sign_flip_p": 0.2}
POINTS = {"unit": False, "difference": -13.2, "stderr": 2.34, "low": -17.8, "high": -8.6}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "B is better by 13.2 points (8.6 to 17.8); p = 3e-08"),
        (
            {"higher_is_better": False},
            "B is worse by 13.2 points (8.6 to 17.8); p = 3e-08",
        ),
        (POINTS, "B is worse by 13.2 (8.6 to 17.8); p = 3e-08"),
        (
            POINTS | {"higher_is_better": False},
            "B is better by 13.2 (8.6 to 17.8); p = 3e-08",
        ),
        (UNSURE, "no difference shown: between -9.6 and +0.8 points; p = 0.1"),
        (
            UNSURE | {"higher_is_better": False},
            "no difference shown: between -0.8 and +9.6 points (B's gain; less is better); p = 0.1",
        ),
        (
            {"p_value": 0.03, "p_adjusted": 0.06},
            "no difference shown: between +8.6 and +17.8 points; p = 0.06, adjusted",
        ),
        (
            UNEQUAL,
            "no difference shown: between +8.6 and +17.8 points; p = 3e-08, "
            "but of the sign flip 0.2",
        ),
        (UNEQUAL | {"sign_flip_p": 1e-4}, "B is better by 13.2 points (8.6 to 17.8); p = 3e-08"),
        ({"failed": 6}, "not to be trusted, too many pairs are lost: B is better by"),
        ({"difference": None, "reason": "no pair"}, "no verdict: no pair"),
        (
            {"low": None, "reason": "one sample", "stderr": None, "better": 1, "worse": 0},
            "B is better by 13.20 points in these pairs, how sure is not known: one sample",
        ),
        (
            {"low": None, "difference": 0.0, "better": 0, "worse": 0},
            "A and B score the same in 500 pairs",
        ),
    ],
)  # fmt: skip
def test_sentences(changes, told):
    assert verdict(row(**changes), max_lost=0.01).startswith(told)


def test_a_page_says_every_verdict_and_what_the_words_mean(write):
    paths = [
        write(name, [sample(f"d{i}", {"acc": v, "same": 1.0}) for i, v in enumerate(values)])
        for name, values in (("a", [0.0, 1.0] * 20), ("b", [1.0, 1.0, 0.0, 1.0] * 10))
    ]
    found = compare_runs(*paths, ComparisonOptions(all_metrics=True))
    first, second = verdict_lines(found)
    assert first.startswith("quiz, acc: B is better by")
    assert second == "quiz, same: A and B score the same in 40 pairs"
    page = comparison_page(found)
    assert f"<li>{first}</li>" in page
    assert "no interval" in page
    (hollow,) = re.findall(r'<circle class="dot hollow"', page)
    assert hollow
    assert "McNemar: " in reading_line(found)
    assert "intervals are not adjusted" not in reading_line(found), "one test"


def test_intervals_are_said_to_stand_for_themselves(write):
    a = write("a", [sample(f"d{i}", {"x": i % 2 / 4, "y": i % 3 / 2}) for i in range(20)])
    b = write("b", [sample(f"d{i}", {"x": i % 5 / 4, "y": i % 2 / 2}) for i in range(20)])
    found = compare_runs(a, b, ComparisonOptions(all_metrics=True))
    assert "adjusted over 2 tests (Holm); intervals are not adjusted" in reading_line(found)
