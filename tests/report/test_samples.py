from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.errors import DataError
from lmms.report.samples import read_samples, sample_line, samples_file_name, write_samples
from lmms.types import Failure, Sample, Score
from tests.report import synthetic_run
from tests.report.synthetic_run import VIDEO

GOLDEN = json.loads(
    (Path(__file__).parent / "golden" / "lm_eval_output_files.json").read_text("utf-8")
)


def sample(**changes: Any) -> Sample:
    return replace(next(synthetic_run.make_samples("mme")), **changes)


def test_fields_and_their_order() -> None:
    line = sample_line(next(synthetic_run.make_samples(VIDEO)))
    leading = ["doc_id", "input", "target", "resps", "filtered_resps", "doc_hash", "lvb_acc"]
    assert list(line)[:7] == leading
    assert line["lvb_acc"] == 1.0
    assert line["status"] == "ok"
    assert line["answers"] == {"lvb_acc": "B", "lvb_acc_strict": "B"}
    assert line["media"][0]["indices"][:3] == [0, 94, 188]
    counts = {"input_tokens": 1490, "output_tokens": 184, "reasoning_tokens": 180}
    assert line["token_counts"] == [counts]


def test_one_response_is_a_list_and_equal_ones_are_written_once() -> None:
    line = sample_line(sample(resps=["B"], filtered_resps=["B"]))
    assert line["filtered_resps"] == ["B"]
    assert "resps" not in line
    assert sample_line(sample(resps=["<think>x</think>B"]))["resps"] == ["<think>x</think>B"]


def test_a_metric_called_like_a_field_hides_nothing() -> None:
    line = sample_line(sample(target="gold", scores={"target": Score(value=0.5)}))
    assert line["target"] == "gold"
    assert line["scores"]["target"]["value"] == 0.5


def test_a_metric_with_several_filters_keeps_them_apart() -> None:
    line = sample_line(next(synthetic_run.make_samples("gsm8k")))
    assert "exact_match" not in line
    assert {"exact_match,strict-match", "exact_match,flexible-extract"} <= set(line)
    single = sample(scores={"exact_match,strict-match": Score(value=1.0)})
    assert sample_line(single)["exact_match"] == 1.0


@pytest.mark.parametrize("label", [VIDEO, "gsm8k", "mme", "hellaswag"])
def test_round_trip(label: str, tmp_path: Path) -> None:
    path = tmp_path / samples_file_name(f"{label}@embedded")
    written = list(synthetic_run.make_samples(label))
    assert write_samples(path, iter(written)) == len(written)
    assert list(read_samples(path)) == written


texts = st.text(st.characters(exclude_categories=()), max_size=40)


@given(texts, texts, st.lists(texts, max_size=3), st.none() | st.floats())
def test_any_text_survives(
    tmp_path_factory: pytest.TempPathFactory,
    prompt: str,
    target: str,
    resps: list[str],
    value: float | None,
) -> None:
    path = tmp_path_factory.mktemp("samples") / "samples_mme.jsonl"
    given_sample = sample(
        input=prompt, target=target, resps=resps, scores={"m": Score(value=value, answer=target)}
    )
    write_samples(path, [given_sample, given_sample])
    read = list(read_samples(path))
    if value is not None and abs(value) < float("inf"):
        assert read == [given_sample] * 2
    assert [(r.input, r.target, r.resps) for r in read] == [(prompt, target, resps)] * 2


def test_failure_messages_are_masked(tmp_path: Path) -> None:
    failure = Failure(kind="network", message="401 with Bearer abcdefgh12345678")
    line = sample_line(sample(status="failed", failure=failure))
    assert "abcdefgh" not in json.dumps(line)
    path = tmp_path / "samples_x.jsonl"
    write_samples(path, [sample(status="failed", failure=failure)])
    (read,) = read_samples(path)
    assert read.failure is not None
    assert read.failure.kind == "network"


def test_reads_files_of_lm_eval(tmp_path: Path) -> None:
    path = tmp_path / "samples_cli_task_2026-10-03.jsonl"
    path.write_text("\n".join(map(json.dumps, GOLDEN["samples_file"])) + "\n", "utf-8")
    first, second = read_samples(path, task="cli_task")
    assert first.resps == [
        ["-9.512420654296875", "False"],
        ["-21.53523826599121", "False"],
        ["-32.833885192871094", "False"],
    ]
    assert first.resps == [r[0] for r in GOLDEN["samples_file"][0]["resps"]]
    assert first.filtered_resps == first.resps
    assert {k: s.value for k, s in second.scores.items()} == {"acc,none": 0.0, "acc_norm,none": 1.0}
    assert (first.input, first.target, first.task) == ("Is item 0 ok ?", "0", "cli_task")
    assert first.doc_hash.startswith("5c4fe06470e0")


def test_reads_files_of_lmms_eval(tmp_path: Path) -> None:
    plain = {
        "doc_id": 3,
        "target": "A",
        "filtered_resps": "A",
        "token_counts": [{"input_tokens": 9, "output_tokens": 2, "reasoning_tokens": None}, None],
        "doc_hash": "x",
        "mme_score": {"score": 1.0, "category": "ocr"},
        "exact": True,
        "input": "Q?",
    }
    thinking = plain | {"doc_id": 4, "resps": "<think>..</think>A"}
    path = tmp_path / "20261003_120000_samples_mme.jsonl"
    path.write_text(f"{json.dumps(plain)}\n\n{json.dumps(thinking)}\n", "utf-8")
    first, second = read_samples(path)
    assert (first.resps, first.filtered_resps) == (["A"], ["A"])
    assert (second.resps, second.filtered_resps) == (["<think>..</think>A"], ["A"])
    assert first.task == "mme"
    assert first.scores["mme_score"].value == 1.0
    assert first.scores["mme_score"].record == {"score": 1.0, "category": "ocr"}
    assert first.scores["exact"].value == 1.0
    assert first.responses[0] == {"tokens": {"input": 9, "output": 2}}


@pytest.mark.parametrize("line", ["{", "[]", '{"doc_id": 1}', '{"doc_id": "x", "resps": []}'])
def test_a_bad_line_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "samples_mme.jsonl"
    path.write_text(json.dumps(sample_line(sample())) + "\n" + line + "\n", "utf-8")
    reader = read_samples(path)
    next(reader)
    with pytest.raises(DataError) as caught:
        next(reader)
    assert caught.value.origin == f"{path}:2"


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read samples"):
        list(read_samples(tmp_path / "samples_none.jsonl"))


def test_file_names_stay_inside_the_folder() -> None:
    assert samples_file_name("mme@embedded") == "samples_mme@embedded.jsonl"
    assert "/" not in samples_file_name("../lm_eval/hellaswag")
