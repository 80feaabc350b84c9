from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmms.config.schema import ReasoningConfig
from lmms.errors import ConfigError, ScoringError, UnknownNameError
from lmms.scoring import ScoringInput, make_scorer
from lmms.scoring.aggregations import AggregationOptions, make_aggregator
from lmms.scoring.builtin import choice_letter, exact_match, multiple_choice
from lmms.scoring.extract.letters import extract_letter
from lmms.scoring.extract.yes_no import yes_or_no
from lmms.scoring.reasoning import strip_reasoning
from lmms.tasks.spec import DatasetSpec, FilterSpec, MetricSpec, ReasoningSpec, TaskSpec
from lmms.types import Document, Failure, Request, Response, Sample, SampleScore, Score

GOLDEN = Path(__file__).parent / "golden"
TAGS = (("<think>", "</think>"), ("<analysis>", "</analysis>"))
DOCUMENT = Document(id="d0", index=0, fields={"q": "?", "a": "B", "video": "v1"}, digest="ff")


def task(**changes: Any) -> TaskSpec:
    values: dict[str, Any] = {
        "name": "toy",
        "version": "1",
        "dataset": DatasetSpec(path="x"),
        "prompt": {"text": "{{q}}"},
        "target": "{{a}}",
        "scorer": "exact_match",
        "metrics": (MetricSpec(name="exact_match"),),
    }
    return TaskSpec(**(values | changes))


def ask(repeats: int = 1) -> list[Request]:
    return [Request(kind="generate_until", messages=(), repeat=i) for i in range(repeats)]


def sample(scored: SampleScore, index: int = 0, **changes: Any) -> Sample:
    made = Sample(
        task="toy",
        doc_id=index,
        document_id=str(index),
        doc_hash="",
        input="",
        target=scored.target,
        resps=scored.resps,
        filtered_resps=scored.filtered_resps,
        scores=scored.scores,
        status=scored.status,
        cluster=scored.cluster,
    )
    return replace(made, **changes)


FAILED = Sample(
    task="toy",
    doc_id=9,
    document_id="9",
    doc_hash="",
    input="",
    target="",
    resps=[],
    filtered_resps=[],
    scores={},
    status="failed",
    failure=Failure(kind="media", message="gone"),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("<think>a<think>b</think>c</think>d", "d"),
        ("x</think>y<think>z", "x</think>y<think>z"),
        ("<think>a", "<think>a"),
        ("<THINK>a</THINK>b", "<THINK>a</THINK>b"),
        ("p<think>q</think>r<analysis>s</analysis>t", "prt"),
        ("ans </analysis> 5", "5"),
        ("  b\n", "b"),
    ],
)
def test_reasoning_is_removed_by_the_published_rule(text: str, expected: str) -> None:
    assert strip_reasoning(text, TAGS) == expected


def test_raw_text_stays_and_scored_text_stands_beside_it() -> None:
    scorer = make_scorer(task(), ReasoningConfig(), seed=0)
    scored = scorer.score(DOCUMENT, ask(), [Response(text="<think>A?</think> B")])
    assert (scored.resps, scored.filtered_resps) == (["<think>A?</think> B"], ["B"])
    assert scored.scores["exact_match"].value == 1.0


def test_reasoning_can_be_kept_by_the_run_or_the_task() -> None:
    text = "<think>A?</think> B"
    kept = make_scorer(task(), ReasoningConfig(strip=False), seed=0)
    assert kept.score(DOCUMENT, ask(), [Response(text=text)]).filtered_resps == [text]
    never = make_scorer(task(reasoning=ReasoningSpec(tags=None)), ReasoningConfig(), seed=0)
    assert never.score(DOCUMENT, ask(), [Response(text=text)]).filtered_resps == [text]
    other = make_scorer(task(), ReasoningConfig(tags=[("<r>", "</r>")]), seed=0)
    assert other.score(DOCUMENT, ask(), [Response(text="<r>x</r>B")]).filtered_resps == ["B"]


