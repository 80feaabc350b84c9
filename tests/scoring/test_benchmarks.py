"""The published scores of the shipped benchmarks, against vectors made with their own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lmms.config.schema import ReasoningConfig
from lmms.documents.source import DocumentSource
from lmms.scoring import make_scorer, metric_warnings
from lmms.scoring.extract.mmmu import parse_open
from lmms.tasks import TaskSpec, load_spec
from lmms.types import Document, MetricResult, Request, Response, Sample, SampleScore

Golden = Callable[[str], dict[str, Any]]
Sources = Callable[[list[dict[str, Any]], TaskSpec], DocumentSource]
ASKED = Request(kind="generate_until", messages=())
LIKELIHOOD = Request(kind="loglikelihood", messages=())


def sample_of(document: Document, scored: SampleScore, task: str = "t") -> Sample:
    return Sample(
        task=task,
        doc_id=document.index,
        document_id=document.id,
        doc_hash=document.digest,
        input="",
        target=scored.target,
        resps=scored.resps,
        filtered_resps=scored.filtered_resps,
        scores=scored.scores,
        status=scored.status,
        cluster=scored.cluster,
    )


def scored_samples(
    name: str, task: str, golden: Golden, source_of: Sources
) -> tuple[list[tuple[dict[str, Any], dict[str, Any], SampleScore]], dict[str, MetricResult]]:
    """Scores every vector (reasoning kept, as the vectors were made) and aggregates them."""
    content, spec = golden(name), load_spec(task)
    source = source_of([d["doc"] for d in content["documents"]], spec)
    scorer = make_scorer(spec, ReasoningConfig(strip=False), seed=0)
    found, samples = [], []
    for document, entry in zip(source.iterate(), content["documents"], strict=True):
        for sample in entry["samples"]:
            scored = scorer.score(document, [ASKED], [Response(text=sample["response"])])
            found.append((entry, sample, scored))
            if not sample.get("random_fallback"):
                samples.append(sample_of(document, scored))
    results = scorer.aggregate(samples, confidence=0.95, bootstrap_samples=100)
    return found, {r.name: r for r in results}


# Samples on which the strict score says something else than the published one:
# document, response, published answer and value, strict answer and value. Published answers of
# None are guesses; those are compared by their strict value alone.
LONGVIDEOBENCH_STRICT = {
    (0, "I think it is B, but on reflection the answer is A."): ("B", 0, "A", 1),
    (0, "B/A"): ("B", 0, None, 0),
    (0, "Not B, definitely not B."): ("B", 0, None, 0),
    (0, "D. A book"): ("D", 0, None, 0),
    (1, "The video shows A woman in red, so I would pick that."): ("A", 0, "B", 1),
    (1, "<think>maybe A</think>B"): ("A", 0, None, 0),
    (1, "A woman in red"): ("A", 0, "B", 1),
    (1, "The Answer is B"): ("A", 0, "B", 1),
    (3, "Cup"): ("C", 0, "A", 0),
    (3, "The video shows Chair, so I would pick that."): ("C", 0, "D", 1),
    (3, "<think>maybe A</think>D"): ("A", 0, None, 0),
    (3, "The Answer is D"): ("A", 0, "D", 1),
    (4, "Answer: C"): ("A", 0, "C", 1),
    (4, "Options B and C are both plausible."): ("B", 0, None, 0),
    (4, "First, B looks right.\nSecond, it is not.\nFinal answer: C"): ("B", 0, "C", 1),
    (4, "I think it is B, but on reflection the answer is C."): ("B", 0, "C", 1),
    (4, "B/C"): ("B", 0, None, 0),
    (4, "Not B, definitely not B."): ("B", 0, None, 0),
    (4, "A careful look suggests C"): ("A", 0, "C", 1),
    (4, "The Answer is C"): ("A", 0, "C", 1),
}
LONGVIDEOBENCH_GUESSED = {
    (1, "None of the above"): (None, 0),
    (1, "I cannot tell."): (None, 0),
    (1, "i think so"): (None, 0),
    (
        1,
        "this is a long response with no capital option letter in it at all whatsoever",
    ): (None, 0),
    (3, "None of the above"): (None, 0),
    (4, "answer is c"): ("C", 1),
    (4, "i think so"): (None, 0),
    (
        4,
        "this is a long response with no capital option letter in it at all whatsoever",
    ): (None, 0),
    (0, "0"): (None, 0),
    (0, "i think so"): (None, 0),
    (
        0,
        "this is a long response with no capital option letter in it at all whatsoever",
    ): (None, 0),
    (3, "i think so"): (None, 0),
    (
        3,
        "this is a long response with no capital option letter in it at all whatsoever",
    ): (None, 0),
}


def test_longvideobench(golden: Golden, source_of: Sources) -> None:
    found, results = scored_samples("longvideobench", "longvideobench_val_v", golden, source_of)
    strict, guessed = {}, {}
    for entry, sample, scored in found:
        published, other = scored.scores["lvb_acc"], scored.scores["lvb_acc_strict"]
        expected = sample["metrics"]["lvb_acc"]
        key = (entry["doc_index"], sample["response"])
        assert scored.target == expected["answer"]
        if sample.get("random_fallback"):
            assert published.status == "unparsed"
            assert published.value in (0.0, 1.0)
            guessed[key] = (other.answer, other.value)
            continue
        assert (published.answer, published.status) == (expected["parsed_pred"], "ok")
        assert published.value == float(expected["parsed_pred"] == expected["answer"])
        if (published.answer, published.value) != (other.answer, other.value):
            strict[key] = (published.answer, published.value, other.answer, other.value)
    assert strict == LONGVIDEOBENCH_STRICT
    assert guessed == LONGVIDEOBENCH_GUESSED
    aggregated = golden("longvideobench")["aggregated"]
    assert results["lvb_acc"].value == pytest.approx(aggregated["metrics"]["lvb_acc"], abs=1e-9)
    shown = results["lvb_acc"].breakdown
    assert shown["duration_group=15"]["value"] == pytest.approx(0.69697, abs=5e-6)
    assert shown["duration_group=3600"] | {"ci_low": 0, "ci_high": 0} == {
        "value": 0.375,
        "n": 16,
        "ci_low": 0,
        "ci_high": 0,
    }
    assert shown["question_category=T3O"]["n"] == 33
    assert results["lvb_acc"].clusters == 4
    assert results["lvb_acc_strict"].breakdown["disagreements"] == len(LONGVIDEOBENCH_STRICT)


MMMU_STRICT = {
    (0, "B\n\nExplanation: option C is wrong."): ("C", 0, "B", 1),
    (0, "C/B"): ("B", 1, None, 0),
    (0, "Not C, definitely not C."): ("C", 0, None, 0),
    (0, "(A) (B) (C)"): ("C", 0, None, 0),
    (0, "A B C D"): ("D", 0, None, 0),
    (3, "2.5"): ("2.5", 0, "2.5", 1),
    (3, "2.5 A"): ("2.5; 2.5 a", 0, "2.5; 2.5 a", 1),
    (3, "I = 2.50 A"): ("2.5; 2.50 a", 0, "2.5; 2.50 a", 1),
    (3, "The current is 2.5 amperes"): ("2.5; 2.5 amperes", 0, "2.5; 2.5 amperes", 1),
    (3, "answer 2.5a"): ("2.5; 2.5a", 0, "2.5; 2.5a", 1),
    (5, "<think>maybe G</think>F"): ("F", 1, None, 0),
    (5, "(A) (B) (C)"): ("C", 0, None, 0),
    (5, "A B C D"): ("D", 0, None, 0),
}
MMMU_GUESSED = {
    (0, "The option is B: 8"): ("B", 1),
    (0, "1"): (None, 0),
    (0, "B) 8"): ("B", 1),
    (0, ""): (None, 0),
    (5, ""): (None, 0),
    (5, "<answer>F</answer>"): ("F", 1),
    (5, "Normal force"): ("G", 0),
    (5, "[F]"): ("F", 1),
    (5, "\\boxed{F}"): ("F", 1),
    (5, "None of the above"): (None, 0),
    (5, "**F**"): ("F", 1),
}


def test_mmmu(golden: Golden, source_of: Sources) -> None:
    found, results = scored_samples("mmmu_val", "mmmu_val", golden, source_of)
    strict, guessed = {}, {}
    for entry, sample, scored in found:
        published, other = scored.scores["mmmu_acc"], scored.scores["mmmu_acc_strict"]
        expected = sample["metrics"]["mmmu_acc"]
        key = (entry["doc_index"], sample["response"])
        if sample.get("random_fallback"):
            assert published.status == "unparsed"
            guessed[key] = (other.answer, other.value)
            continue
        if expected["question_type"] == "open":
            assert set(parse_open(sample["response"].strip())) == set(expected["parsed_pred"][0])
        else:
            assert [published.answer] == expected["parsed_pred"]
        assert published.record is not None
        assert published.record["groups"]["subject"] == expected["subdomain"]
        if (published.answer, published.value) != (other.answer, other.value):
            strict[key] = (published.answer, published.value, other.answer, other.value)
    assert strict == MMMU_STRICT
    assert guessed == MMMU_GUESSED
    assert results["mmmu_acc"].value == pytest.approx(0.61702, abs=1e-9)
    assert golden("mmmu_val")["aggregated"]["metrics"]["mmmu_acc"] == 0.61702
    shown = results["mmmu_acc"].breakdown
    assert shown["subject=Finance"]["value"] == pytest.approx(0.8)
    assert shown["domain=Business"]["value"] == pytest.approx(0.78571, abs=5e-6)
    assert shown["domain=Tech and Engineering"] == {
        "value": 0.0,
        "n": 7,
        "ci_low": 0.0,
        "ci_high": pytest.approx(0.3543, abs=1e-4),
    }


def test_mme(golden: Golden, source_of: Sources) -> None:
    found, results = scored_samples("mme", "mme", golden, source_of)
    for _, sample, scored in found:
        for metric, expected in sample["metrics"].items():
            assert scored.scores[metric].value == expected["score"]
        for metric in {"mme_perception_score", "mme_cognition_score"} - set(sample["metrics"]):
            assert scored.scores[metric].value is None
    aggregated = golden("mme")["aggregated"]["metrics"]
    for metric, value in aggregated.items():
        assert results[metric].value == pytest.approx(value, abs=1e-9)
    assert results["mme_perception_score"].breakdown["category=scene"]["value"] == 75.0
    assert results["mme_cognition_score"].breakdown["category=text_translation"]["n"] > 0
    assert "incomplete_pairs" not in results["mme_perception_score"].breakdown


def test_mme_of_zero_has_no_interval_of_shares(golden: Golden, source_of: Sources) -> None:
    spec = load_spec("mme")
    scorer = make_scorer(spec, ReasoningConfig(), seed=0)
    source = source_of([d["doc"] for d in golden("mme")["documents"]], spec)
    samples = [
        sample_of(d, scorer.score(d, [ASKED], [Response(text="perhaps")])) for d in source.iterate()
    ]
    results = scorer.aggregate(samples, confidence=0.95, bootstrap_samples=10)
    entries = [e for r in results for e in r.breakdown.values() if isinstance(e, Mapping)]
    assert entries
    assert {(e["value"], e["ci_low"], e["ci_high"]) for e in entries} == {(0.0, None, None)}
    assert {(r.value, r.ci_low, r.ci_high) for r in results} == {(0.0, None, None)}


def test_mme_survives_a_missing_partner(golden: Golden, source_of: Sources) -> None:
    content, spec = golden("mme"), load_spec("mme")
    rows = [d["doc"] for d in content["documents"]][:3]  # count twice, OCR once
    source = source_of(rows, spec)
    scorer = make_scorer(spec, ReasoningConfig(), seed=0)
    samples = [
        sample_of(d, scorer.score(d, [ASKED], [Response(text=d.fields["answer"])]))
        for d in source.iterate()
    ]
    perception, cognition = scorer.aggregate(samples, confidence=0.95, bootstrap_samples=10)
    assert (perception.value, perception.n, perception.clusters) == (200.0, 2, 1)
    assert perception.breakdown["incomplete_pairs"] == 1
    assert metric_warnings([perception, cognition]) == [
        "mme_perception_score: 1 images without exactly two answered questions are left out",
        "mme_perception_score: there is no interval: all samples belong to one cluster",
    ]
    assert (cognition.value, cognition.n) == (None, 0)


def test_gsm8k(golden: Golden, source_of: Sources) -> None:
    content, spec = golden("gsm8k"), load_spec("gsm8k")
    scorer = make_scorer(spec, ReasoningConfig(strip=False), seed=0)
    documents = list(source_of(content["splits_given"]["test"], spec).iterate())
    samples = []
    for case in content["cases"]:
        document = documents[case["doc_index"]]
        scored = scorer.score(document, [ASKED], [Response(text=case["response"])])
        assert scored.target == case["target"]
        assert scored.filtered_resps == list(case["filtered"].values())
        for chain, metrics in case["metrics"].items():
            score = scored.scores[f"exact_match,{chain}"]
            assert score.value == metrics["exact_match"]
            assert (score.status == "unparsed") == (case["filtered"][chain] == "[invalid]")
        samples.append(sample_of(document, scored))
    results = scorer.aggregate(samples, confidence=0.95, bootstrap_samples=10)
    shown = {f"{r.name},{r.filter}": r.value for r in results}
    assert shown == pytest.approx(content["aggregated"], abs=1e-12)


def test_hellaswag(golden: Golden, source_of: Sources) -> None:
    content, spec = golden("hellaswag"), load_spec("hellaswag")
    scorer = make_scorer(spec, ReasoningConfig(), seed=0)
    documents = list(source_of(content["splits_given"]["validation"], spec).iterate())
    samples = []
    for case in content["cases"]:
        document = documents[case["doc_index"]]
        responses = [Response(loglikelihood=v, is_greedy=g) for v, g in case["response"]]
        scored = scorer.score(document, [LIKELIHOOD] * len(responses), responses)
        assert {k: s.value for k, s in scored.scores.items()} == case["metrics"]["none"]
        assert scored.resps == case["response"]
        samples.append(sample_of(document, scored))
    results = scorer.aggregate(samples, confidence=0.95, bootstrap_samples=10)
    shown = {f"{r.name},{r.filter}": r.value for r in results}
    assert shown == pytest.approx(content["aggregated"], abs=1e-12)
