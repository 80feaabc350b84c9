"""The log-likelihood of a continuation, from a completion that echoes its prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from lmms.errors import ModelError
from lmms.models.openai.failures import payload_failure, unreadable
from lmms.types import Failure, Outcome, Response, TokenCounts

# Endpoints round to float32 or less; a tie is not a token that greedy decoding would not take.
_TIE = 1e-6

NO_ECHO = (
    "the endpoint does not return the probabilities of a prompt (echo with logprobs), "
    "which loglikelihood tasks need"
)


class NoEchoError(ModelError):
    """The endpoint answers completions but gives no probabilities of the prompt."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{NO_ECHO}: {found}", hint="use model=hf, or a task that generates its answer"
        )


def read_loglikelihood(
    data: bytes, *, context: str, continuation: str, latency_seconds: float
) -> Outcome:
    """Returns the sum of the continuation's token log-probabilities.

    A token that lies across the border between context and continuation counts to the
    continuation.

    Args:
        data: Body of the completion.
        context: The prompt before the continuation, as sent.
        continuation: The text whose probability is asked.
        latency_seconds: How long the call took.

    Raises:
        NoEchoError: The body has an answer but no probabilities of the prompt.
    """
    try:
        body = json.loads(data)
        choice = body["choices"][0] if not body.get("error") else None
    except (ValueError, LookupError, TypeError, AttributeError):
        return unreadable("the answer is not a completion or was cut off", data)
    if choice is None:
        return payload_failure(body["error"])
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, Mapping):
        raise NoEchoError("the answer has no logprobs")
    tokens = logprobs.get("tokens") or []
    values = logprobs.get("token_logprobs") or []
    if not tokens or len(tokens) != len(values):
        raise NoEchoError("its logprobs do not list tokens")
    offsets = _offsets(tokens, logprobs.get("text_offset"))
    start, end = len(context), len(context) + len(continuation)
    if offsets[-1] + len(tokens[-1]) < end:
        raise NoEchoError("its logprobs cover the answer only, not the prompt")
    chosen = [
        i
        for i, (token, offset) in enumerate(zip(tokens, offsets, strict=True))
        if offset < end and offset + len(token) > start
    ]
    if not chosen or any(values[i] is None for i in chosen):
        return Failure(
            kind="rejected", message="the endpoint gave a token of the continuation no probability"
        )
    usage = body.get("usage") or {}
    return Response(
        loglikelihood=float(sum(values[i] for i in chosen)),
        is_greedy=_greedy(chosen, values, logprobs.get("top_logprobs")),
        tokens=TokenCounts(input=usage.get("prompt_tokens"), output=0),
        finish_reason="stop",
        latency_seconds=latency_seconds,
    )


def _offsets(tokens: Sequence[str], given: Any) -> list[int]:
    """Returns where each token begins in the echoed text, characters."""
    if isinstance(given, list) and len(given) == len(tokens):
        # Some servers count from the first token's place in a longer text.
        return [int(offset) - int(given[0]) for offset in given]
    return list(accumulate((len(token) for token in tokens[:-1]), initial=0))


def _greedy(chosen: Sequence[int], values: Sequence[float], top: Any) -> bool | None:
    """Returns whether every token was the likeliest; None where the endpoint does not tell."""
    if not isinstance(top, list) or len(top) != len(values):
        return None
    for i in chosen:
        best = max((top[i] or {}).values(), default=None)
        if best is None:
            return None
        if values[i] < best - _TIE:
            return False
    return True