def test_repeats_are_scored_each_and_averaged() -> None:
    scorer = make_scorer(task(), ReasoningConfig(), seed=0)
    answers = [Response(text=t) for t in ("B", "A", "B", "B")]
    score = scorer.score(DOCUMENT, ask(4), answers).scores["exact_match"]
    assert score.value == 0.75
    assert score.record == {
        "repeats": [1.0, 0.0, 1.0, 1.0],
        "repeat_answers": ["B", "A", "B", "B"],
    }
    vote = FilterSpec(name="vote", steps=({"function": "majority_vote"},))
    voted = make_scorer(task(filters=(vote,)), ReasoningConfig(), seed=0)
    assert voted.score(DOCUMENT, ask(4), answers).scores["exact_match,vote"].value == 1.0


def test_only_the_last_round_counts() -> None:
    scorer = make_scorer(task(), ReasoningConfig(), seed=0)
    rounds = [*ask(), *ask()]
    scored = scorer.score(DOCUMENT, rounds, [Response(text="A"), Response(text="B")])
    assert scored.resps == ["A", "B"]
    assert scored.filtered_resps == ["B"]
    assert scored.scores["exact_match"].value == 1.0


@pytest.mark.parametrize(
    ("finish", "status"), [("stop", "unparsed"), ("length", "truncated"), ("filter", "refused")]
)
def test_why_nothing_was_found(finish: Any, status: str) -> None:
    chain = FilterSpec(name="number", steps=({"function": "regex", "regex_pattern": "[0-9]+"},))
    scorer = make_scorer(task(filters=(chain,)), ReasoningConfig(), seed=0)
    scored = scorer.score(DOCUMENT, ask(), [Response(text="none", finish_reason=finish)])
    assert scored.status == scored.scores["exact_match,number"].status == status


def test_failed_samples_are_counted_and_not_scored() -> None:
    scorer = make_scorer(task(cluster="video"), ReasoningConfig(), seed=0)
    right = scorer.score(DOCUMENT, ask(), [Response(text="B")])
    wrong = scorer.score(DOCUMENT, ask(), [Response(text="")])
    assert right.cluster == "v1"
    (result,) = scorer.aggregate(
        iter([sample(right), sample(wrong, 1, cluster="v2"), FAILED]),
        confidence=0.9,
        bootstrap_samples=10,
    )
    assert (result.value, result.n, result.n_failed, result.confidence) == (0.5, 2, 1, 0.9)
    assert result.interval_method == "wilson"


def test_nothing_but_failures_gives_no_value() -> None:
    scorer = make_scorer(task(), ReasoningConfig(), seed=0)
    (result,) = scorer.aggregate([FAILED], confidence=0.95, bootstrap_samples=10)
    assert (result.value, result.stderr, result.n, result.n_failed) == (None, None, 0, 1)


def test_scoring_errors_name_task_and_document() -> None:
    scorer = make_scorer(task(target="{{missing}}"), ReasoningConfig(), seed=0)
    with pytest.raises(ScoringError, match=r"'d0' of task 'toy'.*missing"):
        scorer.score(DOCUMENT, ask(), [Response(text="B")])
    other = make_scorer(task(metrics=(MetricSpec(name="bleu"),)), ReasoningConfig(), seed=0)
    with pytest.raises(ScoringError, match="gives no 'bleu'"):
        other.score(DOCUMENT, ask(), [Response(text="B")])


def test_unknown_names_are_errors_before_the_run() -> None:
    with pytest.raises(UnknownNameError) as caught:
        make_scorer(task(scorer="exact_mach"), ReasoningConfig(), seed=0)
    assert caught.value.suggestions[0] == "exact_match"
    unknown = task(metrics=(MetricSpec(name="exact_match", aggregation="avg"),))
    with pytest.raises(UnknownNameError):
        make_scorer(unknown, ReasoningConfig(), seed=0)
    misused = task(metrics=(MetricSpec(name="exact_match", kwargs={"digits": 2}),))
    with pytest.raises(ConfigError, match="aggregation 'mean'"):
        make_scorer(misused, ReasoningConfig(), seed=0)


