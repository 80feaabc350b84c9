"""Response bodies and event streams to answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lmms.models.openai.failures import payload_failure, unreadable
from lmms.types import Failure, Outcome, Response, TokenCounts

_LF = b"\n"


class EventDecoder:
    """Server-sent events: bytes in, the `data` of complete lines out.

    Chunks may be cut anywhere, also inside a character. Comments and other fields are skipped; each
    `data` line is one JSON text, as all servers of this protocol send it.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Returns the data of the lines that `chunk` completes."""
        *lines, self._rest = (self._rest + chunk).split(_LF)
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]

    def close(self) -> list[bytes]:
        """Returns the data of a last line without an end."""
        return self.feed(_LF)


class AnswerReader:
    """Collects one answer from a whole body or from the events of a stream.

    Args:
        until: Texts at which the answer ends; cut here whatever the endpoint did with them.
        keep_reasoning: Puts reasoning that comes apart between <think> and </think> in front.
        started: Time at which the request was sent, seconds on the caller's monotonic clock.
    """

    def __init__(self, *, until: Sequence[str], keep_reasoning: bool, started: float) -> None:
        self._until = [text for text in until if text]
        self._keep_reasoning = keep_reasoning
        self._started = started
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._usage: Mapping[str, Any] = {}
        self._finish: str | None = None
        self._failure: Failure | None = None
        self._first_at: float | None = None
        self._last_at: float | None = None
        self._done = False
        self._done_at: float | None = None

    @property
    def complete(self) -> bool:
        """Whether everything that makes an answer has arrived."""
        return self._failure is not None or self._done

    def add_event(self, data: bytes, at: float) -> None:
        """Takes one event of a stream that arrived at time `at`."""
        if data == b"[DONE]":
            self._done = True
            self._done_at = at
            return
        chunk = _parsed(data)
        if chunk is None:
            self._fail(unreadable("an event of the stream is not JSON", data))
            return
        if chunk.get("error"):
            self._fail(payload_failure(chunk["error"]))
            return
        # Counts come in an event of their own, or with each event, growing: the last is the sum.
        self._usage = chunk.get("usage") or self._usage
        choice = _first_choice(chunk)
        if choice is None:
            return
        delta = choice.get("delta")
        if self._take(delta if isinstance(delta, dict) else choice):
            self._first_at = at if self._first_at is None else self._first_at
            self._last_at = at
        self._finish = choice.get("finish_reason") or self._finish

    def add_body(self, data: bytes) -> None:
        """Takes the whole body of an answer that is not streamed."""
        body = _parsed(data)
        if body is None:
            self._fail(unreadable("the answer is not JSON or was cut off", data))
            return
        if body.get("error"):
            self._fail(payload_failure(body["error"]))
            return
        choice = _first_choice(body)
        message = choice.get("message", choice) if choice is not None else None
        if choice is None or not isinstance(message, dict):
            self._fail(unreadable("the answer has no choices", data))
            return
        self._usage = body.get("usage") or {}
        self._finish = choice.get("finish_reason")
        found = self._take(message)
        self._done = (
            self._finish is not None
            or found
            or ""
            in (
                message.get("content"),
                message.get("text"),
            )
        )
        if not self._done:
            self._fail(unreadable("the answer has neither content nor a finish reason", data))

    def outcome(self, ended: float) -> Outcome:
        """Returns the answer, or why there is none."""
        if self._failure is not None:
            return self._failure
        if self._finish == "content_filter":
            return Failure(kind="refused", message="the endpoint's content filter cut the answer")
        anything = bool(self._text or self._reasoning or self._refusal)
        if self._finish is None and not (self._done and (anything or self._usage)):
            cut = "after the answer had begun" if anything else "before an answer began"
            return unreadable(f"the stream ended {cut}")
        text, was_cut = self._visible_text()
        finish: Literal["stop", "length"] = "length" if self._finish == "length" else "stop"
        tokens = read_usage(self._usage)
        return Response(
            text=text,
            tokens=tokens,
            finish_reason="stop" if was_cut else finish,
            ttft_seconds=None if self._first_at is None else self._first_at - self._started,
            ttft_measured_at=None if self._first_at is None else "client",
            tpot_seconds=self._seconds_per_token(tokens.output),
            latency_seconds=(self._done_at or ended) - self._started,
        )

    def _fail(self, failure: Failure) -> None:
        self._failure = self._failure or failure

    def _take(self, source: Mapping[str, Any]) -> bool:
        """Adds the texts of a delta, a message or a raw choice; returns whether there were any."""
        content = _plain(source.get("content", source.get("text")))
        reasoning = _plain(source.get("reasoning_content") or source.get("reasoning"))
        refusal = _plain(source.get("refusal"))
        for piece, pieces in (
            (content, self._text),
            (reasoning, self._reasoning),
            (refusal, self._refusal),
        ):
            if piece:
                pieces.append(piece)
        return bool(content or reasoning or refusal)

    def _visible_text(self) -> tuple[str, bool]:
        # A refusal in words is the model's answer; it is scored as such.
        text = "".join(self._text) or "".join(self._refusal)
        found = [at for at in (text.find(stop) for stop in self._until) if at >= 0]
        cut = min(found, default=None)
        if cut is not None:
            text = text[:cut]
        if self._keep_reasoning and self._reasoning:
            text = f"<think>\n{''.join(self._reasoning)}\n</think>\n\n{text}"
        return text, cut is not None

    def _seconds_per_token(self, output: int | None) -> float | None:
        first, last = self._first_at, self._last_at
        # An answer that came in one piece says nothing about its tokens.
        if first is None or last is None or first == last or output is None or output < 2:
            return None
        return (last - first) / (output - 1)


def read_usage(usage: Mapping[str, Any]) -> TokenCounts:
    """Returns token counts with reasoning counted once.

    Most endpoints count reasoning inside `completion_tokens`; some leave it out, which shows in
    `total_tokens`.
    """
    given = _count(usage.get("prompt_tokens"))
    output = _count(usage.get("completion_tokens"))
    details = usage.get("completion_tokens_details")
    reasoning = _count(details.get("reasoning_tokens")) if isinstance(details, Mapping) else None
    if reasoning is None:
        reasoning = _count(usage.get("reasoning_tokens"))
    total = _count(usage.get("total_tokens"))
    if (
        None not in (given, output, total) and reasoning and total == given + output + reasoning  # type: ignore[operator]
    ):
        output += reasoning  # type: ignore[operator]
    return TokenCounts(input=given, output=output, reasoning=reasoning)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _first_choice(body: Mapping[str, Any]) -> dict[str, Any] | None:
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    return None


def _plain(content: Any) -> str:
    """Returns text that may come as one string or as a list of typed parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = (p.get("text") for p in content if isinstance(p, dict) and p.get("type") == "text")
        return "".join(text for text in texts if isinstance(text, str))
    return ""
