"""Reading scores: short cuts must not change what is read."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.comparison.outcomes import Outcomes, _cut, outcomes_of, read_outcomes
from lmms.errors import ConfigError, DataError
from lmms.report.jsonable import dumps
from lmms.report.samples import sample_line
from lmms.types import Score

from .conftest import digest, failed, sample

MARKS = '"doc_hash": "", "media": [, "document_id": , "request_keys": ['
KEPT = ("doc_hash", "document_id", "scores", "status", "cluster", "failure", "task")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"input": MARKS, "target": MARKS, "resps": [MARKS, "x"], "document_id": MARKS},
        {"scores": {"acc": Score(value=1.0, answer=MARKS, explanation=MARKS)}},
        {"scores": {"acc": Score(value=1.0, record={"request_keys": ["x"], "media": []})}},
        {"media": ({"kind": "image", "document_id": "inner"},)},
        {"request_keys": (), "cluster": "clip"},
        {"status": "unparsed", "media": ({"kind": "video", "indices": [1, 2]},)},
    ],
)
def test_a_cut_line_says_what_the_whole_line_says(changes):
    line = sample_line(sample("d", 1.0, **changes))
    cut = _cut(dumps(line).encode())
    assert cut is None or {k: cut.get(k) for k in KEPT} == {k: line.get(k) for k in KEPT}
    if "media" not in changes and "record" not in str(changes):
        assert cut is not None, "the usual line takes the short way"


@given(st.text(), st.text(), st.one_of(st.none(), st.text(min_size=1)))
def test_any_text_leaves_the_cut_right(prompt, answer, cluster):
    scores = {"acc": Score(value=0.5, answer=answer, record={"groups": {"g": answer}})}
    line = json.loads(
        dumps(sample_line(sample("d", 1.0, input=prompt, scores=scores, cluster=cluster)))
    )
    cut = _cut(dumps(line).encode())
    assert cut is not None
    assert {k: cut.get(k) for k in KEPT} == {k: line.get(k) for k in KEPT}


def test_columns(write):
    samples = [
        sample("a", {"acc": 1.0, "f1": 0.5}, cluster="clip"),
        failed("b"),
        sample("c", {"acc": None, "f1": 0.25}),
    ]
    columns = read_outcomes(Path(write("x", samples)), Outcomes("x"), task="quiz")
    assert columns.keys == [digest(d) for d in "abc"]
    assert columns.ids == ["a", "b", "c"]
    assert list(columns.failed) == [0, 1, 0]
    assert columns.clusters == ["clip", None, None]
    assert columns.values["acc"][0] == 1.0
    assert [math.isnan(v) for v in columns.values["acc"]] == [False, True, True]
    assert [math.isnan(v) for v in columns.values["f1"]] == [False, True, False]
    in_memory = outcomes_of(samples, Outcomes("x"))
    assert (in_memory.keys, in_memory.clusters) == (columns.keys, columns.clusters)


def test_a_document_that_is_there_twice_has_two_keys(write):
    path = write("x", [sample("a", 1.0), sample("b", 1.0), sample("a", 0.0)])
    columns = read_outcomes(Path(path), Outcomes("x"), task="quiz")
    assert columns.keys == [digest("a"), digest("b"), f"{digest('a')}#2"]


def test_repeats_give_the_variance_of_one_questions_answers(write):
    scores = {"acc": Score(value=0.75, record={"repeats": [1.0, 1.0, 0.0, 1.0]})}
    path = write("x", [sample("a", 1.0, scores=scores), sample("b", 1.0)])
    repeats = read_outcomes(Path(path), Outcomes("x"), task="quiz").repeats["acc"]
    assert list(repeats.counts) == [4]
    assert list(repeats.variances) == pytest.approx([0.25])


def test_clusters_by_a_field_of_the_samples(write):
    grouped = {"acc": Score(value=1.0, record={"groups": {"subject": "art"}, "pair": "p1"})}
    path = Path(write("x", [sample("a", 1.0, scores=grouped, cluster="clip"), sample("b", 1.0)]))

    def clusters(key):
        return read_outcomes(path, Outcomes("x", cluster=key), task="quiz").clusters

    assert clusters(None) == ["clip", None]
    assert clusters("none") == [None, None]
    assert clusters("subject") == ["art", None]
    assert clusters("pair") == ["p1", None]
    with pytest.raises(ConfigError) as caught:
        clusters("subjects")
    assert "subject" in caught.value.suggestions
    assert "pair" in str(caught.value)


def test_lines_of_lm_eval_are_one_sample_per_document(tmp_path):
    lines = [
        {
            "doc_id": i,
            "doc": {"subject": "art"},
            "target": "4",
            "arguments": {"gen_args_0": {"arg_0": "2+2"}},
            "resps": [["4"]],
            "filtered_resps": ["4"],
            "filter": chain,
            "metrics": ["exact_match"],
            "doc_hash": digest(str(i)),
            "exact_match": float(chain == "flexible"),
        }
        for chain in ("strict", "flexible")
        for i in range(3)
    ]
    path = tmp_path / "samples_gsm8k_2026-01-01T00-00-00.000000.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    columns = read_outcomes(path, Outcomes("x", cluster="subject"), task="gsm8k")
    assert len(columns) == 3
    assert list(columns.values["exact_match,strict"]) == [0.0, 0.0, 0.0]
    assert list(columns.values["exact_match,flexible"]) == [1.0, 1.0, 1.0]
    assert columns.clusters == ["art"] * 3


def test_samples_without_digests_are_paired_by_id_only_when_asked(tmp_path):
    line = {"doc_id": 7, "target": "4", "filtered_resps": ["4"], "acc": 1.0}
    path = tmp_path / "samples_quiz.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(DataError) as caught:
        read_outcomes(path, Outcomes("x"), task="quiz")
    assert "--pair-by id" in str(caught.value)
    columns = read_outcomes(path, Outcomes("x", pair_by="id"), task="quiz")
    assert columns.keys == ["7"]
    assert list(columns.values["acc"]) == [1.0]


@pytest.mark.parametrize("text", ["{", "[1]", "7", '{"doc_id": 1}'])
def test_a_damaged_line_is_named(tmp_path, text):
    path = tmp_path / "samples_quiz.jsonl"
    path.write_text(f"{dumps(sample_line(sample('a', 1.0)))}\n{text}\n")
    with pytest.raises(DataError) as caught:
        read_outcomes(path, Outcomes("x"), task="quiz")
    assert caught.value.origin == f"{path}:2"


def test_numbers_that_are_none_are_missing(tmp_path):
    line = sample_line(sample("a", 1.0))
    line["scores"]["acc"]["value"] = float("nan")
    path = tmp_path / "samples_quiz.jsonl"
    path.write_text(json.dumps(line) + "\n")
    columns = read_outcomes(path, Outcomes("x"), task="quiz")
    assert math.isnan(columns.values["acc"][0])