def test_breakdown_by_columns() -> None:
    metric = MetricSpec(name="exact_match", kwargs={"breakdown": ["q", "absent"]})
    scorer = make_scorer(task(metrics=(metric,)), ReasoningConfig(), seed=0)
    scored = scorer.score(DOCUMENT, ask(), [Response(text="B")])
    (result,) = scorer.aggregate([sample(scored)] * 3, confidence=0.95, bootstrap_samples=10)
    assert list(result.breakdown) == ["q=?"]
    assert (result.breakdown["q=?"]["value"], result.breakdown["q=?"]["n"]) == (1.0, 3)


def test_samples_without_a_cluster_do_not_share_one() -> None:
    aggregator = make_aggregator("mean", {}, origin="t")
    for value, cluster in ((1.0, "v"), (1.0, "v"), (0.0, None), (1.0, None)):
        aggregator.add(Score(value=value), cluster)
    assert aggregator.result(AggregationOptions()).mean.clusters == 3


@pytest.mark.parametrize(
    "case",
    json.loads((GOLDEN / "aggregations.json").read_text())["cases"],
    ids=lambda c: c["id"],
)
def test_aggregations_match_the_reference(case: dict[str, Any]) -> None:
    aggregator = make_aggregator(case["aggregation"], {}, origin="t")
    for item in case["items"]:
        aggregator.add(Score(value=float(item)), None)
    found = aggregator.result(AggregationOptions(bootstrap_samples=400)).mean
    assert found.value == pytest.approx(case["value"], rel=1e-9)
    if case["stderr"] == "N/A":
        assert found.stderr is None
    elif case["aggregation"] == "mean":
        assert found.stderr == pytest.approx(case["stderr"], rel=1e-9)


def test_a_few_large_clusters_among_many_are_told() -> None:
    def warned(sizes: list[int]) -> Any:
        aggregator = make_aggregator("mean", {}, origin="t")
        for cluster, size in enumerate(sizes):
            for i in range(size):
                aggregator.add(Score(value=float(i % 2)), f"video {cluster}")
        return aggregator.result(AggregationOptions()).breakdown.get("warnings")

    assert warned([5] * 40) is None
    assert warned([5] * 10) is None  # few clusters are told where metrics are reported
    (text,) = warned([100, *[1] * 39])
    assert text.endswith("40 clusters of unequal size weigh as much as 2 equal ones")


