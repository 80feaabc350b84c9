"""Answers of an earlier run, read from its journal or its samples."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import ConfigError, ModelError
from lmms.models.base import Model, ModelIdentity, PreparedRequest, request_key
from lmms.models.replay import ReplayModel, create
from lmms.responses.journal import Journal
from lmms.types import Failure, Outcome, Response, TokenCounts
from tests.support.requests import generation_request, loaded, loglikelihood_request, picture

EARLIER = ModelIdentity(
    name="m", reference="org/m", revision="abc", backend="hf", adapters=("lora",), dtype="bfloat16"
)
ANSWER = Response(
    text="B", tokens=TokenCounts(input=3, output=1), finish_reason="stop", latency_seconds=9.0,
    ttft_seconds=1.0, ttft_measured_at="model", tpot_seconds=0.1, attempts=3, batch_size=8,
)  # fmt: skip


def key_of(prepared: PreparedRequest, identity: ModelIdentity = EARLIER) -> str:
    digests = [medium.digest for medium in prepared.media]
    return request_key(identity.digest, prepared.request, digests)


def write_plan(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"model": {"identity": EARLIER.to_json()}}
    (folder / "plan.json").write_text(json.dumps(plan))


def write_journal(folder: Path, answers: dict[str, Response]) -> None:
    with Journal.open(folder, plan_fingerprint="f" * 64) as journal:
        for position, (key, response) in enumerate(answers.items()):
            journal.record(key, response, task="t", doc_id=position)


def replayed(folder: Path, requests: Sequence[PreparedRequest]) -> Sequence[Outcome]:
    async def run() -> Sequence[Outcome]:
        model = model_for(folder)
        await model.start()
        try:
            return await model.respond(requests)
        finally:
            await model.close()

    return asyncio.run(run())


def model_for(folder: Path | str | None) -> ReplayModel:
    replay = None if folder is None else str(folder)
    config = ModelConfig(name="replay", backend="replay", replay=replay, batch_size=4)
    return create(config, env=EnvConfig())


def test_the_answer_is_found_by_what_is_asked(tmp_path: Path) -> None:
    asked = generation_request("2 + 2?", max_new_tokens=5)
    scored = loglikelihood_request("The sky is", " blue")
    write_plan(tmp_path)
    likelihood = Response(loglikelihood=-1.5, is_greedy=False)
    write_journal(tmp_path, {key_of(asked): ANSWER, key_of(scored): likelihood})
    first, second = replayed(tmp_path, [asked, scored])
    # Nothing was measured now: times, attempts and batches of the earlier run stay there.
    assert first == Response(text="B", tokens=TokenCounts(input=3, output=1), finish_reason="stop")
    assert second == likelihood


@pytest.mark.parametrize(
    "other",
    [
        generation_request("2 + 3?", loaded("image", picture()), max_new_tokens=5),
        generation_request("2 + 2?", loaded("image", picture(value=7)), max_new_tokens=5),
        generation_request("2 + 2?", loaded("image", picture()), max_new_tokens=6),
        generation_request("2 + 2?", loaded("image", picture()), max_new_tokens=5, repeat=1),
        generation_request("2 + 2?", loaded("image", picture()), max_new_tokens=5, system="S"),
    ],
    ids=["text", "picture", "generation", "repeat", "system"],
)
def test_another_question_has_no_answer(tmp_path: Path, other: PreparedRequest) -> None:
    asked = generation_request("2 + 2?", loaded("image", picture()), max_new_tokens=5)
    write_plan(tmp_path)
    write_journal(tmp_path, {key_of(asked): ANSWER})
    first, second = replayed(tmp_path, [asked, other])
    assert isinstance(first, Response)
    assert isinstance(second, Failure)
    assert (second.kind, second.retryable, second.fatal) == ("model", False, False)
    assert key_of(other)[:12] in second.message
    assert "2 + " in second.message


def test_samples_stand_in_for_a_journal(tmp_path: Path) -> None:
    asked = generation_request("2 + 2?")
    scored = loglikelihood_request("The sky is", " blue")
    failed = generation_request("never answered")
    write_plan(tmp_path)
    lines: list[dict[str, Any]] = [
        {
            "filtered_resps": ["b"],
            "resps": ["B"],
            "request_keys": [key_of(asked)],
            "responses": [{"finish_reason": "stop", "tokens": {"input": 3, "output": 1}}],
        },
        {"filtered_resps": [[-1.5, False]], "request_keys": [key_of(scored)]},
        {
            "filtered_resps": ["?"],
            "request_keys": [key_of(failed)],
            "failure": {"kind": "model", "message": "x"},
        },
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "samples_t@embedded.jsonl").write_text(text)
    first, second, third = replayed(tmp_path, [asked, scored, failed])
    assert first == Response(text="B", tokens=TokenCounts(input=3, output=1), finish_reason="stop")
    assert second == Response(loglikelihood=-1.5, is_greedy=False)
    assert isinstance(third, Failure)


def test_a_broken_samples_file_is_named(tmp_path: Path) -> None:
    write_plan(tmp_path)
    (tmp_path / "samples_t.jsonl").write_text('{"filtered_resps": []}\n{"doc_id": \n')
    with pytest.raises(ModelError, match="samples file") as caught:
        replayed(tmp_path, [])
    assert "samples_t.jsonl:2" in str(caught.value)


def test_the_identity_is_that_of_who_answered_not_of_the_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_plan(tmp_path / name)
    first, second = model_for(tmp_path / "a"), model_for(tmp_path / "b")
    assert isinstance(first, Model)
    assert first.identity.digest == second.identity.digest != EARLIER.digest
    assert (first.identity.name, first.identity.backend) == ("m", "replay")


def test_ways_to_name_a_run(tmp_path: Path) -> None:
    run = tmp_path / "outputs" / "run"
    write_plan(run)
    (tmp_path / "outputs" / "latest").symlink_to("run")
    (run / "results.json").write_text("{}")
    for given in (run, run / "results.json", tmp_path / "outputs", tmp_path / "outputs" / "latest"):
        assert model_for(given).identity.name == "m"


@pytest.mark.parametrize("given", [None, "nowhere"])
def test_no_such_run(tmp_path: Path, given: str | None) -> None:
    with pytest.raises(ConfigError, match=r"model\.replay") as caught:
        model_for(None if given is None else tmp_path / given)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("plan", ["{", "{}", '{"model": {"identity": {"nonsense": 1}}}'])
def test_a_plan_that_cannot_be_read(tmp_path: Path, plan: str) -> None:
    (tmp_path / "plan.json").write_text(plan)
    with pytest.raises(ConfigError, match="cannot be read"):
        model_for(tmp_path)


def test_a_run_without_answers(tmp_path: Path) -> None:
    write_plan(tmp_path)
    with pytest.raises(ModelError, match="kept no answers"):
        replayed(tmp_path, [])


def test_a_run_can_be_moved(tmp_path: Path) -> None:
    asked = generation_request("2 + 2?")
    write_plan(tmp_path / "old")
    write_journal(tmp_path / "old", {key_of(asked): ANSWER})
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert isinstance(replayed(tmp_path / "new", [asked])[0], Response)
