"""Responses from files, arrays and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.adaptive.responses import ResponseMatrix, read_responses, responses_from_runs
from lmms.errors import DataError, PlanError


def jsonl(path: Path, *lines: Any) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def subject(name: str, **responses: Any) -> dict[str, Any]:
    return {"subject_id": name, "responses": responses}


def test_jsonl(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "r.jsonl", subject("m1", x=1, y=0), "", subject("m2", y=1.0, z=None, w=False)
    )
    found = read_responses(file)
    assert found.subjects == ("m1", "m2")
    assert found.items == ("x", "y", "z", "w")
    assert found.values.tolist() == [[1, 0, -1, -1], [-1, 1, -1, 0]]
    assert found.values.dtype == np.int8


def test_jsonl_with_threshold(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "r.jsonl", subject("m1", x=0.5, y=0.49, z=None))
    assert read_responses(file, threshold=0.5).values.tolist() == [[1, 0, -1]]


def test_csv_of_evaluation_results(tmp_path: Path) -> None:
    file = tmp_path / "eval.csv"
    file.write_text(",step1,step2\nmmlu_1,0.0,1.0\nmmlu_2,,1\n", "utf-8")
    found = read_responses(file)
    assert found.subjects == ("step1", "step2")
    assert found.items == ("mmlu_1", "mmlu_2")
    assert found.values.tolist() == [[0, -1], [1, 1]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([subject("m", x=0.5)], "'x' is 0.5"),
        ([subject("m", x=-1)], "'x' is -1"),
        ([subject("m", x=2, y=3)], "1 more"),
        ([subject("m", x="yes")], "'x' is 'yes'"),
        (['{"subject_id": "m", "responses": {"x": NaN}}'], "'x' is nan"),
        ([subject("m", x=1), subject("m", x=1)], "subject ids occur more than once: m"),
        (['{"subject_id": "m", "responses": {"x": 1, "x": 0}}'], "item ids occur more than once"),
        ([{"subject": "m", "answers": {}}], "no subject's responses"),
        (["{oops"], "not a line of JSON"),
        ([], "no subject"),
        ([subject("m")], "no item"),
    ],
)
def test_wrong_jsonl(tmp_path: Path, lines: list[Any], message: str) -> None:
    file = jsonl(tmp_path / "r.jsonl", *lines)
    with pytest.raises(DataError, match=message) as caught:
        read_responses(file)
    assert str(file) in str(caught.value.origin)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",m\nx,0.5\n", "'m to x' is 0.5"),
        (",m\nx,nan\n", "a score is 'nan'"),
        (",m\nx,good\n", "a score is 'good'"),
        (",m\nx,1,1\n", "2 scores instead of 1"),
        (",m\nx,1\nx,0\n", "item ids occur more than once: x"),
        (",m,m\nx,1,0\n", "columns occur more than once: m"),
        (",m\n", "no scores"),
        ("x\n", "no scores"),
        ("", "no scores"),
    ],
)
def test_wrong_csv(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "eval.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(DataError, match=message):
        read_responses(file)


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no responses at"):
        read_responses(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no responses"):
        read_responses(tmp_path / "model.bin")


def test_arrays() -> None:
    found = ResponseMatrix.from_arrays([[1, 0, -1], [0.7, 0.2, -1]], threshold=0.5)
    assert found.values.tolist() == [[1, 0, -1], [1, 0, -1]]
    assert (found.subjects, found.items) == (("0", "1"), ("0", "1", "2"))
    part = found.subset(np.array([2, 0]))
    assert (part.items, part.values.tolist()) == (("2", "0"), [[-1, 1], [-1, 1]])


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([[1, float("nan")]], {}, "nan"),
        ([[1, float("nan")]], {"threshold": 0.5}, "nan"),
        ([[1, 0.3]], {}, "0.3"),
        ([1, 0], {}, "1 dimensions"),
        ([[]], {}, "no item"),
        ([[1, 0]], {"items": ["a", "a"]}, "more than once: a"),
        ([[1], [0]], {"subjects": ["m", "m"]}, "more than once: m"),
        ([[1, 0]], {"items": ["a"]}, "shape"),
    ],
)
def test_wrong_arrays(values: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ResponseMatrix.from_arrays(values, **options)


def test_values_are_checked_and_kept() -> None:
    with pytest.raises(DataError, match="other values"):
        ResponseMatrix(("m",), ("x",), np.array([[2]], dtype=np.int8))
    values = ResponseMatrix.from_arrays([[1, 0]]).values
    with pytest.raises(ValueError, match="read-only"):
        values[0, 0] = 0


def write_run(folder: Path, model: str, scores: dict[str, float | None], **changes: Any) -> Path:
    """A finished run of one task with the metrics acc (more is better) and err (less is)."""
    digest = changes.get("digest", "ab" * 32)
    folder.mkdir()
    metric = {"n": len(scores), "filter": "none", "stderr": None, "value": 0.5}
    block = {
        "task": "quiz",
        "label": "quiz",
        "version": "1",
        "num_fewshot": 0,
        "n_original": len(scores),
        "n_effective": len(scores),
        "metrics": [
            {"name": "acc", "higher_is_better": True} | metric,
            {"name": "err", "higher_is_better": False} | metric,
        ],
    }
    content = {
        "schema": "lmms-results/1",
        "status": "complete",
        "run_id": folder.name,
        "model_name": model,
        "tasks": {"quiz@embedded": block},
    }
    if repeats := changes.get("repeats"):
        content["configs"] = {"quiz": {"repeats": repeats}}
    if status := changes.get("status"):
        content["status"] = status
    if task := changes.get("task"):
        block["task"] = task
    (folder / "results.json").write_text(json.dumps(content), "utf-8")
    if chosen := changes.get("chosen_by"):
        ability = {"name": "ability", "higher_is_better": True} | metric
        block |= {"metrics": [ability], "adaptive": {"right_if": chosen}}
        (folder / "results.json").write_text(json.dumps(content), "utf-8")
    with (folder / "samples_quiz@embedded.jsonl").open("w", encoding="utf-8") as file:
        for number, (document, score) in enumerate(scores.items()):
            shown = {"status": "ok", "value": score}
            line = {
                "doc_id": number,
                "document_id": document,
                "doc_hash": digest,
                "input": "",
                "target": "",
                "filtered_resps": [""],
                "status": "failed" if score is None else "ok",
                "scores": {} if score is None else {"acc": shown, "err": shown},
                "task": "quiz",
            }
            file.write(json.dumps(line) + "\n")
    return folder


def test_runs_are_joined_by_document(tmp_path: Path) -> None:
    first = write_run(tmp_path / "run1", "canary", {"a": 1, "b": 0, "c": None})
    second = write_run(tmp_path / "run2", "canary", {"d": 1, "b": 1})
    found = responses_from_runs([first, second])
    assert found.subjects == ("canary/run1", "canary/run2")
    assert found.items == ("quiz/a", "quiz/b", "quiz/c", "quiz/d")
    assert found.values.tolist() == [[1, 0, -1, -1], [-1, 1, -1, 1]]
    assert found.digests == ("ab" * 8,) * 4


def test_runs_by_task_metric_and_threshold(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run1", "m", {"a": 0.2, "b": 0.9})
    assert responses_from_runs([run], "quiz", threshold=0.5).values.tolist() == [[0, 1]]
    assert responses_from_runs([run], "quiz@embedded", "err", 0.5).values.tolist() == [[1, 0]]
    whole = write_run(tmp_path / "run2", "m", {"a": 0, "b": 1})
    assert responses_from_runs([whole], metric="err").values.tolist() == [[1, 0]]


def test_adaptive_runs_by_what_they_chose_documents_by(tmp_path: Path) -> None:
    chosen_by = {"metric": "acc", "from": 0.5}
    run = write_run(tmp_path / "run1", "m", {"a": 0.4, "b": 0.9}, chosen_by=chosen_by)
    assert responses_from_runs([run]).values.tolist() == [[0, 1]]
    assert responses_from_runs([run], metric="acc").values.tolist() == [[0, 1]]
    assert responses_from_runs([run], threshold=0.3).values.tolist() == [[1, 1]]
    with pytest.raises(DataError, match="no metric 'accuracy'"):
        responses_from_runs([run], metric="accuracy")


def test_wrong_runs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run1", "m", {"a": 0.2})
    fine = write_run(tmp_path / "run2", "m", {"a": 1})
    other = write_run(tmp_path / "run3", "m", {"a": 1}, digest="cd" * 32)
    failed = write_run(tmp_path / "run4", "m", {"a": None})
    with pytest.raises(DataError, match=r"0\.2 is neither right nor wrong"):
        responses_from_runs([run])
    with pytest.raises(DataError, match="given twice"):
        responses_from_runs([fine, fine])
    with pytest.raises(DataError, match="'quiz/a' is another document in 'm/run3'"):
        responses_from_runs([fine, other])
    with pytest.raises(DataError, match="no sample of the run 'm/run4'"):
        responses_from_runs([failed])
    with pytest.raises(DataError, match="no task 'quizz'"):
        responses_from_runs([fine], "quizz")
    with pytest.raises(DataError, match="no metric 'accuracy'"):
        responses_from_runs([fine], metric="accuracy")
    with pytest.raises(PlanError, match="no run at"):
        responses_from_runs([tmp_path / "nowhere"])


def test_draws_of_repeated_answers_are_not_right(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run1", "m", {"a": 0.5, "b": 0.75, "c": 0.25}, repeats=4)
    with pytest.raises(DataError, match="2 right of 4 answers make a document right") as found:
        responses_from_runs([run], threshold=0.5)
    assert "--threshold 0.51" in str(found.value.hint)
    with pytest.raises(DataError, match="neither right nor wrong") as found:
        responses_from_runs([run])
    assert "--threshold 0.51" in str(found.value.hint)
    majority = responses_from_runs([run], threshold=0.51)
    assert majority.values.tolist() == [[0, 1, 0]]
    assert "means of 4 answers, right from 0.51 on" in majority.notes[0]
    with pytest.raises(DataError, match="2 right of 4"):
        responses_from_runs([run], metric="err", threshold=0.5)
    assert responses_from_runs([run], metric="err", threshold=0.49).values.tolist() == [[0, 0, 1]]
    graded = write_run(tmp_path / "run2", "m", {"a": 0.31, "b": 0.7}, repeats=4)
    assert responses_from_runs([graded], threshold=0.5).values.tolist() == [[0, 1]]


def test_thresholds_divide_the_scores(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    lines = [{"subject_id": f"m{i}", "responses": {"a": i, "b": 2}} for i in range(3)]
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    assert read_responses(file, threshold=2).values.tolist() == [[0, 1], [0, 1], [1, 1]]
    with pytest.raises(DataError, match="with the threshold 7 no score is right") as found:
        read_responses(file, threshold=7)
    assert found.value.allowed == "above 0 up to 2"
    with pytest.raises(DataError, match="with the threshold 0 every score is right"):
        ResponseMatrix.from_arrays([[0.5, 1.0]], threshold=0)
    run = write_run(tmp_path / "run1", "m", {"a": 0.0, "b": 0.0})
    assert responses_from_runs([run], threshold=0.5).values.tolist() == [[0, 0]]
    with pytest.raises(DataError, match="threshold 1 every score is right"):
        responses_from_runs([run], metric="err", threshold=1)
    with pytest.raises(DataError, match="threshold -1 no score is right"):
        responses_from_runs([run], metric="err", threshold=-1)


def test_runs_of_several_tasks_and_unfinished_ones(tmp_path: Path) -> None:
    one = write_run(tmp_path / "run1", "m", {"a": 1, "b": 0}, status="interrupted")
    other = write_run(tmp_path / "run2", "m", {"a": 1}, task="riddles")
    with pytest.raises(DataError, match=r"2 tasks: quiz \(m/run1\), riddles \(m/run2\)"):
        responses_from_runs([one, other])
    assert responses_from_runs([one]).notes == ("m/run1 is interrupted: 2 answers to 2 documents",)
    chosen = {"metric": "acc", "from": None}
    adaptive = write_run(tmp_path / "run3", "m", {"a": 1}, chosen_by=chosen)
    assert "adaptive run: 1 answers" in responses_from_runs([adaptive]).notes[0]