@pytest.mark.parametrize("name", ["median", "perplexity"])
def test_corpus_metrics_draw_clusters_whole(name: str) -> None:
    def aggregated(cluster_of: Any) -> Any:
        aggregator = make_aggregator(name, {}, origin="t")
        for i in range(60):
            aggregator.add(Score(value=-0.5 - (i // 10) * 0.1), cluster_of(i))
        return aggregator.result(AggregationOptions(bootstrap_samples=2000)).mean

    alone, together = aggregated(lambda i: None), aggregated(lambda i: f"video {i // 10}")
    assert (alone.clusters, together.clusters) == (None, 6)
    assert together.value == alone.value
    # Ten equal samples in each cluster: as uncertain as 6 samples, not 60.
    assert together.stderr > 2 * alone.stderr
    assert aggregated(lambda i: "one video").stderr is None


@pytest.mark.parametrize("name", ["median", "perplexity"])
def test_corpus_metrics_of_equal_scores_have_no_interval(name: str) -> None:
    aggregator = make_aggregator(name, {}, origin="t")
    for _ in range(20):
        aggregator.add(Score(value=-0.1), None)
    mean = aggregator.result(AggregationOptions(bootstrap_samples=50)).mean
    assert (mean.stderr, mean.low, mean.high, mean.method) == (0.0, None, None, None)


def test_median_and_infinite_perplexity() -> None:
    median = make_aggregator("median", {}, origin="t")
    for value in (4.0, 1.0, 2.0, 100.0):
        median.add(Score(value=value), None)
    assert median.result(AggregationOptions(bootstrap_samples=20)).mean.value == 3.0
    perplexity = make_aggregator("perplexity", {}, origin="t")
    perplexity.add(Score(value=-1e6), None)
    assert perplexity.result(AggregationOptions()).mean.value == math.inf


@pytest.mark.parametrize(
    "case",
    [
        c
        for c in json.loads((GOLDEN / "exact_match.json").read_text())["cases"]
        if all(isinstance(p, str) for p in c["predictions"])
    ],
    ids=lambda c: c["id"],
)
def test_exact_match_matches_the_reference(case: dict[str, Any]) -> None:
    values = []
    for prediction, reference in zip(case["predictions"], case["references"], strict=True):
        given = ScoringInput(document=DOCUMENT, fields={}, target=reference, answer=prediction)
        values.append(exact_match(given, **case["options"])["exact_match"].value)
    assert sum(v or 0 for v in values) / len(values) == pytest.approx(case["value"], abs=1e-12)


def test_multiple_choice_takes_the_first_of_equals_and_counts_characters() -> None:
    given = ScoringInput(
        document=DOCUMENT,
        fields={},
        target="1",
        answer=None,
        choices=("aa", "é" * 4, "cc"),
        loglikelihoods=((-2.0, False), (-3.0, False), (-2.0, True)),
    )
    scores = multiple_choice(given)
    assert (scores["acc"].answer, scores["acc"].value) == ("aa", 0.0)
    assert scores["acc_norm"].value == 1.0  # -3/4 beats -2/2; in bytes it would be even further
    with pytest.raises(ScoringError, match="3 log-likelihoods for 2 choices"):
        multiple_choice(replace(given, choices=("a", "b")))
    with pytest.raises(ScoringError, match="a choice is empty"):
        multiple_choice(replace(given, choices=("a", "", "b")))


OPTIONS = ("red", "dark red", "blue", "a dog")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("**C.**", "C"),
        ("$\\boxed{B}$", "B"),
        ("\\boxed{B}", "B"),
        ("<answer>B</answer>", "B"),
        ("The correct option is **(C)**.", "C"),
        ("The answer is a dog", "D"),
        ("Answer: A\nBecause B is not it.", "A"),
        ("B) dark red", "B"),
        ("A. red\nB. dark red\nC. blue", None),
        ("It was dark red.", "B"),
        ("red or blue", None),
        ("I would say C", "C"),
        ("E", None),
        ("The answer is E", None),
        ("", None),
        ("A cat barks, so C", "C"),
        ("not A but C", "C"),
    ],
)
def test_strict_letters(text: str, letter: str | None) -> None:
    assert extract_letter(text, OPTIONS) == letter


def test_choice_letter_scorer() -> None:
    fields = {"options": list(OPTIONS)}
    given = ScoringInput(document=DOCUMENT, fields=fields, target="C", answer="It is blue")
    assert choice_letter(given, options="options")["acc"].value == 1.0
    assert choice_letter(replace(given, target="2"), options="options")["acc"].value == 1.0
    nothing = choice_letter(replace(given, answer="?"), options="options", metric="m")["m"]
    assert (nothing.value, nothing.status) == (0.0, "unparsed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", "yes"),
        ("y", "yes"),
        ("x", None),
        ("*yes*", "yes"),
        ("Maybe yes", None),
        ("Nope", "no"),
        ("a no", "no"),
        ("Answer: no", None),
        ("It is no", None),
        ("yeah", None),
        ("I know", None),
        ("", None),
    ],
)
def test_yes_or_no(text: str, expected: str | None) -> None:
    assert yes_or_no(text) == expected


def test_guesses_are_the_same_for_the_same_seed_and_differ_between_repeats() -> None:
    given = ScoringInput(document=DOCUMENT, fields={}, target="", answer="", seed="0\0toy\0ff\x000")
    other = replace(given, seed="0\0toy\0ff\x001")
    draws = [g.generator().random() for g in (given, given, other)]
    assert draws[0] == draws[1] != draws[2]


def test_a_mean_of_points_is_no_share() -> None:
    for kwargs, method in (({}, "wilson"), ({"proportions": False}, "t")):
        points = make_aggregator("mean", kwargs, origin="t")
        for value in (0.0, 1.0, 1.0):
            points.add(Score(value=value), None)
        assert points.result(AggregationOptions()).mean.method == method
