from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lmms.statistics import Mean, StatisticsError, group_mean, summarize_mean

GOLDEN = json.loads((Path(__file__).parent / "golden" / "statistics.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["group"], ids=lambda c: f"{c['micro_mean']:.3f}")
def test_groups_match_the_reference(case: dict) -> None:
    parts = [summarize_mean([float(c) for c in text]) for text in case["responses"]]
    for part, value, stderr in zip(parts, case["means"], case["stderrs"], strict=True):
        assert (part.value, part.stderr) == pytest.approx((value, stderr), rel=1e-9)
    micro, macro = group_mean(parts, "micro"), group_mean(parts)
    assert micro.value == pytest.approx(case["micro_mean"], rel=1e-9)
    assert micro.stderr == pytest.approx(case["stratified_micro_se"], rel=1e-9)
    assert macro.value == pytest.approx(case["macro_mean"], rel=1e-9)
    assert macro.stderr == pytest.approx(case["macro_se"], rel=1e-9)
    # The peers' pooled formula, given for the macro mean as well, is too small for it.
    assert (macro.stderr or 0.0) > case["pooled_se_lm_eval"]
    assert (micro.n, micro.method, macro.method) == (175, "micro_t", "macro_t")
    assert macro.low is not None
    assert macro.value is not None
    # Between the widest and the narrowest Student interval that could be meant.
    assert 1.96 < (macro.value - macro.low) / (macro.stderr or 1.0) < 2.15


def test_an_undefined_task_makes_its_group_undefined() -> None:
    good = summarize_mean([0.0, 1.0, 1.0])
    nothing = group_mean([good, Mean(value=None, n=0)])
    assert (nothing.value, nothing.stderr, nothing.low) == (None, None, None)
    assert group_mean([]).value is None
    one_sample = group_mean([good, summarize_mean([1.0])])
    assert one_sample.value == pytest.approx((2 / 3 + 1) / 2)
    assert (one_sample.stderr, one_sample.low) == (None, None)
    constant = group_mean([summarize_mean([1.0, 1.0])] * 2)
    assert (constant.stderr, constant.low) == (0.0, None)
    with pytest.raises(StatisticsError, match="unknown average 'mean'"):
        group_mean([good], "mean")  # type: ignore[arg-type]


def test_clusters_of_a_task_set_its_degrees_of_freedom() -> None:
    part = Mean(value=0.5, n=1000, stderr=0.1, clusters=3)
    found = group_mean([part])
    assert found.low == pytest.approx(0.5 - 4.302652729911275 * 0.1, rel=1e-9)
    steady = Mean(value=0.5, n=10, stderr=0.0)
    assert group_mean([part, steady]).stderr == pytest.approx(math.sqrt(0.01) / 2)
