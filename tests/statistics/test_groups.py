from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from lmms.statistics import (
    Mean,
    StatisticsError,
    clustered_stderr,
    group_mean,
    mean_stderr,
    shared_covariance,
    summarize_mean,
)

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


def test_the_covariance_of_a_task_with_itself_is_its_variance() -> None:
    random = np.random.default_rng(1)
    x, clusters = random.normal(size=60), random.integers(0, 12, 60)
    covariance = shared_covariance(x, clusters, x, clusters)
    assert covariance == pytest.approx((clustered_stderr(x, clusters) or 0.0) ** 2)
    part = summarize_mean(x, clusters)
    # Asking the same twice makes nothing more certain.
    twice = group_mean([part, part], covariances={(0, 1): covariance or 0.0})
    assert (twice.value, twice.stderr) == pytest.approx((part.value, part.stderr))
    assert (twice.low, twice.high) == pytest.approx((part.low, part.high))
    assert (group_mean([part, part]).stderr or 0.0) < 0.72 * (part.stderr or 0.0)


def test_two_tasks_over_the_same_documents_are_one_sample_of_averages() -> None:
    random = np.random.default_rng(2)
    shared = random.normal(size=80)
    a, b = shared + random.normal(size=80), shared - 0.3 * random.normal(size=80)
    order = random.permutation(80)
    names = [f"d{i}" for i in range(80)]
    covariance = shared_covariance(a, names, b[order], [names[i] for i in order])
    parts = [summarize_mean(a), summarize_mean(b)]
    for average in ("micro", "macro"):
        found = group_mean(parts, average, covariances={(0, 1): covariance or 0.0})
        assert found.stderr == pytest.approx(mean_stderr((a + b) / 2))


def test_tasks_that_share_nothing_have_no_covariance() -> None:
    assert shared_covariance([0.0, 1.0], ["a", "b"], [0.0, 1.0], ["c", "d"]) is None
    assert shared_covariance([0.0, 1.0], ["a", "a"], [0.0, 1.0], ["a", "b"]) is None
    assert shared_covariance([], [], [0.0, 1.0], ["a", "b"]) is None
    with pytest.raises(StatisticsError, match="of two different tasks"):
        group_mean([summarize_mean([0.0, 1.0])], covariances={(0, 1): 0.1})


def test_intervals_of_tasks_over_the_same_clips_cover() -> None:
    random = np.random.default_rng(3)
    clips = np.repeat(np.arange(40), 3)
    covered = alone = 0
    for _ in range(400):
        ease = np.repeat(random.normal(size=40), 3)
        tasks = [(random.normal(size=120) < 0.3 + ease).astype(float) for _ in range(2)]
        parts = [summarize_mean(x, clips, proportions=True) for x in tasks]
        covariance = shared_covariance(tasks[0], clips, tasks[1], clips) or 0.0
        true = 0.5 * (1.0 + math.erf(0.3 / 2.0))
        for found, shared in (({(0, 1): covariance}, True), ({}, False)):
            mean = group_mean(parts, covariances=found)
            inside = (mean.low or 0.0) <= true <= (mean.high or 0.0)
            covered += shared and inside
            alone += (not shared) and inside
    # Four standard errors of 400 draws around 95 %.
    assert 0.906 <= covered / 400 <= 0.994
    assert alone / 400 < 0.9


def test_variances_too_small_to_square_leave_no_interval() -> None:
    tiny = Mean(value=0.5, n=10, stderr=1e-100)
    found = group_mean([tiny, tiny])
    assert found.stderr == pytest.approx(1e-100 / math.sqrt(2))
    assert (found.low, found.high) == (None, None)
