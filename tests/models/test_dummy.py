"""The dummy back end: the same answer to the same request, options where there are some."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import ConfigError, UnknownNameError
from lmms.models.base import Model, PreparedRequest
from lmms.models.dummy import DummyModel, create
from lmms.types import Failure, Message, Outcome, Request, TextPart


def prepared(text: str, number: int = 0, continuation: str | None = None) -> PreparedRequest:
    request = Request(
        kind="generate_until" if continuation is None else "loglikelihood",
        messages=(Message("user", (TextPart(text),)),),
        continuation=continuation,
    )
    return PreparedRequest(
        key=hashlib.sha256(f"{number}{text}".encode()).hexdigest(), request=request
    )


def ask(model: DummyModel, *requests: PreparedRequest) -> list[Outcome]:
    return list(asyncio.run(model.respond(requests)))


def texts(model: DummyModel, *requests: PreparedRequest) -> list[str]:
    return [o.text or "" for o in ask(model, *requests) if not isinstance(o, Failure)]


def test_it_is_a_model() -> None:
    config = ModelConfig(name="dummy", backend="dummy", batch_size=4)
    model = create(config, env=EnvConfig())
    assert isinstance(model, Model)
    assert model.batch_size == 4
    assert model.identity.name == "dummy"


def test_answers_do_not_depend_on_the_batch_or_the_time() -> None:
    requests = [prepared("What is 2 + 2?", number) for number in range(20)]
    together = texts(DummyModel({}), *requests)
    alone = [texts(DummyModel({"delay_seconds": 0.0}), request)[0] for request in requests]
    assert together == alone
    assert len(set(together)) > 5, "different requests get different answers"


def test_it_picks_among_the_options_of_the_last_question() -> None:
    question = "Which?\nA. one\nB. two\n\nNow this?\nA. x\nB. y\nC. z\n"
    picked = {texts(DummyModel({}), prepared(question, n))[0] for n in range(60)}
    assert picked == {"A", "B", "C"}


def test_it_says_yes_or_no_where_that_is_asked() -> None:
    picked = {texts(DummyModel({}), prepared("Answer yes or no.", n))[0] for n in range(30)}
    assert picked == {"Yes", "No"}


def test_a_given_answer_is_given_and_enters_the_identity() -> None:
    model = DummyModel({"answer": "42"})
    assert texts(model, prepared("x"), prepared("y")) == ["42", "42"]
    assert model.identity.digest != DummyModel({}).identity.digest


def test_the_delay_does_not_enter_the_identity() -> None:
    assert DummyModel({"delay_seconds": 1}).identity.digest == DummyModel({}).identity.digest


def test_log_likelihoods_are_negative_and_fall_with_length() -> None:
    outcomes = ask(DummyModel({}), *(prepared("x", n, " yes") for n in range(50)))
    values = [o.loglikelihood for o in outcomes if not isinstance(o, Failure)]
    assert all(v is not None and v <= -2.0 for v in values)
    longer = ask(DummyModel({}), prepared("x", 0, " yes" * 20))[0]
    assert not isinstance(longer, Failure)
    assert longer.loglikelihood is not None
    assert longer.loglikelihood < -40


def test_a_share_fails_for_good_and_always_the_same_ones() -> None:
    model = DummyModel({"fail_share": 0.3, "fail_kind": "timeout"})
    requests = [prepared("x", n) for n in range(200)]
    first, second = ask(model, *requests), ask(model, *requests)
    failed = [isinstance(o, Failure) for o in first]
    assert failed == [isinstance(o, Failure) for o in second]
    assert 30 <= sum(failed) <= 90
    assert all(o.kind == "timeout" for o in first if isinstance(o, Failure))


def test_a_share_fails_once() -> None:
    model = DummyModel({"flaky_share": 0.3})
    requests = [prepared("x", n) for n in range(200)]
    failed = [
        p for p, o in zip(requests, ask(model, *requests), strict=True) if isinstance(o, Failure)
    ]
    assert 30 <= len(failed) <= 90
    assert not any(isinstance(o, Failure) for o in ask(model, *failed))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"anser": "A"}, "unknown argument of the dummy model 'anser'"),
        ({"delay_seconds": "slow"}, "delay_seconds is 'slow'"),
        ({"answer": 4}, "answer is 4"),
        ({"fail_share": 2}, "fail_share is 2"),
        ({"fail_share": True}, "fail_share is True"),
        ({"fail_kind": "tired"}, "unknown kind of failure 'tired'"),
    ],
)
def test_wrong_arguments_are_named(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DummyModel(kwargs)
    assert message in str(caught.value)


def test_the_nearest_argument_is_suggested() -> None:
    with pytest.raises(UnknownNameError) as caught:
        DummyModel({"delay_second": 1})
    assert caught.value.suggestions[0] == "delay_seconds"


def test_frames_are_made_small_and_keep_their_shape() -> None:
    model = DummyModel({})
    assert model.media_size(720, 1280, 8, "video") == (144, 256)
    assert model.media_size(100, 50, 1, "image") == (100, 50)
    assert model.media_size(1, 10_000, 1, "image") == (1, 256)
