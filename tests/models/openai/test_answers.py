"""Bodies and streams to answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms.models.openai.answers import AnswerReader, EventDecoder, read_usage
from lmms.types import Failure, Outcome, Response, TokenCounts


def reader(until: tuple[str, ...] = (), *, keep_reasoning: bool = False) -> AnswerReader:
    return AnswerReader(until=until, keep_reasoning=keep_reasoning, started=100.0)


def whole(body: Any, **options: Any) -> Outcome:
    answer = reader(**options)
    answer.add_body(body if isinstance(body, bytes) else json.dumps(body).encode())
    return answer.outcome(102.0)


def message(content: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **more}, "finish_reason": finish}]}


def delta(finish: str | None = None, **texts: Any) -> dict[str, Any]:
    return {"choices": [{"delta": texts, "finish_reason": finish}]}


def streamed(*events: Any, done: bool = True, **options: Any) -> Outcome:
    answer = reader(**options)
    for at, event in enumerate(events):
        answer.add_event(json.dumps(event).encode(), 101.0 + at)
    if done:
        answer.add_event(b"[DONE]", 110.0)
    return answer.outcome(120.0)


def text_of(outcome: Outcome) -> str | None:
    assert isinstance(outcome, Response), outcome
    return outcome.text


def failure_of(outcome: Outcome) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (message("yes"), "yes"),
        (message(""), ""),
        # A reasoning model that spent its tokens before the answer: valid, and empty.
        (message(None, "length", reasoning_content="hm"), ""),
        (message(None, "stop"), ""),
        (message("no reason given", None), "no reason given"),
        (message([{"type": "thinking"}, {"type": "text", "text": "B"}]), "B"),
        (message(None, refusal="I will not"), "I will not"),
        ({"choices": [{"text": "raw", "finish_reason": "stop"}]}, "raw"),
    ],
)
def test_answers(body: Any, text: str) -> None:
    assert text_of(whole(body)) == text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b'{"choices": [{"message": {"content": "cut o',
        b"[1, 2]",
        {},
        {"choices": []},
        {"choices": [{"message": None}]},
        message(None, None),
        {"error": {"message": "engine died"}},
    ],
)
def test_what_is_no_answer_is_asked_again(body: Any) -> None:
    found = failure_of(whole(body))
    assert (found.kind, found.retryable) == ("network", True)


def test_content_filter_is_a_refusal() -> None:
    assert failure_of(whole(message("par", "content_filter"))).kind == "refused"
    assert failure_of(streamed(delta(content="par"), delta("content_filter"))).kind == "refused"


def test_finish_reasons() -> None:
    for given_reason, expected in (("stop", "stop"), ("length", "length"), ("eos", "stop")):
        outcome = whole(message("x", given_reason))
        assert isinstance(outcome, Response)
        assert outcome.finish_reason == expected


def test_a_stream_with_times_and_counts() -> None:
    outcome = streamed(
        delta(role="assistant", content=""),
        delta(content="a "),
        delta(content="b "),
        delta(content="c"),
        delta("stop"),
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}},
    )
    assert outcome == Response(
        text="a b c",
        tokens=TokenCounts(input=9, output=3),
        finish_reason="stop",
        ttft_seconds=2.0,
        ttft_measured_at="client",
        tpot_seconds=1.0,
        latency_seconds=10.0,
    )


def test_an_answer_in_one_piece_has_no_time_per_token() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}
    outcome = streamed(delta("stop", content="a b c"), usage)
    assert isinstance(outcome, Response)
    assert (outcome.ttft_seconds, outcome.tpot_seconds) == (1.0, None)


@pytest.mark.parametrize(
    ("events", "done", "text"),
    [
        ([delta("stop", content="a")], False, "a"),  # some servers never say [DONE]
        ([delta(content="a")], True, "a"),  # some give no finish reason
        ([delta("stop")], True, ""),  # an empty answer is an answer
    ],
)
def test_streams_that_end_early_but_whole(events: list[Any], done: bool, text: str) -> None:
    assert text_of(streamed(*events, done=done)) == text


@pytest.mark.parametrize("events", [[], [delta(role="assistant")], [delta(content="a")]])
def test_a_cut_stream_is_asked_again(events: list[Any]) -> None:
    found = failure_of(streamed(*events, done=False))
    assert (found.kind, found.retryable) == ("network", True)


def test_an_error_in_a_stream() -> None:
    error = {"error": {"message": "overloaded", "code": 503}}
    assert failure_of(streamed(delta(content="a"), error)).retryable
    answer = reader()
    answer.add_event(b"{broken", 101.0)
    assert answer.complete
    assert failure_of(answer.outcome(102.0)).retryable


def test_stop_texts_are_cut_whatever_the_endpoint_did() -> None:
    outcome = whole(message("one\ntwo. three", "length"), until=(". ", "\n", ""))
    assert isinstance(outcome, Response)
    assert (outcome.text, outcome.finish_reason) == ("one", "stop")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_that_comes_apart(field: str) -> None:
    events = (delta(**{field: "let me "}), delta(**{field: "see"}), delta("stop", content="B"))
    assert text_of(streamed(*events)) == "B"
    assert text_of(streamed(*events, keep_reasoning=True)) == "<think>\nlet me see\n</think>\n\nB"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, TokenCounts()),
        ({"prompt_tokens": 5, "completion_tokens": 7}, TokenCounts(input=5, output=7)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 30,
                "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            TokenCounts(input=5, output=30, reasoning=20),
        ),
        # Reasoning beside the completion instead of inside it.
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 10,
                "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            TokenCounts(input=5, output=30, reasoning=20),
        ),
        ({"completion_tokens": True, "prompt_tokens": "5"}, TokenCounts()),
        ({"completion_tokens_details": None}, TokenCounts()),
    ],
)
def test_reasoning_is_counted_once(usage: dict[str, Any], expected: TokenCounts) -> None:
    assert read_usage(usage) == expected


@given(st.lists(st.text(max_size=8), max_size=6), st.lists(st.integers(1, 9)), st.booleans())
def test_events_survive_any_cutting(texts: list[str], cuts: list[int], crlf: bool) -> None:
    end = b"\r\n" if crlf else b"\n"
    payloads = [json.dumps(text, ensure_ascii=False).encode() for text in texts]
    raw = b": keep-alive" + end + b"".join(b"data: " + p + end * 2 for p in payloads)
    decoder, found, position = EventDecoder(), [], 0
    for cut in [*cuts, len(raw) + 1]:
        found += decoder.feed(raw[position : position + cut])
        position += cut
    assert found + decoder.close() == payloads


def test_a_last_line_without_an_end() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b"data: 1\ndata: [DONE]") == [b"1"]
    assert decoder.close() == [b"[DONE]"]
