from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.report.verdicts import SampleChooser, verdict_of
from lmms.types import MetricResult, Sample, Score, ScoreStatus
from tests.report import synthetic_run

ACC = MetricResult(name="acc", value=0.5)
WER = MetricResult(name="wer", value=0.5, higher_is_better=False)


def sample(
    number: int = 0, value: float | None = 1.0, status: ScoreStatus = "ok", metric: str = "acc"
) -> Sample:
    base = next(synthetic_run.make_samples("mme"))
    scores = {metric: Score(value=value)}
    return replace(base, doc_id=number, document_id=str(number), scores=scores, status=status)


@pytest.mark.parametrize(
    ("value", "status", "metric", "verdict"),
    [
        (1.0, "ok", ACC, "right"),
        (0.0, "ok", ACC, "wrong"),
        (0.4, "ok", ACC, "partial"),
        (None, "ok", ACC, "unscored"),
        (1.0, "unparsed", ACC, "unparsed"),  # a lucky guess is not a right answer
        (1.0, "truncated", ACC, "truncated"),
        (0.0, "ok", WER, "right"),
        (1.2, "ok", WER, "wrong"),
        (0.1, "ok", WER, "partial"),
        (1.0, "ok", None, "right"),
    ],
)
def test_verdicts(
    value: float | None, status: ScoreStatus, metric: MetricResult | None, verdict: str
) -> None:
    name = metric.name if metric else "acc"
    assert verdict_of(sample(value=value, status=status, metric=name), metric) == verdict


def test_the_metric_is_found_with_its_filter() -> None:
    strict = MetricResult(name="exact_match", filter="strict-match", value=0.0)
    scores = {
        "exact_match,flexible-extract": Score(value=1.0),
        "exact_match,strict-match": Score(value=0.0),
    }
    assert verdict_of(replace(sample(), scores=scores), strict) == "wrong"
    assert verdict_of(replace(sample(), scores={}), strict) == "unscored"


def population() -> list[Sample]:
    samples = [sample(i, value=float(i % 4 != 0)) for i in range(400)]
    samples[50] = replace(samples[50], status="failed", scores={})
    return samples


def test_a_rare_failure_is_shown_beside_many_right_answers() -> None:
    chooser = SampleChooser(limit=12, metric=ACC)
    assert len(list(chooser.watch(population()))) == 400
    chosen = chooser.chosen()
    assert list(chosen) == ["failed", "wrong", "right"]
    assert chooser.counts == {"failed": 1, "wrong": 100, "right": 299}
    assert sum(map(len, chosen.values())) == 12
    assert len(chosen["failed"]) == 1
    assert len(chosen["wrong"]) >= 5
    assert all([s.doc_id for s in v] == sorted(s.doc_id for s in v) for v in chosen.values())


@given(st.randoms(use_true_random=False), st.integers(0, 30))
def test_the_choice_does_not_depend_on_the_order(rng: object, limit: int) -> None:
    first, second = SampleChooser(limit, ACC), SampleChooser(limit, ACC)
    samples = population()
    list(first.watch(samples))
    rng.shuffle(samples)  # type: ignore[attr-defined]
    list(second.watch(samples))
    assert first.chosen() == second.chosen()
    assert sum(map(len, first.chosen().values())) == min(limit, 400)


def test_memory_is_bounded_by_the_limit() -> None:
    chooser = SampleChooser(limit=5, metric=ACC)
    for _ in chooser.watch(sample(i, value=float(i % 2)) for i in range(5_000)):
        pass
    assert {verdict: len(kept) for verdict, kept in chooser._kept.items()} == {
        "wrong": 5,
        "right": 5,
    }


def test_the_status_is_that_of_the_metrics_own_score() -> None:
    strict = MetricResult(name="exact_match", filter="strict-match", value=0.0)
    scores = {
        "exact_match,strict-match": Score(value=0.0, status="unparsed"),
        "exact_match,flexible-extract": Score(value=0.0),
    }
    scored = replace(sample(), scores=scores)
    assert verdict_of(scored, strict) == "unparsed"
    assert verdict_of(scored, replace(strict, filter="flexible-extract")) == "wrong"
    assert verdict_of(replace(scored, status="failed"), strict) == "failed"
