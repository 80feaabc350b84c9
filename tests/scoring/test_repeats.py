from __future__ import annotations

from typing import Any

import pytest

from lmms.config.schema import ReasoningConfig
from lmms.scoring import make_scorer
from lmms.scoring.repeats import RepeatTally
from lmms.tasks.spec import DatasetSpec, MetricSpec, TaskSpec
from lmms.types import Document, Request, Response, Sample, Score

TASK = TaskSpec(
    name="toy",
    version="1",
    dataset=DatasetSpec(path="x"),
    prompt={"text": "{{q}}"},
    target="{{a}}",
    scorer="exact_match",
    metrics=(MetricSpec(name="exact_match"),),
)


def scored(texts: list[list[str]]) -> Any:
    """Aggregates questions whose answer is B, each asked as often as there are texts."""
    scorer = make_scorer(TASK, ReasoningConfig(), seed=0)
    samples = []
    for index, row in enumerate(texts):
        document = Document(
            id=str(index), index=index, fields={"q": "?", "a": "B"}, digest=f"{index:02x}"
        )
        requests = [Request(kind="generate_until", messages=(), repeat=i) for i in range(len(row))]
        found = scorer.score(document, requests, [Response(text=text) for text in row])
        samples.append(
            Sample(
                task="toy",
                doc_id=index,
                document_id=str(index),
                doc_hash="",
                input="",
                target=found.target,
                resps=found.resps,
                filtered_resps=found.filtered_resps,
                scores=found.scores,
                status=found.status,
                cluster=found.cluster,
            )
        )
    (metric,) = scorer.aggregate(samples, confidence=0.95, bootstrap_samples=100)
    return metric


def test_repeated_answers_say_how_steady_a_model_is() -> None:
    metric = scored([["B", "B", "A", "B"], ["A", "A", "B", "C"], ["B"] * 4, ["A", "B", "A", "B"]])
    assert metric.value == pytest.approx((0.75 + 0.25 + 1.0 + 0.5) / 4)
    found = metric.breakdown["repeats"]
    assert (found["questions"], found["fewest"], found["most"]) == (4, 4, 4)
    assert found["stability"]["expected_accuracy"] == pytest.approx(metric.value)
    assert found["stability"]["consensus_accuracy"] == 0.5
    assert found["stability"]["consistency_rate"] == 0.25
    assert found["variance"]["answers"] == pytest.approx((0.25 + 0.25 + 0.0 + 1 / 3) / 4)
    assert list(found["pass_at"]) == ["1", "2", "4"]
    assert found["pass_at"]["1"]["value"] == pytest.approx(metric.value)
    assert found["pass_at"]["1"]["stderr"] == pytest.approx(metric.stderr)
    assert found["pass_at"]["4"]["value"] == 1.0
    assert found["pass_hat"]["4"]["value"] == 0.25
    # Right, wrong, right, and a tie of right and wrong.
    assert found["majority"]["value"] == pytest.approx(2.5 / 4)
    assert found["majority"]["ties"] == 1


def test_one_answer_says_nothing_of_chance() -> None:
    assert "repeats" not in scored([["B"], ["A"]]).breakdown


def test_points_have_no_passes_and_clusters_count() -> None:
    tally = RepeatTally()
    assert tally.result(0.95) is None
    for position, (values, cluster) in enumerate(
        [([1.5, 2.0], "v"), ([0.5, None], "v"), ([3.0, 3.0], None), ([None, None], None)]
    ):
        tally.add(Score(value=float(position), record={"repeats": values}), cluster)
    found = tally.result(0.95)
    assert found is not None
    assert (found["questions"], found["fewest"], found["most"]) == (3, 1, 2)
    assert (found["pass_at"], found["pass_hat"], found["majority"]) == ({}, {}, None)
    assert found["stability"]["consensus_accuracy"] is None
    binary = RepeatTally()
    for values, cluster in (([1, 0], "v"), ([1, 0], "v"), ([0, 0], "w"), ([1, 1], "x")):
        binary.add(Score(value=0.5, record={"repeats": values}), cluster)
    passes = binary.result(0.95)
    assert passes is not None
    assert passes["pass_at"]["2"]["value"] == 0.75
    # Three clusters: the standard error is not that of four independent questions (0.25).
    assert passes["pass_at"]["2"]["stderr"] == pytest.approx(
        (1.5 * (0.5**2 + 0.75**2 + 0.25**2)) ** 0.5 / 4
    )
