"""Log-likelihoods from completions that echo their prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmms.models.openai.logprobs import NoEchoError, read_loglikelihood
from lmms.types import Failure, Outcome, Response

# "The sky is" + " very blue" + one token that was generated and does not count.
TOKENS = ["The", " sky", " is", " very", " blue", "!"]
VALUES = [None, -1.0, -2.0, -0.5, -0.25, -9.0]
OFFSETS = [0, 3, 7, 10, 15, 20]


def body(**changes: Any) -> bytes:
    logprobs = {
        "tokens": TOKENS,
        "token_logprobs": VALUES,
        "text_offset": OFFSETS,
        "top_logprobs": [None, *({t: v} for t, v in zip(TOKENS[1:], VALUES[1:], strict=True))],
    } | changes
    choice = {"text": "The sky is very blue!", "logprobs": logprobs}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 5}}).encode()


def read(data: bytes, context: str = "The sky is", continuation: str = " very blue") -> Outcome:
    return read_loglikelihood(data, context=context, continuation=continuation, latency_seconds=0.5)


def likelihood(outcome: Outcome) -> tuple[float | None, bool | None]:
    assert isinstance(outcome, Response), outcome
    return outcome.loglikelihood, outcome.is_greedy


def test_sum_over_the_continuation() -> None:
    outcome = read(body())
    assert likelihood(outcome) == (-0.75, True)
    assert isinstance(outcome, Response)
    assert (outcome.tokens.input, outcome.latency_seconds) == (5, 0.5)


def test_offsets_may_be_missing_or_shifted() -> None:
    assert likelihood(read(body(text_offset=[]))) == (-0.75, True)
    assert likelihood(read(body(text_offset=[o + 40 for o in OFFSETS]))) == (-0.75, True)


def test_a_token_across_the_border_counts_to_the_continuation() -> None:
    assert likelihood(read(body(), context="The sky is v", continuation="ery blue")) == (
        -0.75,
        True,
    )


def test_greedy() -> None:
    top: list[Any] = [None, {}, {}, {" very": -0.5}, {" blue": -0.25, " red": -0.1}, {}]
    assert likelihood(read(body(top_logprobs=top))) == (-0.75, False)
    top[4] = {" blue": -0.25, " red": -0.25 - 1e-9}
    assert likelihood(read(body(top_logprobs=top))) == (-0.75, True)
    assert likelihood(read(body(top_logprobs=None))) == (-0.75, None)


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"choices": [{"text": "x", "logprobs": None}]}).encode(),
        body(tokens=[]),
        body(token_logprobs=[-1.0]),
        # Only the answer's own token, as servers without echo return it.
        body(tokens=["!"], token_logprobs=[-1.0], text_offset=[0], top_logprobs=None),
    ],
)
def test_endpoints_without_echo_are_told_apart(data: bytes) -> None:
    with pytest.raises(NoEchoError, match="does not return the probabilities of a prompt"):
        read(data)


def test_failures() -> None:
    cut = read(b'{"choices": [')
    assert isinstance(cut, Failure)
    assert cut.retryable
    reported = read(json.dumps({"error": {"message": "died"}}).encode())
    assert isinstance(reported, Failure)
    assert reported.retryable
    unknown = read(body(token_logprobs=[None, -1.0, -2.0, None, -0.25, -9.0]))
    assert isinstance(unknown, Failure)
    assert (unknown.kind, unknown.retryable) == ("rejected", False)
